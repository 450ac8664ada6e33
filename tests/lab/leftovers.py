"""What a lab has left on this machine, looked at with no help from the lab's own code."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def leftovers(lab: str) -> list[str]:
    """Namespaces, folders and processes that carry the lab's name."""
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
    folders = [str(path) for path in Path("/tmp").glob("fmlab-*")]
    return [each for each in [*names, *folders, *_command_lines()] if lab in each]


def interfaces() -> list[str]:
    """The network interfaces of the machine itself."""
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def await_that(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come to pass within {within_s} s")
        time.sleep(0.02)


def _command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text().replace("\0", " "))
        except OSError:
            continue  # it has just ended
    return lines
