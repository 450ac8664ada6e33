"""The private folder for a node's Unix sockets."""

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from node.errors import FieldmeshError
from node.exits import Exit
from node.files import make_private_folder

SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux, less its final zero
LONGEST_SOCKET_NAME = "control.sock"


def run_folder(home: Path) -> Path:
    """The node's own, made if need be: HOME/run, or elsewhere when that is too long for a socket's name."""
    folder = _place(home)
    make_private_folder(folder)
    _require_private_folder(folder, {os.getuid()})
    return folder


def asked_run_folder(home: Path) -> Path:
    """The same for those who ask the node, root among them: nothing is made, and it may belong to the home's owner."""
    folder = _place(home)
    if os.path.lexists(folder):
        _require_private_folder(folder, {os.getuid(), _owner(home)})
    return folder


def tidy_run_folder(home: Path) -> None:
    """After a clean stop: a folder that stands outside the home is gone, unless something lies in it."""
    folder = _place(home)
    if folder.parent != home:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _place(home: Path) -> Path:
    folder = home / "run"
    if len(os.fsencode(folder.resolve() / LONGEST_SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
        digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"fieldmesh-{_owner(home)}-{digest}"
    return folder


def _owner(home: Path) -> int:
    try:
        return home.stat().st_uid
    except FileNotFoundError:
        return os.getuid()  # who makes it will own it


def _require_private_folder(folder: Path, owners: set[int]) -> None:
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid in owners and not found.st_mode & 0o077:
        return
    raise FieldmeshError(
        f"{folder} must be a folder that only this user can enter: it holds the node's sockets",
        f"chmod 700 {folder}   (and chown it to the node's user; if it is a link, remove it)",
        Exit.CONFIGURATION,
    )
