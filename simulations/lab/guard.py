"""The guard: a process that outlives the lab by a second, and clears up behind it however it ended.

It waits for the end of its standard input, which the lab holds open; nothing else has to be done right by a lab
that is being killed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from simulations.lab.names import LabName
from simulations.lab.process import environment
from simulations.lab.sweep import remove

_END_WITHIN_S = 15.0


@contextmanager
def guarding(lab: LabName) -> Iterator[None]:
    """All that `lab` makes inside this block is gone behind it, also when this process is killed in it."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "simulations.lab.guard", str(lab)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,  # Ctrl-C is for the lab
    )
    try:
        yield
    finally:
        remove(lab)
        guard.communicate(timeout=_END_WITHIN_S)


def main() -> None:
    lab = LabName.of(sys.argv[1])
    assert lab is not None
    sys.stdin.buffer.read()
    remove(lab)


if __name__ == "__main__":
    main()
