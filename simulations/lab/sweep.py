"""Leaving nothing behind: removes all that a lab has made, now or after its death."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from node.errors import FieldmeshError
from simulations.lab.kernel import NAMESPACES, ip, namespaces
from simulations.lab.names import FOLDERS, LabName

_GONE_WITHIN_S = 5.0  # a killed process needs its turn on the processor to die
_LOOK_EVERY_S = 0.02


def dead_labs() -> list[LabName]:
    """Labs whose process is gone and whose things are not."""
    folders = [path.name for path in FOLDERS.glob("fmlab-*") if _is_ours(path)]
    labs = {LabName.of(name) for name in [*namespaces(), *folders]}
    return sorted(lab for lab in labs if lab is not None and not lab.is_alive())


def sweep() -> list[str]:
    """Removes what dead labs have left, and only that; what it was."""
    return [removed for lab in dead_labs() for removed in remove(lab)]


def remove(lab: LabName) -> list[str]:
    """Ends every process in the lab's namespaces, then removes them and its folder; what there was."""
    mine = [name for name in namespaces() if LabName.of(name) == lab]
    killed = _end_all_in(mine)
    _delete(mine)
    folder = lab.folder()
    had_folder = _is_ours(folder)
    if had_folder:
        shutil.rmtree(folder, ignore_errors=True)
    return [
        *(f"process {pid}" for pid in killed),
        *(f"namespace {name}" for name in mine),
        *([f"folder {folder}"] if had_folder else []),
    ]


def processes_in(names: Iterable[str]) -> list[int]:
    """The processes whose network is one of these namespaces."""
    inodes = {inode for name in names if (inode := _inode(NAMESPACES / name)) is not None}
    if not inodes:
        return []
    return sorted(
        int(path.name) for path in Path("/proc").glob("[0-9]*") if _inode(path / "ns" / "net") in inodes
    )


def _delete(names: list[str]) -> None:
    """Somebody else may be sweeping the same dead lab: only a name that is still there is a failure."""
    for name in names:
        try:
            ip("netns", "del", name)
        except FieldmeshError:
            if name in namespaces():
                raise


def _end_all_in(names: list[str]) -> list[int]:
    killed: set[int] = set()
    deadline = time.monotonic() + _GONE_WITHIN_S
    while (pids := processes_in(names)) and time.monotonic() < deadline:
        for pid in pids:
            _kill(pid)
        killed.update(pids)
        time.sleep(_LOOK_EVERY_S)
    return sorted(killed)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have gone by itself
        os.kill(pid, signal.SIGKILL)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _is_ours(folder: Path) -> bool:
    """Whether a folder in the shared temporary place is really one that we have made."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and status.st_uid == os.geteuid()
