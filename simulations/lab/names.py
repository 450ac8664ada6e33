"""What a lab is called: by the process that runs it, so that anybody can tell a live lab's things from a dead one's."""

import os
import re
from pathlib import Path
from typing import NamedTuple

# the sweeper takes only root's own folders there: nobody else can lay one in its way
FOLDERS = Path("/tmp")  # noqa: S108 - not TMPDIR's place: the next lab must find it, and sockets need a short path
_NAME = re.compile(r"fmlab-(\d{1,10})-(\d{1,20})(?:-[a-z0-9-]{1,60})?")
_STATE, _START = 0, 19  # fields of /proc/PID/stat, counted behind the command's closing bracket


class LabName(NamedTuple):
    """A process and the tick of its start: the pid alone may have been given to somebody else since."""

    pid: int
    started: int

    def __str__(self) -> str:
        return f"fmlab-{self.pid}-{self.started}"

    @classmethod
    def mine(cls) -> "LabName":
        pid = os.getpid()
        return cls(pid, _started(pid) or 0)

    @classmethod
    def of(cls, text: str) -> "LabName | None":
        """The lab to which a namespace or a folder of this name belongs, if it is a lab's at all."""
        match = _NAME.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    def is_alive(self) -> bool:
        return _started(self.pid) == self.started

    def namespace(self, part: str) -> str:
        return f"{self}-{part}"

    def folder(self) -> Path:
        return FOLDERS / str(self)


def _started(pid: int) -> int | None:
    """When a process started, in ticks since boot; None when there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[_STATE] in "ZX" else int(fields[_START])
