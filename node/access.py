"""A folder that this user may not enter: whose it is, and what to type instead."""

import os
import pwd
from pathlib import Path

from node.errors import FieldmeshError
from node.exits import Exit


def require_access(home: Path, command: str) -> None:
    """FieldmeshError when this user may not look into `home`, or not even see whether it is there."""
    try:
        is_folder = home.is_dir()
    except PermissionError:
        raise denied(home, command) from None
    if is_folder and not os.access(home, os.R_OK | os.X_OK, effective_ids=True):
        raise denied(home, command)


def denied(home: Path, command: str = "fieldmesh ...") -> FieldmeshError:
    """`command` is what was asked for, to be typed again as the owner."""
    place, owner = _owned(home.absolute())
    return FieldmeshError(
        f"{place} belongs to {owner}, and this user ({_name(os.geteuid())}) may not use it",
        f"sudo -u {owner} {command}\nor give a folder of your own with --home",
        Exit.CONFIGURATION,
    )


def _owned(path: Path) -> tuple[Path, str]:
    """The path, or the nearest folder above it that can be seen, and its owner."""
    for place in (path, *path.parents):
        try:
            return place, _name(place.stat().st_uid)
        except OSError:
            continue
    return path, "another user"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"  # as sudo takes it
