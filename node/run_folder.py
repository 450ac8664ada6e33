"""The private folder for a node's Unix sockets."""

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
    """HOME/run, made if need be; elsewhere when the home's path is too long for a socket's name."""
    folder = home / "run"
    if len(os.fsencode(folder.resolve() / LONGEST_SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
        folder = _short_run_dir(home)
    make_private_folder(folder)
    _require_private_folder(folder)
    return folder


def _short_run_dir(home: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"fieldmesh-{os.getuid()}-{digest}"


def _require_private_folder(folder: Path) -> None:
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return
    raise FieldmeshError(
        f"{folder} must be a folder that only this user can enter: it holds the node's sockets",
        f"chmod 700 {folder}   (and chown it to the node's user; if it is a link, remove it)",
        Exit.CONFIGURATION,
    )
