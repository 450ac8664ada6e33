"""What processes cost, read from the kernel."""

import os
import subprocess
import sys

import pytest

from node.errors import FieldmeshError
from simulations.bench import footprint
from simulations.bench.footprint import memory_of, processor_s_of

ROLLUP = """\
55d0c1a9d000-7ffd6b5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               30720 kB
Pss:               20480 kB
Pss_Dirty:          8192 kB
"""


def test_sizes_are_read_in_bytes() -> None:
    assert footprint._rollup(ROLLUP) == {"Rss": 31_457_280, "Pss": 20_971_520, "Pss_Dirty": 8_388_608}


def test_a_command_with_spaces_and_brackets_does_not_shift_the_ticks() -> None:
    stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 500 0 3 0 120 34 9 9 20 0 1 0 12345 0 0"
    assert footprint._ticks(stat) == 154


def test_our_own_process_has_a_share_that_is_no_larger_than_the_whole() -> None:
    memory = memory_of(os.getpid())
    assert 0 < memory.pss_bytes <= memory.rss_bytes


def test_processor_time_grows_with_work() -> None:
    before = processor_s_of(os.getpid())
    while processor_s_of(os.getpid()) == before:
        pass
    assert processor_s_of(os.getpid()) > before


def test_a_process_that_is_gone_is_named() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(FieldmeshError, match=f"/proc/{process.pid}/stat cannot be read"):
        processor_s_of(process.pid)
