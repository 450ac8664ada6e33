"""Live frames: all current tag values of one node, in one record that only the node writes."""

import math

import pytest

from crdt_state.item import Item
from crdt_state.kinds import KINDS, frame
from crdt_state.kinds.frame import TagValue
from crdt_state.kinds.values import Quality
from crdt_state.record import Body
from tests.crdt_state.records import IDENTITIES, NOW, SECOND, Cut

OWNER, OTHER = (identity.node for identity in IDENTITIES[:2])


@pytest.fixture
def cut() -> Cut:
    return Cut("frame", OWNER)


def write(cut: Cut, place: int, tags: Body, at_ms: int = NOW) -> None:
    cut.raw(place, "", {"t": tags}, at_ms)


def test_a_frame_holds_each_tags_value_quality_and_source_time(cut: Cut) -> None:
    write(
        cut, 0, {"p1": [2.5, "good", NOW - 5], "on": [True, "uncertain", NOW - 6], "s": ["idle", "stale", 7]}
    )
    seen = frame.view(cut.item(), NOW + SECOND)
    assert seen.tags == {
        "p1": TagValue(2.5, Quality.GOOD, NOW - 5),
        "on": TagValue(True, Quality.UNCERTAIN, NOW - 6),
        "s": TagValue("idle", Quality.STALE, 7),
    }
    assert (seen.node, seen.run, seen.written_ms, seen.age_ms) == (OWNER, 1, NOW, SECOND)
    assert seen.is_readable


def test_without_a_frame_there_are_no_tags() -> None:
    seen = frame.view(Item("frame", OWNER), NOW)
    assert (seen.tags, seen.run, seen.written_ms, seen.is_readable) == ({}, 0, 0, True)


def test_only_the_owners_frame_counts(cut: Cut) -> None:
    write(cut, 0, {"p1": [1, "good", 1]})
    write(cut, 1, {"p1": [2, "good", 2]}, NOW + SECOND)
    assert frame.view(cut.heal(), NOW).tags["p1"].value == 1


def test_a_later_incarnations_frame_replaces_the_earlier_ones(cut: Cut) -> None:
    write(cut, 0, {"p1": [1, "good", 1]})
    cut.replicas[0].run, cut.replicas[0].seq = 2, 0
    write(cut, 0, {"p2": [2, "good", 2]})
    seen = frame.view(cut.heal(), NOW)
    assert (list(seen.tags), seen.run) == (["p2"], 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_no_value_and_bad(cut: Cut, value: float) -> None:
    write(cut, 0, {"p1": [value, "good", 1]})
    assert frame.view(cut.item(), NOW).tags == {"p1": TagValue(None, Quality.BAD, 1)}


@pytest.mark.parametrize(
    "raw", [[1], [1, "splendid", 1], [1, "good", -1], [[1], "good", 1], 1, None, {}, [1, "good", "now"]]
)
def test_a_tag_that_cannot_be_read_is_left_out_and_the_others_stay(cut: Cut, raw: object) -> None:
    write(cut, 0, {"p1": raw, "p2": [1, "good", 1, "new"]})
    seen = frame.view(cut.item(), NOW)
    assert (list(seen.tags), seen.is_readable) == (["p2"], False)


def test_a_body_that_is_no_frame_has_no_tags(cut: Cut) -> None:
    cut.raw(0, "", {"t": [1, 2]})
    seen = frame.view(cut.item(), NOW)
    assert (seen.tags, seen.is_readable) == ({}, False)


def test_a_frame_lies_in_its_owners_document_and_nobody_else_may_write_it(cut: Cut) -> None:
    write(cut, 0, {})
    write(cut, 1, {})
    kind = KINDS.get("frame")
    by = cut.heal().facet().by_author
    assert kind.document_of(by[OWNER].register) == f"frame:{OWNER}"
    assert [kind.may_write(by[node], is_steward=True) for node in (OWNER, OTHER)] == [True, False]
