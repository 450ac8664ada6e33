"""Contexts: what has been seen of whom."""

from hypothesis import given
from hypothesis import strategies as st

from crdt_state.context import RUNS_MAX, Context, context_of
from crdt_state.record import Dot
from mesh.ids import NodeId

A, B = NodeId("a"), NodeId("b")

dots = st.builds(Dot, st.sampled_from([A, B]), st.integers(1, 4), st.integers(1, 50))


def of(*seen: Dot) -> Context:
    context = Context()
    context.join_dots(seen)
    return context


def test_what_came_before_in_the_same_run_has_been_seen() -> None:
    context = of(Dot(A, 1, 7))
    assert context.covers(Dot(A, 1, 7))
    assert context.covers(Dot(A, 1, 3))
    assert not context.covers(Dot(A, 1, 8))
    assert not context.covers(Dot(A, 2, 1))
    assert not context.covers(Dot(B, 1, 1))


def test_runs_that_are_too_old_to_tell_count_as_seen() -> None:
    context = of(*(Dot(A, run, 5) for run in range(1, RUNS_MAX + 2)))
    assert context.covers(Dot(A, 1, 99))
    assert not context.covers(Dot(A, RUNS_MAX + 1, 6))
    assert not context.covers(Dot(A, RUNS_MAX + 2, 1))


def test_an_older_run_is_not_taken_for_seen_while_all_runs_are_known() -> None:
    assert not of(Dot(A, 5, 1)).covers(Dot(A, 4, 1))


@given(st.lists(dots), st.lists(dots))
def test_joining_covers_what_either_covers(mine: list[Dot], theirs: list[Dot]) -> None:
    joined = of(*mine)
    joined.join(of(*theirs))
    assert all(joined.covers(dot) for dot in (*mine, *theirs))
    assert joined.dots() == of(*theirs, *mine).dots()


@given(st.lists(dots))
def test_a_context_survives_its_journey_in_a_header(seen: list[Dot]) -> None:
    assert context_of(of(*seen).plain()).dots() == of(*seen).dots()


def test_what_is_no_number_is_left_out() -> None:
    assert context_of({"a": {"²": 5, "-1": 3, "9" * 30: 1, "": 2, "٣": 4, "3": 7, "4": 0}}).dots() == [
        Dot(A, 3, 7)
    ]


def test_the_last_write_of_an_author_is_of_its_newest_run() -> None:
    context = of(Dot(A, 1, 90), Dot(A, 2, 4))
    assert context.last_of(A) == (2, 4)
    assert context.last_of(B) == (0, 0)


def test_authors_can_be_chosen() -> None:
    assert of(Dot(A, 1, 1), Dot(B, 1, 1)).of(lambda author: author == B).dots() == [Dot(B, 1, 1)]
