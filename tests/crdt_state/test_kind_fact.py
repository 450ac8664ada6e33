"""Facts: each observer its own version; agreement is a value, disagreement is shown with names."""

import math

import pytest

from crdt_state.item import Item
from crdt_state.kinds import fact
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.values import Quality, Value
from tests.crdt_state.records import HOUR, MINUTE, NOW, SECOND, Cut

NAME = "acme/leeds/tank/1#valve"


@pytest.fixture
def cut() -> Cut:
    return Cut("fact", NAME, 3)


def observe(cut: Cut, place: int, value: Value, at_ms: int = NOW, quality: Quality = Quality.GOOD) -> None:
    cut.do(place, fact.observe(cut.item(place), cut.nodes[place], value, at_ms, quality), at_ms)


def test_one_observation_is_the_facts_value(cut: Cut) -> None:
    observe(cut, 0, "open")
    seen = fact.view(cut.item(), NOW)
    assert (seen.path, seen.name, seen.value, seen.is_known) == ("acme/leeds/tank/1", "valve", "open", True)
    assert seen.observations == (
        fact.Observation(cut.nodes[0], "open", Quality.GOOD, NOW, is_fresh=True, is_readable=True),
    )


def test_observers_that_agree_keep_a_version_each(cut: Cut) -> None:
    for place in range(3):
        observe(cut, place, "open", NOW + place)
    seen = fact.view(cut.heal(), NOW)
    assert [each.author for each in seen.observations] == list(cut.nodes)
    assert (seen.value, seen.disagreeing, seen.as_of_ms) == ("open", (), NOW)


def test_observers_that_disagree_are_named_and_there_is_no_value(cut: Cut) -> None:
    observe(cut, 0, "open")
    observe(cut, 1, "closed")
    seen = fact.view(cut.heal(), NOW)
    assert (seen.value, seen.is_known) == (None, False)
    assert seen.disagreeing == ((cut.nodes[0], "open"), (cut.nodes[1], "closed"))
    assert seen.conflicts == seen.disagreeing


def test_a_later_observation_by_another_replaces_nothing(cut: Cut) -> None:
    observe(cut, 0, "open")
    cut.heal()
    observe(cut, 1, "closed", NOW + SECOND)
    assert fact.view(cut.heal(), NOW + SECOND).disagreeing == (
        (cut.nodes[0], "open"),
        (cut.nodes[1], "closed"),
    )


def test_an_observers_own_later_observation_replaces_its_earlier_one(cut: Cut) -> None:
    observe(cut, 0, "open")
    observe(cut, 0, "closed", NOW + SECOND)
    assert fact.view(cut.item(), NOW + SECOND).value == "closed"


def test_the_same_observation_again_writes_nothing_until_its_time_is_new(cut: Cut) -> None:
    observe(cut, 0, "open")
    assert fact.observe(cut.item(), cut.nodes[0], "open", NOW) == ()
    assert len(fact.observe(cut.item(), cut.nodes[0], "open", NOW + 1)) == 1


@pytest.mark.parametrize("who", [0, 1])
def test_withdrawing_takes_back_only_ones_own(cut: Cut, who: int) -> None:
    observe(cut, who, "open")
    observe(cut, 1 - who, "closed")
    cut.heal()
    cut.do(who, fact.withdraw(cut.item(who), cut.nodes[who]), NOW + SECOND)
    seen = fact.view(cut.heal(), NOW)
    assert (seen.value, seen.disagreeing) == ("closed", ())
    assert not fact.is_closed(cut.item(), NOW)


def test_a_fact_that_all_have_withdrawn_is_unknown_and_closed(cut: Cut) -> None:
    for place in (0, 1):
        observe(cut, place, "open")
        cut.do(place, fact.withdraw(cut.item(place), cut.nodes[place]))
    seen = fact.view(cut.heal(), NOW)
    assert (seen.observations, seen.value, seen.is_known) == ((), None, False)
    assert fact.is_closed(cut.item(), NOW)


def test_an_old_observation_is_shown_and_does_not_count(cut: Cut) -> None:
    observe(cut, 0, "open")
    observe(cut, 1, "closed", NOW + 9 * MINUTE)
    cut.heal()
    assert len(fact.view(cut.item(), NOW + 10 * MINUTE - 1).disagreeing) == 2
    seen = fact.view(cut.item(), NOW + 10 * MINUTE)
    assert (seen.value, seen.disagreeing) == ("closed", ())
    assert [each.is_fresh for each in seen.observations] == [False, True]


def test_an_observer_says_how_long_its_word_holds(cut: Cut) -> None:
    cut.do(0, fact.observe(cut.item(), cut.nodes[0], "open", NOW, fresh_ms=HOUR))
    assert fact.view(cut.item(), NOW + HOUR - 1).value == "open"
    assert not fact.view(cut.item(), NOW + HOUR).is_known


def test_nobody_has_observed_later_than_it_wrote(cut: Cut) -> None:
    cut.raw(0, "", {"value": "open", "observed_ms": NOW + 1000 * HOUR})
    assert fact.view(cut.item(), NOW).observations[0].observed_ms == NOW


@pytest.mark.parametrize("quality", [Quality.UNCERTAIN, Quality.BAD, Quality.STALE])
def test_an_observation_that_is_not_good_is_shown_and_does_not_count(cut: Cut, quality: Quality) -> None:
    observe(cut, 0, "open", quality=quality)
    observe(cut, 1, "closed")
    seen = fact.view(cut.heal(), NOW)
    assert (seen.value, len(seen.observations)) == ("closed", 2)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [(1, 1.0, True), (1, True, False), (0, False, False), ("1", 1, False), (None, None, True)],
)
def test_values_agree_when_they_say_the_same(cut: Cut, one: Value, other: Value, agree: bool) -> None:
    observe(cut, 0, one)
    observe(cut, 1, other)
    assert fact.view(cut.heal(), NOW).is_known is agree


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_bad(cut: Cut, value: float) -> None:
    observe(cut, 0, value)
    cut.raw(1, "", {"value": value})
    seen = fact.view(cut.heal(), NOW)
    assert [(each.value, each.quality) for each in seen.observations] == [(None, Quality.BAD)] * 2
    assert not seen.is_known


def test_withdrawing_what_one_has_not_observed_is_refused(cut: Cut) -> None:
    observe(cut, 0, "open")
    cut.heal()
    with pytest.raises(RefusedError, match="this node has not observed"):
        fact.withdraw(cut.item(1), cut.nodes[1])


def test_a_fact_needs_a_path_and_a_name(cut: Cut) -> None:
    with pytest.raises(RefusedError, match="names nothing at the path"):
        fact.observe(Item("fact", "acme/leeds"), cut.nodes[0], 1, NOW)


def test_observing_again_keeps_ones_own_unknown_fields_and_nobody_elses(cut: Cut) -> None:
    cut.raw(0, "", {"value": "open", "colour": "red"})
    cut.heal()
    observe(cut, 0, "closed")
    observe(cut, 1, "closed")
    assert [cut.item(place).facet().by_author[cut.nodes[place]].body.get("colour") for place in (0, 1)] == [
        "red",
        None,
    ]


def test_an_observation_that_cannot_be_read_is_shown_as_such_and_does_not_count(cut: Cut) -> None:
    cut.raw(0, "", {"value": ["open"], "quality": "good"})
    observe(cut, 1, "closed")
    seen = fact.view(cut.heal(), NOW)
    assert (seen.value, seen.is_readable) == ("closed", False)
    assert [each.is_readable for each in seen.observations] == [False, True]
