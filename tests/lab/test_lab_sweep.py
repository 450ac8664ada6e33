"""What a dead lab has left is removed, and what a live one uses is not touched."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.lab.names import LabName
from simulations.lab.sweep import dead_labs, processes_in, remove, sweep
from tests.lab.leftovers import await_that, leftovers

pytestmark = [pytest.mark.root, pytest.mark.io]

DEAD = LabName(LabName.mine().pid, 1)  # this pid, but started at boot: somebody else's, long ago


@pytest.fixture
def dead_lab() -> Iterator[subprocess.Popen[bytes]]:
    """A namespace with a process in it and a folder, of a lab that is gone."""
    namespace = DEAD.namespace("node-1")
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    DEAD.folder().mkdir()
    (DEAD.folder() / "n1.log").write_text("the end")
    process = subprocess.Popen(["ip", "netns", "exec", namespace, "sleep", "60"])
    await_that(lambda: processes_in([namespace]) == [process.pid], within_s=10)
    yield process
    process.kill()
    process.wait()
    remove(DEAD)


def test_a_dead_lab_s_processes_namespaces_and_folder_are_swept(dead_lab: "subprocess.Popen[bytes]") -> None:
    assert DEAD in dead_labs()
    removed = sweep()
    assert f"namespace {DEAD.namespace('node-1')}" in removed
    assert f"folder {DEAD.folder()}" in removed
    assert dead_lab.wait(5) == -9
    assert leftovers(str(DEAD)) == []


def test_a_live_lab_is_not_swept() -> None:
    mine = LabName.mine()
    subprocess.run(["ip", "netns", "add", mine.namespace("switch")], check=True)
    mine.folder().mkdir()
    try:
        sweep()
        assert sorted(leftovers(str(mine))) == sorted([mine.namespace("switch"), str(mine.folder())])
    finally:
        remove(mine)
    assert leftovers(str(mine)) == []


def test_a_link_in_the_place_of_a_lab_s_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    DEAD.folder().symlink_to(tmp_path)
    try:
        assert DEAD not in dead_labs()
        sweep()
        assert (tmp_path / "precious").read_text() == "keep"
    finally:
        DEAD.folder().unlink()
