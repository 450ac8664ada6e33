"""A node whose clock was a year ahead: its writes wait, win nothing, and appear when it is put right."""

import pytest

from crdt_state.record import Register
from tests.crdt_state.worlds import Worlds, is_active

YEAR_MS = 365 * 86_400_000


def with_one_ahead(count: int) -> Worlds:
    """The last node has written while it was alone, and its clock a year ahead; then it meets the others."""
    worlds = Worlds(count)
    worlds.form()
    worlds.run(3)
    worlds.asset(0, "site/tank", type="old")
    worlds.become_equal()
    last = count - 1
    worlds.cut(last)
    worlds.restart(last, 2, clock_ms=YEAR_MS)
    worlds.run(1)
    worlds.asset(last, "site/tank", type="from the future")
    worlds.asset(last, "site/new", type="from the future")
    worlds.run(1)
    return worlds


def test_with_two_peers_it_is_dated_anew_and_appears_everywhere() -> None:
    worlds = with_one_ahead(4)
    worlds.heal()
    worlds.until(lambda: worlds.values("asset", "site/new") == [{"type": "from the future"}] * 4)
    worlds.become_equal()
    worlds.asset(0, "site/tank", type="newest")
    worlds.become_equal()
    worlds.run(5)
    assert worlds.values("asset", "site/tank") == [{"type": "newest"}] * 4
    assert not any(worlds.state(place).waiting for place in range(4))


def test_until_then_it_waits_outside_the_view_of_the_others() -> None:
    worlds = with_one_ahead(2)
    worlds.heal()
    worlds.run(20)
    assert worlds.value(0, "asset", "site/new") is None
    assert worlds.value(0, "asset", "site/tank") == {"type": "old"}
    assert is_active(worlds, 0, "mesh/a#records-from-the-future")


@pytest.mark.parametrize("count", [2, 4])
def test_when_its_clock_is_put_right_its_writes_are_dated_anew(count: int) -> None:
    worlds = with_one_ahead(count)
    worlds.restart(count - 1, 3)
    worlds.run(2)
    worlds.heal()
    worlds.until(lambda: worlds.values("asset", "site/new") == [{"type": "from the future"}] * count)
    worlds.become_equal()
    worlds.asset(0, "site/tank", type="newest")
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "newest"}] * count
    worlds.run(10)
    assert not is_active(worlds, 0, "mesh/a#records-from-the-future")


def test_a_clock_that_is_put_right_while_the_node_runs_is_noticed() -> None:
    worlds = with_one_ahead(2)
    worlds.processes[1].clock_ms = 0
    worlds.heal()
    worlds.until(lambda: worlds.values("asset", "site/new") == [{"type": "from the future"}] * 2)
    worlds.become_equal()
    assert not any(worlds.state(place).waiting for place in range(2))


def test_the_only_member_of_a_site_trusts_its_own_clock() -> None:
    worlds = Worlds(1)
    worlds.run(1)
    worlds.restart(0, 2, clock_ms=YEAR_MS)
    worlds.asset(0, "site/tank", type="from the future")
    worlds.restart(0, 3)
    worlds.until(lambda: worlds.value(0, "asset", "site/tank") is not None)
    assert not worlds.state(0).waiting


def test_what_is_written_after_a_restart_is_dated_later_than_all_that_was_held_before() -> None:
    worlds = Worlds(1)
    worlds.run(1)
    worlds.asset(0, "site/tank", type="tank")
    before = worlds.state(0).view.versions(Register("asset", "site/tank")).heads()[0].time
    worlds.restart(0, 2, clock_ms=-60_000)
    worlds.asset(0, "site/pump", type="pump")
    assert worlds.state(0).view.versions(Register("asset", "site/pump")).heads()[0].time > before
