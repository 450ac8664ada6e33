"""A member that was away for longer than everybody waits: nothing returns from the dead, and nothing new is lost."""

from copy import deepcopy

import pytest

from crdt_state.quarantine import Aside
from crdt_state.record import Register
from mesh.events import Counted, StopRequested, WorldTrouble
from tests.crdt_state.worlds import (
    DAY_S,
    TODAY,
    Worlds,
    end_alarm,
    finish_task,
    is_active,
    make_history,
    offer_task,
    raise_alarm,
)
from tests.mesh.cores import at

AWAY = 2
TASK = f"{TODAY}-1"


def site_with_history(label: str = "worlds") -> Worlds:
    """Three nodes, with things that will be gone when the third returns."""
    worlds = Worlds(3, label=label)
    worlds.form()
    worlds.run(6)
    for name in ("old", "older", "mine", "kept", "touched"):
        worlds.asset(AWAY if name == "mine" else 0, f"site/{name}", type="pump")
    raise_alarm(worlds, 0, "site/line#hot", "first")
    raise_alarm(worlds, 1, "site/line#stale", "first")
    offer_task(worlds, 0, TASK, "clean the filter")
    worlds.become_equal()
    worlds.run(2)
    return worlds


def sixty_days_without_the_third(worlds: Worlds, is_down: bool = False) -> None:
    worlds.cut(AWAY)
    worlds.run(2)
    if is_down:
        worlds.crash(AWAY)
    for name in ("old", "older", "mine", "touched"):
        worlds.asset(1, f"site/{name}")
    for name in ("site/line#hot", "site/line#stale"):
        end_alarm(worlds, 0, name)
    finish_task(worlds, 1, TASK)
    worlds.run(35 * DAY_S)
    make_history(worlds, (0, 1))
    worlds.run(25 * DAY_S)
    assert worlds.item(0, "asset", "site/old") is None
    assert worlds.item(0, "alarm", "site/line#hot") is None
    assert worlds.item(0, "task", TASK) is None


def write_alone(worlds: Worlds) -> None:
    worlds.asset(AWAY, "site/new", type="new")
    worlds.asset(AWAY, "site/touched", type="changed")
    worlds.asset(AWAY, "site/mine", type="changed")
    worlds.asset(AWAY, "site/mine", type="changed twice")
    raise_alarm(worlds, AWAY, "site/line#fresh", "alone")
    end_alarm(worlds, AWAY, "site/line#hot")
    raise_alarm(worlds, AWAY, "site/line#hot", "again")


def check_all_is_well(worlds: Worlds) -> None:
    for name in ("old", "older", "mine", "touched"):
        assert worlds.values("asset", f"site/{name}") == [None] * 3, name
    assert worlds.values("asset", "site/new") == [{"type": "new"}] * 3
    assert worlds.values("asset", "site/kept") == [{"type": "pump"}] * 3
    assert worlds.values("task", TASK, "offer") == [None] * 3
    for place in range(3):
        assert is_active(worlds, place, "site/line#fresh")
        assert is_active(worlds, place, "site/line#hot")
        assert not is_active(worlds, place, "site/line#stale")
    aside = {each.item for each in worlds.aside(AWAY)}
    assert {"site/touched", "site/mine"} <= aside
    assert "site/new" not in aside
    assert [worlds.aside(place) for place in (0, 1)] == [[], []]


def test_after_sixty_days_only_what_is_new_returns() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    worlds.heal()
    worlds.become_equal()
    worlds.run(20)
    check_all_is_well(worlds)


def test_what_was_put_aside_stays_aside_after_restarts_and_months() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    worlds.heal()
    worlds.become_equal()
    aside = worlds.aside(AWAY)
    worlds.restart(AWAY, 2)
    worlds.become_equal()
    assert worlds.aside(AWAY) == aside
    check_all_is_well(worlds)
    worlds.run(70 * DAY_S)
    worlds.restart(AWAY, 3)
    worlds.become_equal()
    assert worlds.aside(AWAY) == aside
    assert worlds.values("asset", "site/touched") == [None] * 3


@pytest.mark.parametrize("step_s", [0.005, 0.02, 0.05, 0.2, 0.5, 1.0, 2.5])
def test_a_crash_in_the_middle_of_the_return_changes_nothing(step_s: float) -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    worlds.heal()
    worlds.until(lambda: worlds.processes[0].core.state.links.is_linked(worlds.processes[AWAY].node))
    worlds.run(step_s)
    worlds.restart(AWAY, 2)
    worlds.run(0.1)
    worlds.restart(AWAY, 3)
    worlds.run(3)
    worlds.become_equal()
    worlds.run(10)
    check_all_is_well(worlds)


def test_a_node_that_slept_returns_like_one_that_was_cut_off() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds, is_down=True)
    worlds.heal()
    worlds.restart(AWAY, 2)
    worlds.run(3)
    worlds.become_equal()
    worlds.run(10)
    check_all_is_well(worlds)


def test_a_stop_in_the_middle_of_the_return_saves_no_half_of_it() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    for number in range(300):
        worlds.asset(0, f"site/bulk{number}", note="x" * 1000)  # so that the content takes some time
    worlds.run(1)
    worlds.heal()
    worlds.until(lambda: worlds.is_busy(AWAY))
    worlds.tell(worlds.processes[AWAY], StopRequested())
    worlds.restart(AWAY, 2)
    worlds.run(3)
    worlds.become_equal()
    worlds.run(10)
    check_all_is_well(worlds)


def test_a_generation_built_while_it_returns_does_not_make_it_a_member_that_was_asked() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    worlds.is_lost = lambda data: b"before" in data and b"digest" in data  # headers do not reach it
    worlds.heal()
    worlds.run(8)  # it says what it holds, and is counted again
    make_history(worlds)
    worlds.run(8)
    worlds.is_lost = lambda _: False
    worlds.become_equal()
    worlds.run(10)
    check_all_is_well(worlds)


def test_merging_writes_anew_and_discarding_forgets() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    worlds.heal()
    worlds.become_equal()
    listed = worlds.world(AWAY).quarantine.listed()
    merged = [each.key for each in listed if each.record.register.item == "site/touched"]
    mine = [each.key for each in merged_of(worlds) if each.record.author == worlds.processes[AWAY].node]
    discarded = [each.key for each in listed if each.key not in merged]
    worlds.decide(AWAY, mine, is_merged=True)
    worlds.decide(AWAY, [*discarded, *merged, "no such key"], is_merged=False)
    assert worlds.aside(AWAY) == []
    worlds.restart(AWAY, 2)
    worlds.become_equal()
    assert worlds.aside(AWAY) == []
    assert worlds.values("asset", "site/touched") == [{"type": "changed"}] * 3
    assert worlds.values("asset", "site/mine") == [None] * 3
    worlds.run(10)
    assert worlds.values("asset", "site/touched") == [{"type": "changed"}] * 3


def merged_of(worlds: Worlds) -> list[Aside]:
    listed = worlds.world(AWAY).quarantine.listed()
    return [each for each in listed if each.record.register.item == "site/touched"]


def test_what_cannot_be_merged_stays() -> None:
    worlds = site_with_history()
    state, quarantine = worlds.state(AWAY), worlds.world(AWAY).quarantine
    assert worlds.write(0, "capability", worlds.processes[0].node, {"roles": ["press"]})
    worlds.become_equal()
    register = Register("capability", worlds.processes[0].node)
    (record,) = state.view.versions(register).by_author.values()
    quarantine.put(record, "a test", at(worlds.now))
    (aside,) = quarantine.listed()
    worlds.decide(AWAY, [aside.key], is_merged=True)
    assert worlds.aside(AWAY) == [register]
    assert worlds.counters(AWAY)["record-not-allowed"] == 1


def test_there_is_an_alarm_as_long_as_something_is_put_aside() -> None:
    worlds = site_with_history()
    worlds.cut(AWAY)
    worlds.run(1)
    write_alone(worlds)
    sixty_days_without_the_third(worlds)
    worlds.heal()
    worlds.become_equal()
    worlds.run(5)
    assert is_active(worlds, 0, "mesh/c#records-in-quarantine")
    worlds.decide(AWAY, [each.key for each in worlds.world(AWAY).quarantine.listed()], is_merged=False)
    worlds.run(5)
    assert not is_active(worlds, 0, "mesh/c#records-in-quarantine")


# -- restored backups


@pytest.mark.parametrize(("has_written", "is_late"), [(True, False), (False, False), (False, True)])
def test_a_restored_backup_brings_nothing_back(has_written: bool, is_late: bool) -> None:
    worlds = site_with_history()
    backup = deepcopy(worlds.processes[AWAY].store)
    if has_written:
        worlds.asset(AWAY, "site/after-backup", type="new")
    worlds.run(2)
    for name in ("old", "older", "mine", "touched"):
        worlds.asset(1, f"site/{name}")
    end_alarm(worlds, 0, "site/line#hot")
    make_history(worlds)
    worlds.run(20 * DAY_S)
    assert worlds.item(0, "asset", "site/old") is None  # the third has acknowledged it
    worlds.crash(AWAY)
    store = worlds.processes[AWAY].store
    store.clear()
    store.update(backup)
    worlds.is_lost = lambda data: is_late and b"docs" in data  # what would tell it that it has forgotten
    worlds.restart(AWAY, 2)
    if is_late:
        worlds.run(3)
        worlds.is_lost = lambda _: False
    worlds.asset(AWAY, "site/restored", type="after the restore")
    worlds.run(5)
    worlds.become_equal()
    worlds.run(10)
    for name in ("old", "older", "mine", "touched"):
        assert worlds.values("asset", f"site/{name}") == [None] * 3, name
    assert worlds.values("asset", "site/restored") == [{"type": "after the restore"}] * 3
    if has_written:
        assert worlds.values("asset", "site/after-backup") == [{"type": "new"}] * 3
    assert "world-forgotten" in {each.code for each in worlds.news(AWAY, WorldTrouble)}
    assert not [each for place in (0, 1) for each in worlds.news(place, Counted) if "equivoc" in each.name]


def test_forgetting_is_over_after_some_time_among_peers() -> None:
    worlds = site_with_history()
    backup = deepcopy(worlds.processes[AWAY].store)
    worlds.asset(AWAY, "site/after-backup", type="new")
    worlds.run(2)
    store = worlds.processes[AWAY].store
    store.clear()
    store.update(backup)
    worlds.restart(AWAY, 2)
    worlds.run(5)
    assert worlds.state(AWAY).has_forgotten
    assert is_active(worlds, 0, "mesh/c#own-writes-forgotten")
    worlds.run(75)
    assert not worlds.state(AWAY).has_forgotten
    assert not is_active(worlds, 0, "mesh/c#own-writes-forgotten")


def test_a_node_that_let_go_of_its_own_writes_has_not_forgotten_them() -> None:
    worlds = site_with_history()
    worlds.asset(1, "site/mine")
    make_history(worlds)
    worlds.run(20 * DAY_S)
    assert worlds.item(0, "asset", "site/mine") is None
    worlds.restart(AWAY, 2)
    worlds.run(20)
    assert not worlds.state(AWAY).has_forgotten
