"""The conflict ledger: what lost is written down once, wherever it was noticed."""

import pytest

from crdt_state.kinds import conflict
from crdt_state.record import Register, decode_record
from mesh.events import RecordsChanged
from tests.crdt_state.records import DAY, NOW, Cut
from tests.crdt_state.worlds import TODAY, Worlds

TANK = Register("asset", "site/tank")


def entries(worlds: Worlds, place: int = 0) -> list[conflict.Conflict]:
    return [conflict.view(item, 0)[0] for item in worlds.state(place).view.items("conflict")]


def conflicting(count: int = 4, label: str = "worlds") -> Worlds:
    worlds = Worlds(count, label=label)
    worlds.form()
    worlds.cut(0, 1)
    worlds.run(0.1)
    worlds.asset(0, "site/tank", type="left")
    worlds.asset(count - 1, "site/tank", type="right")
    worlds.run(1)
    return worlds


def test_all_notice_and_one_entry_is_written() -> None:
    worlds = conflicting()
    worlds.heal()
    worlds.become_equal()
    worlds.run(6)
    assert [len(entries(worlds, place)) for place in range(4)] == [1, 1, 1, 1]
    (entry,) = entries(worlds)
    assert entry.register == ("asset", "site/tank", "")
    sides = [decode_record(blob) for blob in (entry.winner, *entry.losers)]
    assert {side.author for side in sides} == {worlds.processes[0].node, worlds.processes[3].node}
    assert [side.time for side in sides] == sorted((side.time for side in sides), reverse=True)
    assert "a and d" in entry.cause or "d and a" in entry.cause


def test_entries_of_one_conflict_have_one_name_even_when_written_by_two() -> None:
    worlds = conflicting()
    worlds.heal()
    worlds.run(0.3)
    worlds.cut(0, 1)  # again, before anybody has written it down
    worlds.run(6)
    worlds.heal()
    worlds.become_equal()
    worlds.run(6)
    assert len(entries(worlds)) == 1


def test_what_lost_is_kept_also_when_its_winner_writes_on_at_once() -> None:
    worlds = conflicting()
    worlds.heal()
    worlds.until(lambda: len(worlds.state(0).view.versions(TANK).heads()) == 2)
    worlds.asset(0, "site/tank", type="left, again")
    worlds.run(6)
    (entry,) = entries(worlds, 3)
    assert {decode_record(blob).body["type"] for blob in (entry.winner, *entry.losers)} == {"left", "right"}


def test_writers_that_say_the_same_are_no_conflict() -> None:
    worlds = Worlds(2)
    worlds.form()
    worlds.cut(0)
    worlds.asset(0, "site/tank", type="tank")
    worlds.asset(1, "site/tank", type="tank")
    worlds.heal()
    worlds.become_equal()
    worlds.run(6)
    assert entries(worlds) == []


@pytest.mark.parametrize(
    ("kind", "item", "facet"), [("fact", "site/tank#full", ""), ("task", f"{TODAY}-1", "claim")]
)
def test_where_the_kind_merges_by_itself_nothing_has_lost(kind: str, item: str, facet: str) -> None:
    worlds = Worlds(2)
    worlds.form()
    worlds.cut(0)
    for place in range(2):
        body = {"value": place, "owner": worlds.processes[place].node, "until_ms": NOW + DAY, "since": place}
        assert worlds.write(place, kind, item, body, facet)
    worlds.heal()
    worlds.become_equal()
    worlds.run(6)
    assert entries(worlds) == []


def test_an_entry_is_done_with_when_it_is_settled_or_a_month_old() -> None:
    cut = Cut("conflict", f"{TODAY}-1")
    cut.raw(0, "", {"cause": "a and b"})
    assert not conflict.is_closed(cut.item(), NOW + 29 * DAY)
    assert conflict.is_closed(cut.item(), NOW + 31 * DAY)
    cut.raw(0, "settled", {"by": "ann", "choice": "x"}, NOW + DAY)
    assert conflict.is_closed(cut.item(), NOW + DAY)


def test_conflicts_are_news() -> None:
    worlds = conflicting()
    worlds.heal()
    worlds.run(6)
    day = {each.document for each in worlds.news(0, RecordsChanged) if each.document.startswith("conflict:")}
    assert day == {f"conflict:{TODAY}"} or len(day) == 1
