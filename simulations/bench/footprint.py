"""What processes cost: memory with shared pages counted by their share, and processor time."""

import os
from pathlib import Path
from typing import NamedTuple

from node.errors import FieldmeshError

BYTES_PER_KB = 1024  # as the kernel means it
_USER_TICKS, _SYSTEM_TICKS = 11, 12  # fields of /proc/PID/stat, counted behind the command's closing bracket


class Memory(NamedTuple):
    """`pss_bytes`: each page divided by how many processes share it. `rss_bytes`: each page in full."""

    pss_bytes: int
    rss_bytes: int


def memory_of(pid: int) -> Memory:
    """What a process holds now, or FieldmeshError."""
    rollup = _rollup(_read(pid, "smaps_rollup"))
    return Memory(rollup["Pss"], rollup["Rss"])


def processor_s_of(pid: int) -> float:
    """The processor time of all threads of a process since it began, or FieldmeshError."""
    return _ticks(_read(pid, "stat")) / os.sysconf("SC_CLK_TCK")


def _rollup(text: str) -> dict[str, int]:
    """The sizes in bytes, by name."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return {row[0].rstrip(":"): int(row[1]) * BYTES_PER_KB for row in rows}


def _ticks(text: str) -> int:
    fields = text.rpartition(")")[2].split()
    return int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])


def _read(pid: int, file: str) -> str:
    path = Path("/proc", str(pid), file)
    try:
        return path.read_text()
    except OSError as error:
        raise FieldmeshError(
            f"{path} cannot be read: {error.strerror}", "this measurement needs Linux 4.14 or later"
        ) from None
