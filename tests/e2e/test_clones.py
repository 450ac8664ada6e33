"""A home that was copied: both say so, loudly, and the one that started later stops writing."""

import shutil

import pytest

from node.errors import FieldmeshError
from tests.e2e.conftest import Plant
from tests.e2e.machines import Machine, all_linked, free_ports, until

pytestmark = [pytest.mark.io]


@pytest.fixture
def clone(running: Plant) -> Machine:
    """The running third node's folder, copied to another computer and started there."""
    third = running[2]
    place = third.folder / "another-computer"
    shutil.copytree(third.home, place / third.name, ignore=shutil.ignore_patterns("run"))
    copy = Machine(place, third.name, *free_ports(2))
    copy.settings["FABRIC_PORT"] = str(copy.port)
    return copy


def says_cloned(machine: Machine) -> bool:
    return any("critical" in line and "identity-cloned" in line for line in machine.log.splitlines())


def test_both_say_so_and_the_later_one_stops_writing(running: Plant, clone: Machine) -> None:
    first, second, third = running
    try:
        clone.start()
        clone.until(lambda: clone.status()["halted"], "the copy knows")
        for machine in (third, clone):
            until(lambda: says_cloned(machine), f"{machine.home} says it", 20, lambda: machine.log)  # noqa: B023 - called here
        assert "started earlier" in clone.json("status")["halted"]
        assert third.json("status")["halted"] == ""
        with pytest.raises(FieldmeshError, match="takes no part"):
            clone.ask("cast", topic="news", text="from the copy")
        all_linked(running)
        assert third.ask("cast", topic="news", text="from the original")["links"] == 2
        assert "identity-twice" in first.findings() + second.findings()
        assert third.json("check", code=20)["findings"][0]["code"] == "identity-twice"
        assert clone.json("check", code=20)["healthy"] is False
    finally:
        clone.end()


def test_a_restart_is_no_clone(running: Plant) -> None:
    _, second, third = running
    third.kill()
    third.start()
    all_linked(running)
    second.stop()
    second.start()
    all_linked(running)
    assert not any("identity-cloned" in machine.log for machine in running)
    assert all(machine.status()["halted"] == "" for machine in running)


def test_a_home_that_moved_to_another_computer_is_no_clone(running: Plant, clone: Machine) -> None:
    first, second, third = running
    third.stop()
    try:
        clone.start()
        all_linked([first, second, clone])
        assert first.peers()["press-3"]["incarnation"] == clone.status()["incarnation"]
        assert not any("identity-cloned" in machine.log for machine in (first, second, clone))
    finally:
        clone.end()
