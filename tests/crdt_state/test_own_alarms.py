"""Alarms of a node about its own copy of the shared state."""

from crdt_state.own_alarms import OwnAlarms, standing
from tests.crdt_state.worlds import Worlds, is_active
from tests.mesh.cores import at

DIVERGED = {"document-diverged": "being repaired: asset"}
NAME = "mesh/a#document-diverged"


def alone() -> tuple[Worlds, OwnAlarms]:
    worlds = Worlds(1)
    worlds.run(1)
    return worlds, OwnAlarms(worlds.state(0))


def test_a_finding_is_raised_once_and_returned_once() -> None:
    worlds, alarms = alone()
    state = worlds.state(0)
    before = state.seq
    for _ in range(5):
        alarms.tick(DIVERGED, at(worlds.now))
    assert is_active(worlds, 0, NAME)
    assert state.seq == before + 1
    for _ in range(5):
        alarms.tick({}, at(worlds.now))
    assert not is_active(worlds, 0, NAME)
    assert state.seq == before + 2


def test_what_stands_is_told_by_its_code_until_it_is_over() -> None:
    worlds, alarms = alone()
    alarms.tick(DIVERGED, at(worlds.now))
    assert standing(worlds.state(0), at(worlds.now)) == DIVERGED
    alarms.tick({}, at(worlds.now))
    assert standing(worlds.state(0), at(worlds.now)) == {}


def test_a_halted_node_writes_nothing() -> None:
    worlds, alarms = alone()
    worlds.state(0).fabric.halted = "for a test"
    before = worlds.state(0).seq
    alarms.tick(DIVERGED, at(worlds.now))
    assert worlds.state(0).seq == before


def test_nothing_is_written_while_all_is_well() -> None:
    worlds, alarms = alone()
    before = worlds.state(0).seq
    alarms.tick({}, at(worlds.now))
    assert worlds.state(0).seq == before


def test_what_is_over_after_a_restart_is_returned() -> None:
    worlds, alarms = alone()
    alarms.tick(DIVERGED, at(worlds.now))
    worlds.state(0).save_rows()
    worlds.run(1)
    worlds.restart(0, 2)
    worlds.run(3)
    assert not is_active(worlds, 0, NAME)
