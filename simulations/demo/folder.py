"""The demo's folder, with all keys in it: gone when the demo ends, also when it is killed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "fieldmesh-demo-"
_PLACE_BYTES_MAX = 50  # beyond that the nodes' sockets would not fit below it (107 bytes for a whole path)
_ALWAYS_SHORT = "/tmp"  # noqa: S108 - mkdtemp makes a name that nobody can foresee, for this user alone
_END_WITHIN_S = 5.0

# Waits for the end of its standard input, which the demo holds open: nothing has to be done right by a demo that is
# being killed. The second try is for a node that was still writing.
_GUARD = 'cat >/dev/null; rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }'


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for this user alone; it is gone behind the block, or soon after this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_place()))
    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the demo
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        guard.communicate(timeout=_END_WITHIN_S)


def _place() -> str:
    chosen = tempfile.gettempdir()
    return chosen if len(os.fsencode(chosen)) <= _PLACE_BYTES_MAX else _ALWAYS_SHORT
