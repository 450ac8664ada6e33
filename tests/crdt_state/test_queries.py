"""Finding items of the world, in slices, as plain values."""

import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_state.freshness import Source
from crdt_state.item import Change
from crdt_state.kinds import advisory, alarm, asset, fact, task
from crdt_state.kinds.refusal import RefusedError
from crdt_state.queries import (
    LIMIT_MAX,
    Query,
    Row,
    Slice,
    facets_of,
    find,
    is_match,
    scan,
    sources_of,
    tags_at,
)
from crdt_state.record import Register
from crdt_state.shapes import check_body, check_facet, is_at, shape_of
from crdt_state.view import View
from tests.crdt_state.records import IDENTITIES, NOW, Replica

ONE, TWO = IDENTITIES[0].node, IDENTITIES[1].node
PRESS = "acme/lyon/hall/line/press"


class World:
    """Two writers that see each other at once, and the view of what they wrote."""

    def __init__(self) -> None:
        self.view = View()
        self.writers = [Replica(0), Replica(1)]

    def do(self, changes: Iterable[Change], writer: int = 0) -> None:
        records = self.writers[writer].apply(changes)
        self.writers[1 - writer].take(records)
        for record in records:
            self.view.put(record)

    def apart(self, register: Register, *bodies: dict[str, object]) -> None:
        """Each writes without having seen the other."""
        records = [writer.write(register, body) for writer, body in zip(self.writers, bodies, strict=True)]
        for record in records:
            self.view.put(record)

    def write(self, kind: str, name: str, body: dict[str, object] | None, facet: str = "") -> None:
        self.do([Change(Register(kind, name, facet), body)])

    def names(self, query: Query) -> list[str]:
        return [row["item"] for row in find(self.view, query, NOW, limit=LIMIT_MAX).rows]

    def row(self, kind: str, name: str) -> Row:
        rows = find(self.view, Query((kind,)), NOW).rows
        (found,) = [row for row in rows if row["item"] == name]
        return found


@pytest.fixture
def world() -> World:
    world = World()
    press, item = PRESS, world.writers[0].item
    world.do(asset.describe(item("asset", press), {"type": "press"}))
    world.do(asset.describe(item("asset", f"{press}-2"), {"type": "press"}))
    world.do(alarm.raise_(item("alarm", f"{press}#hot"), "o1", NOW, 3, "too hot"))
    world.do(fact.observe(item("fact", f"{press}#running"), ONE, True, NOW))
    world.do(fact.observe(world.writers[1].item("fact", f"{press}#running"), TWO, False, NOW), writer=1)
    world.do(task.offer(item("task", "20270115-aa"), "change the filter", "anna", asset=press))
    world.do(task.offer(item("task", "20270115-bb"), "sweep", "anna"))
    world.do(advisory.advise(item("advisory", "20270115-cc"), {"asset": f"{press}-2", "text": "oil"}))
    world.write("frame", ONE, {"t": {f"{press}/temp": [81.5, "good", NOW - 4000], "x": [1, "good", NOW]}})
    return world


def test_a_path_finds_what_is_there_and_below_but_no_neighbour_of_a_similar_name(world: World) -> None:
    assert world.names(Query(path=PRESS)) == [f"{PRESS}#hot", PRESS, f"{PRESS}#running", "20270115-aa"]
    assert world.names(Query(path=f"{PRESS}-2")) == ["20270115-cc", f"{PRESS}-2"]
    assert world.names(Query(path="acme/ly")) == []


@pytest.mark.parametrize(
    ("place", "path", "is_there"),
    [
        ("a/b", "", True),
        ("a/b", "a/b", True),
        ("a/b/c", "a/b", True),
        ("a/b#hot", "a/b", True),
        ("a/bc", "a/b", False),
        ("a", "a/b", False),
        ("", "a", False),
    ],
)
def test_a_place_is_below_a_path_by_whole_levels(place: str, path: str, is_there: bool) -> None:
    assert is_at(place, path) is is_there


def test_kinds_authors_and_states_narrow_it_down(world: World) -> None:
    assert world.names(Query(("fact", "asset"))) == [PRESS, f"{PRESS}-2", f"{PRESS}#running"]
    assert world.names(Query(author=TWO)) == [f"{PRESS}#running"]
    assert world.names(Query(("alarm",), states=("unacknowledged",))) == [f"{PRESS}#hot"]
    assert world.names(Query(("alarm",), states=("acknowledged", "normal"))) == []


def test_what_is_over_is_left_out_when_only_what_stands_is_asked_for(world: World) -> None:
    world.write("asset", PRESS, None)
    world.do(task.withdraw(world.writers[0].item("task", "20270115-bb"), NOW))
    assert world.names(Query(("asset", "task"), standing_only=True)) == [f"{PRESS}-2", "20270115-aa"]
    assert len(world.names(Query(("asset", "task")))) == 4


def test_a_row_is_plain_values_with_who_wrote_the_newest_and_when(world: World) -> None:
    row = world.row("asset", PRESS)
    assert (row["state"], row["by"], row["at_ms"], row["dot"]) == ("listed", ONE, NOW, f"{ONE}.1.1")
    assert row["fields"]["body"]["type"] == "press"
    assert (row["conflict"], row["readable"], row["closed"]) == (False, True, False)
    for each in find(world.view, Query(), NOW).rows:
        json.dumps(each)


def test_concurrent_writes_are_flagged_and_every_version_is_listed_the_one_that_counts_first(
    world: World,
) -> None:
    world.apart(Register("asset", "acme/saw"), {"type": "saw"}, {"type": "mill"})
    assert world.row("asset", "acme/saw")["conflict"] is True
    item = world.view.item("asset", "acme/saw")
    assert item is not None
    (facet,) = facets_of(item)
    assert [each["body"] for each in facet["versions"]] == [{"type": "mill"}, {"type": "saw"}]


def test_of_a_fact_every_observer_is_listed_and_disagreement_is_the_state(world: World) -> None:
    row = world.row("fact", f"{PRESS}#running")
    assert (row["state"], row["conflict"]) == ("disagreeing", True)
    item = world.view.item("fact", f"{PRESS}#running")
    assert item is not None
    assert sorted(each["by"] for each in facets_of(item)[0]["versions"]) == [ONE, TWO]


def test_what_another_release_wrote_is_shown_as_far_as_it_can_be_read(world: World) -> None:
    world.write("asset", "acme/odd", {"type": 7, "unit": "bar", "colour": "red"})
    row = world.row("asset", "acme/odd")
    assert row["readable"] is False
    assert (row["fields"]["body"]["type"], row["fields"]["body"]["unit"]) == ("", "bar")


def test_a_kind_that_this_release_does_not_know_is_shown_as_it_stands(world: World) -> None:
    world.write("robot", "r2", {"arms": 2, "blob": b"\x00\x01"}, "hands")
    row = world.row("robot", "r2")
    assert (row["state"], row["fields"]) == ("written", {"hands": {"arms": 2, "blob": "AAE="}})


@pytest.mark.parametrize("kind", ["conflict", "evidence", "generation", "holding"])
def test_rubbish_in_what_nodes_keep_themselves_is_shown_as_unreadable(kind: str, world: World) -> None:
    world.write(kind, ONE, {"register": 3, "docs": [], "number": "x", "first": 1})
    assert world.row(kind, ONE)["readable"] is False


def test_live_values_at_a_path_come_with_their_owner_and_the_newest_measurement(world: World) -> None:
    rows, sources = tags_at(world.view, PRESS, NOW)
    assert rows == [
        {"tag": f"{PRESS}/temp", "value": 81.5, "quality": "good", "source_ms": NOW - 4000, "by": ONE}
    ]
    assert sources == [Source(ONE, NOW, NOW - 4000)]


def test_the_sources_of_an_item_are_all_who_wrote_it_and_of_a_frame_its_owner(world: World) -> None:
    running = world.view.item("fact", f"{PRESS}#running")
    frame = world.view.item("frame", ONE)
    assert running is not None and frame is not None
    assert {source.node for source in sources_of(running, NOW)} == {ONE, TWO}
    assert sources_of(frame, NOW) == [Source(ONE, NOW, NOW)]


def test_a_slice_stops_after_so_many_items_looked_at_even_if_it_has_found_nothing(world: World) -> None:
    query = Query(states=("disagreeing",))
    first = find(world.view, query, NOW, scan_max=3)
    assert (first.rows, first.more != "") == ((), True)
    assert [row["item"] for row in pages(world.view, query, 10, 3)] == [f"{PRESS}#running"]


def test_a_mark_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(RefusedError, match="no place to go on from"):
        find(world.view, Query(), NOW, after="!!!")


def test_going_on_is_possible_when_the_item_at_the_mark_has_gone(world: World) -> None:
    first = find(world.view, Query(("asset",)), NOW, limit=1)
    record = next(iter(world.view.versions(Register("asset", PRESS)).by_author.values()))
    world.view.take_out(record)
    second = find(world.view, Query(("asset",)), NOW, after=first.more)
    assert [row["item"] for row in second.rows] == [f"{PRESS}-2"]


def pages(view: View, query: Query, limit: int, scan_max: int) -> list[Row]:
    rows: list[Row] = []
    found = Slice((), (), "")
    while True:
        found = find(view, query, NOW, found.more, limit, scan_max)
        assert len(found.rows) <= limit
        rows.extend(found.rows)
        if not found.more:
            return rows


@given(
    st.sets(st.tuples(st.sampled_from(["asset", "fact", "robot"]), st.text("ab/#é", min_size=1, max_size=6))),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_slices_of_any_size_together_are_the_whole(
    items: set[tuple[str, str]], limit: int, scan_max: int
) -> None:
    world = World()
    for kind, name in sorted(items):
        world.write(kind, name, {"value": 1})
    found = pages(world.view, Query(), limit, scan_max)
    assert [(row["kind"], row["item"]) for row in found] == sorted(items)


def test_a_scan_has_every_item_of_a_place_whatever_its_state(world: World) -> None:
    world.write("asset", PRESS, None)
    names, after = [], ""
    while True:
        items, after = scan(world.view, Query(("asset", "task"), PRESS), after, scan_max=1)
        names += [item.name for item in items]
        if not after:
            break
    assert names == [PRESS, "20270115-aa"]


def test_a_match_is_what_would_have_been_found(world: World) -> None:
    item = world.view.item("alarm", f"{PRESS}#hot")
    assert item is not None
    assert is_match(item, Query(("alarm",), PRESS), NOW)
    assert not is_match(item, Query(("task",), PRESS), NOW)
    assert not is_match(item, Query(("alarm",), "acme/paris"), NOW)
    assert not is_match(item, Query(states=("normal",)), NOW)


def test_a_body_is_checked_in_the_fields_that_are_known_and_the_others_are_named() -> None:
    assert check_body("asset", "", {"type": "press", "colour": "red", "age": 3}) == ("age", "colour")
    with pytest.raises(RefusedError, match="severity needs a whole number from 1 to 4, not 9"):
        check_body("alarm", "condition", {"severity": 9})
    assert check_body("robot", "", {"arms": "two"}) == ()


@pytest.mark.parametrize(
    ("kind", "facet", "said"),
    [
        ("robot", "", "the kind 'robot' cannot be written"),
        ("holding", "", "the kind 'holding' cannot be written"),
        ("alarm", "", "the kind alarm has no facet ''"),
    ],
)
def test_what_people_cannot_write_is_refused_with_what_they_can(kind: str, facet: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        check_facet(kind, facet)
    check_facet("alarm", "condition")


def test_every_kind_that_people_write_has_a_model_for_each_facet() -> None:
    from crdt_state.kinds import KINDS
    from crdt_state.shapes import KEPT_BY_NODES

    for kind in set(KINDS.names()) - set(KEPT_BY_NODES):
        assert set(shape_of(kind).models) == set(KINDS.get(kind).facets)
        assert all(issubclass(model, msgspec.Struct) for model in shape_of(kind).models.values())
