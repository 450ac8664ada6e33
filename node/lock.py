"""One process per home."""

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from node.errors import FieldmeshError
from node.exits import Exit
from node.files import PRIVATE_FILE, make_private_folder

LOCK_NAME = "lock"  # in the home's own run folder


class HomeLock:
    """Held from construction until `release` or the end of the process, however that comes."""

    def __init__(self, path: Path) -> None:
        make_private_folder(path.parent)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise _taken(path, holder) from None
        _write_pid(self._descriptor)

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder_of(home: Path) -> str:
    """The number of the process that runs in this home; empty when none does, or it cannot be told."""
    try:
        descriptor = os.open(home / "run" / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "?"
    finally:
        os.close(descriptor)  # lets go of it at once
    return ""


def _write_pid(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # the number only makes a message better; a full disk shows elsewhere
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _taken(path: Path, holder: str) -> FieldmeshError:
    return FieldmeshError(
        f"another fieldmesh process{f' (pid {holder})' if holder else ''} is using this home (it holds {path})",
        "stop that process first; a home belongs to one process at a time",
        Exit.ALREADY_MEMBER,
    )
