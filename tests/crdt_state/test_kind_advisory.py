"""Advisories: what is advised, and what everybody thought of it."""

import pytest

from crdt_state.item import Item
from crdt_state.kind import day_name
from crdt_state.kinds import advisory
from crdt_state.kinds.refusal import RefusedError
from tests.crdt_state.records import DAY, HOUR, NOW, SECOND, Cut

NAME = day_name(NOW, "abc")


@pytest.fixture
def cut() -> Cut:
    cut = Cut("advisory", NAME)
    cut.do(0, advisory.advise(cut.item(), {"cause": "worn seal", "probability": 0.8, "evidence": ["m1"]}))
    cut.heal()
    return cut


def feedback(cut: Cut, place: int, verdict: advisory.Verdict, at_ms: int = NOW) -> None:
    cut.do(place, advisory.give_feedback(cut.item(place), cut.nodes[place], verdict, "maria"), at_ms)


def test_an_advisory_says_what_is_advised_by_whom_and_until_when(cut: Cut) -> None:
    seen = advisory.view(cut.item(), NOW)
    assert seen.advice == advisory.Advice(cause="worn seal", probability=0.8, evidence=("m1",))
    assert (seen.is_known, seen.author, seen.given_ms, seen.valid_until_ms) == (
        True,
        cut.nodes[0],
        NOW,
        NOW + DAY,
    )
    assert (seen.is_valid, advisory.view(cut.item(), NOW + DAY).is_valid) == (True, False)


def test_it_is_closed_by_feedback(cut: Cut) -> None:
    assert not advisory.is_closed(cut.item(), NOW)
    feedback(cut, 1, "wrong")
    assert advisory.is_closed(cut.heal(), NOW)


def test_it_is_closed_when_its_time_is_over(cut: Cut) -> None:
    cut.do(0, advisory.advise(cut.item(), {"valid_until_ms": NOW + HOUR}))
    assert not advisory.is_closed(cut.item(), NOW + HOUR - 1)
    assert advisory.is_closed(cut.item(), NOW + HOUR)


def test_it_is_closed_when_it_is_withdrawn(cut: Cut) -> None:
    cut.do(0, advisory.withdraw(cut.item()))
    assert not advisory.view(cut.item(), NOW).is_known
    assert advisory.is_closed(cut.item(), NOW)


def test_none_is_valid_for_longer_than_a_month(cut: Cut) -> None:
    cut.do(0, advisory.advise(cut.item(), {"valid_until_ms": NOW + 365 * DAY}))
    assert advisory.view(cut.item(), NOW).valid_until_ms == NOW + 30 * DAY


@pytest.mark.parametrize("first", [0, 1])
def test_everybodys_latest_feedback_is_kept(cut: Cut, first: int) -> None:
    feedback(cut, first, "wrong")
    cut.heal()
    feedback(cut, 1 - first, "useful", NOW + SECOND)
    seen = advisory.view(cut.heal(), NOW)
    assert {each.author: each.verdict for each in seen.feedback} == {
        cut.nodes[first]: "wrong",
        cut.nodes[1 - first]: "useful",
    }
    assert seen.conflicts == ()
    feedback(cut, first, "useful", NOW + 2 * SECOND)
    assert [each.verdict for each in advisory.view(cut.heal(), NOW).feedback] == ["useful", "useful"]


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_texts_at_once_the_later_counts_and_both_are_shown(cut: Cut, later: int) -> None:
    cut.do(1 - later, advisory.advise(cut.item(1 - later), {"text": "a"}), NOW + SECOND)
    cut.do(later, advisory.advise(cut.item(later), {"text": "b"}), NOW + 2 * SECOND)
    seen = advisory.view(cut.heal(), NOW)
    assert (seen.advice.text, len(seen.conflicts)) == ("b", 1)


def test_feedback_without_an_advisory_is_refused(cut: Cut) -> None:
    for command in (
        lambda item: advisory.give_feedback(item, cut.nodes[0], "useful"),
        advisory.withdraw,
    ):
        with pytest.raises(RefusedError, match="there is no advisory"):
            command(Item("advisory", NAME))


def test_a_name_without_its_day_is_refused() -> None:
    with pytest.raises(RefusedError, match="names no advisory"):
        advisory.advise(Item("advisory", "abc"), {})


def test_fields_that_this_release_does_not_know_are_kept(cut: Cut) -> None:
    cut.raw(0, "", {"cause": "worn seal", "colour": "red"})
    cut.raw(0, "feedback", {"verdict": "wrong", "colour": "red"})
    cut.do(0, advisory.advise(cut.item(), {"text": "a"}))
    feedback(cut, 0, "useful")
    assert [cut.body(facet)["colour"] for facet in ("", "feedback")] == ["red", "red"]


def test_what_cannot_be_read_shows_as_default_and_says_so(cut: Cut) -> None:
    cut.raw(0, "", {"cause": "worn seal", "probability": 7})
    cut.raw(1, "feedback", {"verdict": "great"})
    seen = advisory.view(cut.heal(), NOW)
    assert (seen.advice.cause, seen.advice.probability, seen.feedback) == ("worn seal", None, ())
    assert not seen.is_readable
    assert not advisory.is_closed(cut.item(), NOW)
