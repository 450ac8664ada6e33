from random import Random

import pytest

from mesh.ids import NodeId
from mesh.renewal import ISSUED_MAX, RETRY_S, Issuing, Renewal
from mesh.trust import DAY_MS

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


@pytest.mark.parametrize("seed", range(20))
def test_a_certificate_is_renewed_at_two_thirds_of_its_life_or_a_little_before(seed: int) -> None:
    due_ms = Renewal(Random(seed)).due_ms(0, 30 * DAY_MS)
    assert 18.5 * DAY_MS <= due_ms <= 20 * DAY_MS


def test_nodes_that_joined_together_renew_apart() -> None:
    assert len({Renewal(Random(seed)).due_ms(0, 30 * DAY_MS) for seed in range(20)}) == 20


@pytest.mark.parametrize(("days", "fresh_s"), [(30.0, 60.0), (30 / 86_400, 10.0)])
def test_what_a_steward_renewed_is_fresh_for_a_minute_or_a_third_of_its_life(
    days: float, fresh_s: float
) -> None:
    issuing = Issuing(days)
    issuing.issued(A, 5.0)
    assert issuing.is_fresh(A, 5.0 + fresh_s - 0.1)
    assert not issuing.is_fresh(A, 5.0 + fresh_s + 0.1)
    assert not issuing.is_fresh(B, 5.0)


def test_the_renewals_that_are_remembered_are_bounded() -> None:
    issuing = Issuing(30.0)
    for place in range(ISSUED_MAX + 10):
        issuing.issued(NodeId(f"{place:026}"), 0.0)
    assert len(issuing._issued_at) == ISSUED_MAX


def test_it_is_due_from_then_on() -> None:
    renewal = Renewal(Random(1))
    due_ms = renewal.due_ms(0, 30 * DAY_MS)
    assert not renewal.is_due(0, 30 * DAY_MS, due_ms - 1)
    assert renewal.is_due(0, 30 * DAY_MS, due_ms)
    assert renewal.is_due(0, 30 * DAY_MS, 99 * DAY_MS)


def test_by_hand_it_is_due_at_once_until_it_is_done() -> None:
    renewal = Renewal(Random(1))
    renewal.wanted = True
    assert renewal.is_due(0, 30 * DAY_MS, 1)
    renewal.done()
    assert not renewal.is_due(0, 30 * DAY_MS, 1)


def test_each_steward_is_asked_in_its_turn_with_time_to_answer() -> None:
    renewal = Renewal(Random(1))
    asked = [(now, renewal.ask([A, B], float(now))) for now in range(46)]
    assert [each for each in asked if each[1] is not None] == [(0, B), (15, A), (30, B), (45, A)]
    assert RETRY_S == 15.0


def test_after_a_useless_answer_the_next_one_is_asked_at_once() -> None:
    renewal = Renewal(Random(1))
    assert renewal.ask([A, B], 0.0) == B
    renewal.ask_again()
    assert renewal.ask([A, B], 0.1) == A


def test_with_no_steward_nobody_is_asked_and_no_turn_is_lost() -> None:
    renewal = Renewal(Random(1))
    assert renewal.ask([], 0.0) is None
    assert renewal.ask([C], 0.1) == C
