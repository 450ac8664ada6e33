"""New generations: everybody ends with the same, whatever happens while they are built and followed."""

from typing import Any

import msgspec
import pytest
from pycrdt import Doc, Map

from crdt_state.building import Building
from crdt_state.library import FORM_TABLE
from crdt_state.update import ROOT
from mesh.events import LeaveRequested, Persist, RemovalRequested, WorldTrouble, WriteRequested
from mesh.ids import short_of
from tests.crdt_state.worlds import (
    DAY_S,
    QUICK,
    Worlds,
    built,
    end_alarm,
    is_active,
    make_history,
    raise_alarm,
)
from tests.mesh.cores import at


def formed(count: int, label: str = "worlds") -> Worlds:
    worlds = Worlds(count, label=label)
    worlds.form()
    worlds.run(6)  # everybody has said what it holds
    return worlds


def test_a_rebuild_keeps_every_record_and_gives_the_same_bytes_everywhere() -> None:
    worlds = formed(3)
    for number in range(20):
        worlds.asset(number % 3, f"site/tank{number}", type="tank")
    make_history(worlds, (0, 1, 2))
    worlds.until(built(worlds, "asset"))
    worlds.run(5)
    assert worlds.are_equal()
    assert len(worlds.forms("asset")) == len(worlds.marks("asset")) == 1
    assert worlds.values("asset", "site/tank7") == [{"type": "tank"}] * 3
    document = worlds.document(1, "asset")
    assert document is not None
    assert len(document.state()) < 1.3 * document.bytes_held


def test_no_content_travels_when_everybody_holds_it() -> None:
    worlds = formed(3)
    make_history(worlds)
    worlds.become_equal()
    worlds.until(built(worlds, "asset"))
    worlds.run(3)
    assert all(worlds.counters(place)["resync-generation"] == 0 for place in range(3))
    assert [worlds.counters(place)["generation-followed"] for place in range(3)] == [1, 1, 1]


def test_only_one_of_several_builds() -> None:
    worlds = formed(4)
    make_history(worlds)
    worlds.until(built(worlds, "asset"))
    worlds.run(10)
    assert sum(worlds.counters(place)["generation-built"] for place in range(4)) == 1


@pytest.mark.parametrize("days", [10, 45])
def test_two_halves_of_a_cut_that_both_build_end_equal_with_everything(days: float) -> None:
    worlds = formed(4)
    for name in ("a", "b", "c", "d"):
        worlds.asset(0, f"site/{name}", type="common")
    worlds.become_equal()
    worlds.cut(0, 1)
    worlds.run(1)
    worlds.asset(0, "site/left", type="left")
    worlds.asset(2, "site/right", type="right")
    worlds.asset(1, "site/a", type="changed left")
    worlds.asset(3, "site/b", type="changed right")
    make_history(worlds, (0, 1))
    make_history(worlds, (2, 3))
    worlds.run(days * DAY_S)
    have_built = worlds.number(0, "asset") >= 1 and worlds.number(2, "asset") >= 1
    assert have_built == (days > 30)  # what was replaced is kept as long as it must be
    worlds.heal()
    worlds.become_equal()
    expected = {"left": "left", "right": "right", "a": "changed left", "b": "changed right", "c": "common"}
    for name, type_ in expected.items():
        assert worlds.values("asset", f"site/{name}") == [{"type": type_}] * 4
    assert [worlds.aside(place) for place in range(4)] == [[], [], [], []]
    assert len(worlds.marks("asset")) == 1


def test_what_one_half_collected_does_not_return_with_the_other() -> None:
    worlds = formed(4)
    worlds.asset(0, "site/old", type="pump")
    worlds.asset(0, "site/kept", type="pump")
    worlds.become_equal()
    worlds.cut(0, 1)
    worlds.run(35 * DAY_S)
    worlds.asset(0, "site/old")  # deleted on the left
    make_history(worlds, (0, 1))
    make_history(worlds, (2, 3))
    worlds.run(10 * DAY_S)
    make_history(worlds, (2, 3))
    worlds.run(10 * DAY_S)
    assert worlds.item(0, "asset", "site/old") is None
    worlds.heal()
    worlds.become_equal()
    worlds.run(5)
    assert worlds.values("asset", "site/old") == [None] * 4
    assert worlds.values("asset", "site/kept") == [{"type": "pump"}] * 4


def test_what_is_deleted_waits_for_a_member_that_is_away_but_not_for_long() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/old", type="pump")
    worlds.become_equal()
    worlds.cut(2)
    worlds.run(1)
    worlds.asset(0, "site/old")
    make_history(worlds)
    worlds.run(15 * DAY_S)
    assert worlds.item(0, "asset", "site/old") is not None  # the deletion is kept for the one that is away
    worlds.run(20 * DAY_S)
    make_history(worlds)
    worlds.run(10 * DAY_S)
    assert worlds.item(0, "asset", "site/old") is None


def test_a_removed_member_holds_up_nothing() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/old", type="pump")
    worlds.become_equal()
    worlds.crash(2)
    worlds.tell(worlds.processes[0], RemovalRequested(worlds.processes[2].node, "scrapped"))
    worlds.asset(0, "site/old")
    make_history(worlds)
    worlds.run(10 * DAY_S)
    assert [worlds.item(place, "asset", "site/old") for place in (0, 1)] == [None, None]


def test_a_member_that_has_left_holds_up_nothing() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/old", type="pump")
    worlds.become_equal()
    worlds.tell(worlds.processes[2], LeaveRequested())
    worlds.run(0.1)
    worlds.crash(2)
    worlds.asset(0, "site/old")
    make_history(worlds)
    worlds.run(10 * DAY_S)
    assert [worlds.item(place, "asset", "site/old") for place in (0, 1)] == [None, None]


def test_a_document_in_which_everything_is_done_is_dropped_and_can_be_written_again() -> None:
    worlds = formed(3)
    raise_alarm(worlds, 0, "site/line#hot", "first")
    worlds.become_equal()
    end_alarm(worlds, 1, "site/line#hot")
    worlds.run(15 * DAY_S)
    assert all(worlds.document(place, "alarm") is None for place in range(3))
    worlds.cut(2)
    raise_alarm(worlds, 0, "site/line#hot", "second")  # its push does not reach the third
    worlds.run(2)
    worlds.heal()
    worlds.until(lambda: is_active(worlds, 2, "site/line#hot"))
    worlds.become_equal()
    end_alarm(worlds, 2, "site/line#hot")
    worlds.run(15 * DAY_S)
    assert all(worlds.document(place, "alarm") is None for place in range(3))


def test_acknowledgements_of_a_dropped_document_do_not_count_for_the_next_of_its_name() -> None:
    worlds = formed(3)
    for number in range(30):
        raise_alarm(worlds, 0, f"site/line#hot{number}", "first")
    worlds.become_equal()
    for number in range(30):
        end_alarm(worlds, 1, f"site/line#hot{number}")
    worlds.run(15 * DAY_S)
    assert worlds.document(0, "alarm") is None
    worlds.cut(2)
    worlds.run(1)
    raise_alarm(worlds, 0, "site/line#hot1", "second")
    worlds.run(0.1)
    end_alarm(worlds, 1, "site/line#hot1")
    worlds.run(12 * DAY_S)  # longer than its retention, shorter than an absence
    assert worlds.item(0, "alarm", "site/line#hot1") is not None


def test_who_does_not_hold_the_content_fetches_it() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.cut(2)
    worlds.run(32 * DAY_S)
    worlds.asset(0, "site/new", type="new")
    make_history(worlds)
    worlds.until(built(worlds, "asset"))
    worlds.run(2)
    worlds.heal()
    worlds.become_equal()
    assert worlds.values("asset", "site/new") == [{"type": "new"}] * 3
    assert worlds.counters(2)["generation-followed"] == 1


def test_what_was_written_meanwhile_is_there_when_the_content_has_come() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.cut(2)
    worlds.asset(0, "site/new", type="new")
    worlds.run(32 * DAY_S)
    make_history(worlds)
    worlds.until(built(worlds, "asset"))
    worlds.asset(2, "site/before", type="before")
    worlds.heal()
    worlds.until(lambda: worlds.document(2, "asset").is_whole is False)  # type: ignore[union-attr]  # it is open
    worlds.asset(2, "site/during", type="during")
    worlds.become_equal()
    assert worlds.values("asset", "site/before") == [{"type": "before"}] * 3
    assert worlds.values("asset", "site/during") == [{"type": "during"}] * 3


def test_when_the_builder_vanishes_with_the_content_the_others_go_on_with_what_they_hold() -> None:
    worlds = formed(3)
    worlds.asset(1, "site/tank", type="tank")
    make_history(worlds)
    worlds.become_equal()
    builder = min(range(3), key=lambda place: worlds.processes[place].node)
    others = [place for place in range(3) if place != builder]
    worlds.is_lost = lambda data: b"last words" in data
    worlds.asset(builder, "site/last", note="last words")
    worlds.until(lambda: worlds.number(others[0], "asset") == 1)
    worlds.crash(builder)
    worlds.run(20)
    assert worlds.are_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 2
    assert not any(worlds.world(place).upkeep.generations.blamed(at(worlds.now)) for place in others)
    worlds.asset(others[0], "site/tank", type="silo")
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "silo"}] * 2
    worlds.is_lost = lambda _: False
    worlds.restart(builder, 2)
    worlds.become_equal()
    assert worlds.values("asset", "site/last") == [{"note": "last words"}] * 3


def test_a_generation_is_followed_in_one_transaction() -> None:
    worlds = formed(2)
    worlds.asset(0, "site/tank", type="tank")
    make_history(worlds)
    worlds.until(lambda: worlds.number(0, "asset") == 1 == worlds.number(1, "asset"))
    for place in range(2):
        (followed,) = [
            each
            for each in worlds.news(place, Persist)
            if any(write.table == FORM_TABLE and write.key == "asset" for write in each.writes)
        ]
        tables = {write.table for write in followed.writes}
        assert {"record:asset", "record:generation", FORM_TABLE} <= tables or place != 0


@pytest.mark.parametrize("lost", ["form", "header"])
def test_a_crash_with_only_half_of_a_generation_on_the_disk_ends_well(lost: str) -> None:
    worlds = formed(3)
    worlds.asset(1, "site/tank", type="tank")
    make_history(worlds)
    worlds.become_equal()
    store = worlds.processes[1].store
    form = store.get(FORM_TABLE, {}).get("asset")
    worlds.until(built(worlds, "asset", place=1))
    worlds.run(1)
    worlds.crash(1)
    if lost == "header":
        store["record:generation"].clear()
        store[FORM_TABLE].pop("generation", None)
    elif form is None:
        store[FORM_TABLE].pop("asset")
    else:
        store[FORM_TABLE]["asset"] = form
    worlds.restart(1, 2)
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 3
    worlds.asset(1, "site/tank", type="silo")
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "silo"}] * 3


def test_a_store_that_has_lost_a_row_does_not_delete_it_everywhere() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    make_history(worlds)
    worlds.until(built(worlds, "asset", place=1))
    worlds.run(2)
    worlds.crash(1)
    rows = worlds.processes[1].store["record:asset"]
    key = next(key for key, record in worlds.document(1, "asset").records.items() if "tank" in str(record))  # type: ignore[union-attr]  # it is open
    rows[key] = b"damaged"
    for _ in range(2):
        make_history(worlds, (0, 2))
        worlds.run(35 * DAY_S)
    assert worlds.number(0, "asset") >= 3
    worlds.restart(1, 2)
    worlds.become_equal()
    worlds.run(5)
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 3


def hostile_header(worlds: Worlds, place: int, **changes: object) -> None:
    """A header that leaves out everything, and claims to have seen all there can be."""
    nodes = [process.node for process in worlds.processes]
    body: dict[str, object] = {
        "number": 1,
        "context": {node: {"1": 2**62} for node in nodes},
        "digest": "00" * 16,
        "dropped": True,
        "before": 2**62,
        "counted": [],
    }
    body |= changes
    data = msgspec.msgpack.encode(body)
    worlds.tell(worlds.processes[place], WriteRequested(99, (("generation", "asset", "", data),)))


def counted_names(worlds: Worlds) -> list[str]:
    return [short_of(process.node).hex() for process in worlds.processes]


def test_members_that_were_asked_put_back_what_a_builder_left_out_and_name_it() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.run(22)
    hostile_header(worlds, 2, counted=counted_names(worlds))
    worlds.run(10)
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 3
    for place in (0, 1):
        named = {each.node for each in worlds.news(place, WorldTrouble) if each.code == "generation-omits"}
        assert named == {worlds.processes[2].node}
    assert is_active(worlds, 0, "mesh/a#generation-omits")


def test_a_builder_without_end_does_not_take_everybodys_time() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.run(22)
    for number in range(1, 101):
        if number == 50:
            make_history(worlds)
        hostile_header(worlds, 2, number=number, counted=counted_names(worlds), digest="11" * 16)
        worlds.run(0.5)
    assert worlds.counters(0)["generation-followed"] <= 5
    assert worlds.counters(0)["generation-built"] + worlds.counters(1)["generation-built"] <= 5
    worlds.run(90)
    assert worlds.are_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 3


def test_a_header_with_the_highest_number_can_be_outdone() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.run(22)
    hostile_header(worlds, 2, number=2**63 - 1, counted=counted_names(worlds), digest="11" * 16)
    worlds.run(30)
    make_history(worlds)
    worlds.run(15)
    worlds.become_equal()
    built_by_us = sum(worlds.counters(place)["generation-built"] for place in range(3))
    assert 1 <= built_by_us <= 3
    document = worlds.document(0, "asset")
    assert document is not None
    assert len(document.state()) < 2 * document.bytes_held


@pytest.mark.parametrize(
    "context",
    [
        {"nobody": {"1": 5}},
        {"": {"²": 5, "-1": 3, "9" * 5000: 1, "٣": 2}},
        {f"n{i}": {"1": i} for i in range(1000)},
    ],
)
def test_a_garbage_context_stops_nothing(context: object) -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.run(22)
    hostile_header(worlds, 2, context=context, counted=counted_names(worlds), digest="11" * 16)
    worlds.run(25)
    make_history(worlds)
    worlds.run(15)
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 3
    assert worlds.number(0, "asset") >= 2


def test_the_header_of_a_removed_builder_is_unmade() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.run(22)
    worlds.cut(0)
    worlds.tell(worlds.processes[0], RemovalRequested(worlds.processes[2].node, "stolen"))
    worlds.run(0.1)
    hostile_header(worlds, 2, counted=counted_names(worlds))
    worlds.run(2)
    assert worlds.number(1, "asset") == 1
    worlds.crash(2)
    worlds.heal()
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 2
    assert worlds.marks("asset") == {""}


def test_the_look_at_documents_comes_round_to_every_one() -> None:
    worlds = Worlds(1)
    worlds.run(1)
    for day in range(10, 30):
        assert worlds.write(0, "task", f"202601{day}-1", {"status": "done"}, "outcome")

    def is_dropped() -> bool:
        return all(worlds.document(0, f"task:202601{day}") is None for day in range(10, 30))

    worlds.until(is_dropped, within_s=40)


def test_who_came_back_is_no_member_that_was_asked_before_it_has_followed() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    worlds.cut(2)
    worlds.run(35 * DAY_S)
    make_history(worlds)
    worlds.until(built(worlds, "asset"))
    worlds.is_lost = lambda data: b"before" in data and b"digest" in data  # no header reaches the third
    worlds.heal()
    worlds.run(8)
    building = Building(worlds.state(0), worlds.world(0).upkeep.holdings, QUICK)
    document = worlds.document(0, "asset")
    assert document is not None
    acknowledged = worlds.world(0).upkeep.holdings.acknowledged(document, at(worlds.now))
    here, away = worlds.processes[1].node, worlds.processes[2].node
    assert {here, away} < set(acknowledged.counted)
    assert here in building.asked(document, acknowledged)
    assert away not in building.asked(document, acknowledged)
    worlds.is_lost = lambda _: False
    worlds.become_equal()
    worlds.run(5)
    acknowledged = worlds.world(0).upkeep.holdings.acknowledged(document, at(worlds.now))
    assert away in building.asked(document, acknowledged)


def test_a_form_in_which_thousands_of_pens_have_drawn_is_built_anew_though_that_saves_little() -> None:
    worlds = formed(3)
    for number in range(200):
        worlds.asset(0, f"site/tank{number}", type="tank" * 200)
    worlds.become_equal()
    forged = with_pens(worlds, 3000)
    for place in (0, 1):
        document = worlds.document(place, "asset")
        assert document is not None and document.pens < 10
        sender, now = worlds.processes[2].node, at(worlds.now)
        world = worlds.world(place)
        assert not world.merge(
            sender, "asset", document.mark, [forged], now, pushed_by=7
        )  # one pen to a push
        assert document.pens < 10
        assert world.merge(sender, "asset", document.mark, [forged], now)
        assert document.pens > 3000
    worlds.until(built(worlds, "asset"))
    worlds.run(5)
    assert worlds.are_equal()
    documents = [worlds.document(place, "asset") for place in range(3)]
    assert all(document is not None and document.pens < 10 for document in documents)
    assert worlds.values("asset", "site/tank7") == [{"type": "tank" * 200}] * 3


def with_pens(worlds: Worlds, count: int) -> bytes:
    """An update that draws one record again, with as many pens as that."""
    document = worlds.document(2, "asset")
    assert document is not None
    record = next(iter(document.records.values()))
    doc: Doc[Any] = Doc(client_id=9_000)
    doc.apply_update(document.state())
    for number in range(count):
        other: Doc[Any] = Doc(client_id=10_000 + number)
        values: Map[Any] = other.get(ROOT, type=Map)
        values[record.key] = record.blob
        doc.apply_update(other.get_update())
    return doc.get_update()
