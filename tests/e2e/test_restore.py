"""A home restored from a backup: the node works, and nobody mistakes it for its own past."""

import shutil
import time

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import all_linked, until

pytestmark = [pytest.mark.io]


def test_a_home_that_is_restored_from_an_old_backup_is_heard_by_everybody(running: Plant) -> None:
    first, second, third = running
    third.stop()
    backup = third.folder / "backup"
    shutil.copytree(third.home, backup, ignore=shutil.ignore_patterns("run"))
    for _ in range(2):  # and life goes on
        third.start()
        all_linked(running)
        third.stop()
    used, stopped = first.peers()["press-3"]["incarnation"], time.time()
    until(
        lambda: time.time() > stopped + 1.0, "a second, which is less than anybody takes to restore a backup"
    )
    shutil.rmtree(third.home)
    shutil.move(backup, third.home)
    third.start()
    all_linked(running)
    assert third.status()["halted"] == ""
    for machine in (first, second):
        machine.until(lambda: machine.peers()["press-3"]["incarnation"] > used, "a number of its own")  # noqa: B023 - called here
    second.until(lambda: second.findings() == [], "all is well")
    assert not any("identity-cloned" in machine.log for machine in running)
