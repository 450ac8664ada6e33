"""The broker's few files: written whole or not at all, for this user's eyes only."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh.io.broker_error import BrokerError

_PORT = "port"


def replace_file(path: Path, text: str) -> None:
    """The whole text or the old file, also after a power cut."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    _sync_folder(path.parent)


def remembered_port(folder: Path) -> int | None:
    """The port that was picked at an earlier start."""
    try:
        port = int((folder / _PORT).read_text())
    except (OSError, ValueError):
        return None
    return port if 0 < port < 65536 else None


def remember_port(folder: Path, port: int) -> None:
    replace_file(folder / _PORT, f"{port}\n")


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns an OSError about our own files into a BrokerError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BrokerError(
                "disk-full",
                f"no space left for the broker's files in {folder}",
                "free some space on that disk",
            ) from error
        raise BrokerError(
            "disk-failed",
            f"cannot write the broker's files in {folder}: {error.strerror}",
            "check that the folder belongs to this user and that its disk can be written",
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
