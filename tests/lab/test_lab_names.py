"""A lab's name tells whose it is, and whether that process still lives."""

import os
import subprocess
from pathlib import Path

from simulations.lab.names import LabName


def test_my_lab_is_alive_and_its_things_are_known_by_their_names() -> None:
    mine = LabName.mine()
    assert mine.pid == os.getpid()
    assert mine.is_alive()
    assert LabName.of(mine.namespace("switch")) == mine
    assert LabName.of(mine.namespace("node-12")) == mine
    assert LabName.of(mine.folder().name) == mine


def test_names_that_are_no_lab_s_belong_to_nobody() -> None:
    for name in (
        "blue",
        "fmlab",
        "fmlab-",
        "fmlab-12",
        "fmlab-x-1-switch",
        "fmlab-1-2-../up",
        "xfmlab-1-2-switch",
    ):
        assert LabName.of(name) is None


def test_a_pid_that_was_given_to_another_process_is_not_the_lab() -> None:
    mine = LabName.mine()
    assert not LabName(mine.pid, mine.started + 1).is_alive()


def test_a_lab_that_ended_is_dead_even_before_its_parent_collects_it() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        started = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
        lab = LabName(child.pid, started)
        assert lab.is_alive()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not collected
        assert not lab.is_alive()
    assert not lab.is_alive()
