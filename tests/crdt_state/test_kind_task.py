"""Tasks: offered to all, claimed with a lease by one; two claims in a cut end with one owner, the other told."""

from collections.abc import Callable

import pytest

from crdt_state.item import Change, Item
from crdt_state.kind import day_name
from crdt_state.kinds import task
from crdt_state.kinds.refusal import RefusedError
from mesh.hybrid import time_of
from mesh.ids import NodeId
from tests.crdt_state.records import DAY, HOUR, IDENTITIES, MINUTE, NOW, SECOND, Cut

NAME = day_name(NOW, "abc")
ME, OTHER, THIRD = (identity.node for identity in IDENTITIES[:3])
T = time_of(NOW)


@pytest.fixture
def cut() -> Cut:
    """A task that both sides know."""
    cut = Cut("task", NAME)
    cut.do(0, task.offer(cut.item(), "grease the bearing", "maria", "acme/leeds/press/1", priority=3))
    cut.heal()
    return cut


def claim(cut: Cut, place: int, at_ms: int = NOW, lease_ms: int = HOUR) -> None:
    cut.do(place, task.claim(cut.item(place), cut.nodes[place], time_of(at_ms), lease_ms), at_ms)


def state(cut: Cut, now_ms: int = NOW) -> tuple[str, NodeId | None]:
    seen = task.view(cut.item(), now_ms)
    return seen.state.value, seen.owner


def test_an_offered_task_is_open_and_says_what_it_is(cut: Cut) -> None:
    seen = task.view(cut.item(), NOW)
    assert (seen.state, seen.owner, seen.lost_claims, seen.is_readable) == ("open", None, (), True)
    assert seen.offer == task.Offer(
        title="grease the bearing", asset="acme/leeds/press/1", priority=3, by="maria"
    )
    assert not task.is_closed(cut.item(), NOW)


def test_a_claimed_task_is_its_owners_until_the_lease_runs_out(cut: Cut) -> None:
    claim(cut, 0)
    assert state(cut, NOW + HOUR - 1) == ("claimed", ME)
    assert state(cut, NOW + HOUR) == ("expired", ME)
    assert task.view(cut.item(), NOW).lease_until_ms == NOW + HOUR


def test_renewing_keeps_the_first_claims_time(cut: Cut) -> None:
    claim(cut, 0)
    cut.do(0, task.renew(cut.item(), ME, time_of(NOW + MINUTE), HOUR), NOW + MINUTE)
    assert cut.body("claim") == {"owner": ME, "since": T, "until_ms": NOW + MINUTE + HOUR}
    claim(cut, 0, NOW + 2 * MINUTE)
    assert cut.body("claim") == {"owner": ME, "since": T, "until_ms": NOW + 2 * MINUTE + HOUR}


def test_claiming_anew_after_the_lease_ran_out_starts_anew(cut: Cut) -> None:
    claim(cut, 0)
    claim(cut, 0, NOW + 2 * HOUR)
    assert task.view(cut.item(), NOW + 2 * HOUR).since_ms == NOW + 2 * HOUR


def test_another_may_claim_only_when_the_lease_has_run_out(cut: Cut) -> None:
    claim(cut, 0)
    cut.heal()
    with pytest.raises(RefusedError, match=f"is claimed by {ME}"):
        task.claim(cut.item(1), OTHER, time_of(NOW + HOUR - 1), HOUR)
    claim(cut, 1, NOW + HOUR)
    cut.heal()
    assert state(cut, NOW + HOUR) == ("claimed", OTHER)
    assert task.view(cut.item(), NOW + HOUR).conflicts == ()


def test_a_released_task_is_open_again(cut: Cut) -> None:
    claim(cut, 0)
    cut.do(0, task.release(cut.item(), ME, NOW))
    assert state(cut) == ("open", None)


def test_a_task_that_is_handed_over_is_the_others_with_the_first_claims_time(cut: Cut) -> None:
    claim(cut, 0)
    at = NOW + MINUTE
    cut.do(0, task.hand_over(cut.item(), ME, OTHER, time_of(at), HOUR), at)
    assert state(cut, at) == ("claimed", OTHER)
    with pytest.raises(RefusedError, match="is claimed by"):
        task.renew(cut.item(), ME, time_of(at), HOUR)
    cut.heal()
    cut.do(1, task.renew(cut.item(1), OTHER, time_of(at), 2 * HOUR), at)
    assert cut.body("claim", 1) == {"owner": OTHER, "since": T, "until_ms": at + 2 * HOUR}


@pytest.mark.parametrize(("end", "status"), [(task.done, "done"), (task.fail, "failed")])
def test_an_ended_task_is_closed_and_says_how(
    cut: Cut, end: Callable[..., tuple[Change, ...]], status: str
) -> None:
    claim(cut, 0)
    cut.do(0, end(cut.item(), ME, NOW, "two strokes", "jan"))
    seen = task.view(cut.item(), NOW)
    assert seen.state == status
    assert (seen.outcome.note, seen.outcome.by) == ("two strokes", "jan")
    assert task.is_closed(cut.item(), NOW)


def test_a_withdrawn_task_is_closed_and_can_still_be_read(cut: Cut) -> None:
    cut.do(0, task.withdraw(cut.item(), NOW))
    seen = task.view(cut.item(), NOW)
    assert (seen.state, seen.offer.title) == ("withdrawn", "grease the bearing")
    assert task.is_closed(cut.item(), NOW)
    cut.do(0, task.offer(cut.item(), "grease it after all", "maria"))
    assert state(cut) == ("open", None)


def test_a_deleted_offer_is_a_withdrawn_task(cut: Cut) -> None:
    cut.raw(0, "offer", None)
    assert state(cut) == ("withdrawn", None)


def test_a_claim_that_came_before_its_offer_shows(cut: Cut) -> None:
    claim(cut, 0)
    [late] = [record for record in cut.replicas[0].records.values() if record.register.facet == "claim"]
    early = Cut("task", NAME)
    early.replicas[0].take([late])
    assert state(early) == ("claimed", ME)


@pytest.mark.parametrize("first", [0, 1])
def test_two_claims_in_a_cut_end_with_the_earlier_as_owner_and_the_other_told(cut: Cut, first: int) -> None:
    claim(cut, first, NOW, HOUR)
    claim(cut, 1 - first, NOW + SECOND, HOUR)
    seen = task.view(cut.heal(), NOW + SECOND)
    assert (seen.state, seen.owner) == ("claimed", cut.nodes[first])
    assert seen.lost_claims == (cut.nodes[1 - first],)
    assert [each.facet for each in seen.conflicts] == ["claim"]


def test_of_two_claims_at_the_same_time_the_first_author_owns(cut: Cut) -> None:
    claim(cut, 1)
    claim(cut, 0)
    seen = task.view(cut.heal(), NOW)
    assert (seen.owner, seen.lost_claims) == (ME, (OTHER,))


@pytest.mark.parametrize("first", [0, 1])
def test_a_claim_renewed_in_a_cut_beats_one_that_saw_the_lease_run_out(cut: Cut, first: int) -> None:
    claim(cut, first, NOW, HOUR)
    cut.heal()
    at = NOW + HOUR - MINUTE
    mine = cut.nodes[first]
    cut.do(first, task.renew(cut.item(first), mine, time_of(at), HOUR), at)
    claim(cut, 1 - first, NOW + HOUR)
    seen = task.view(cut.heal(), NOW + HOUR)
    assert (seen.owner, seen.lost_claims) == (mine, (cut.nodes[1 - first],))


@pytest.mark.parametrize("first", [0, 1])
def test_a_claim_whose_lease_has_run_out_loses_to_a_later_one_that_still_runs(cut: Cut, first: int) -> None:
    claim(cut, first, NOW, MINUTE)
    claim(cut, 1 - first, NOW + SECOND, HOUR)
    seen = task.view(cut.heal(), NOW + MINUTE)
    assert (seen.owner, seen.lost_claims) == (cut.nodes[1 - first], (cut.nodes[first],))


def test_when_all_leases_have_run_out_the_latest_claim_is_shown(cut: Cut) -> None:
    claim(cut, 0, NOW, MINUTE)
    claim(cut, 1, NOW + SECOND, MINUTE)
    cut.heal()
    assert state(cut, NOW + HOUR) == ("expired", OTHER)


def test_the_owners_next_renewal_ends_the_dispute(cut: Cut) -> None:
    claim(cut, 0)
    claim(cut, 1)
    cut.heal()
    cut.do(0, task.renew(cut.item(), ME, time_of(NOW + MINUTE), HOUR), NOW + MINUTE)
    seen = task.view(cut.heal(), NOW + MINUTE)
    assert (seen.owner, seen.lost_claims, seen.conflicts) == (ME, (), ())


@pytest.mark.parametrize("who", [0, 1])
def test_a_release_on_one_side_and_a_claim_on_the_other_is_claimed(cut: Cut, who: int) -> None:
    claim(cut, who, NOW, MINUTE)
    cut.heal()
    cut.do(who, task.release(cut.item(who), cut.nodes[who], NOW + SECOND), NOW + SECOND)
    claim(cut, 1 - who, NOW + MINUTE)
    cut.heal()
    assert state(cut, NOW + MINUTE) == ("claimed", cut.nodes[1 - who])


@pytest.mark.parametrize("who", [0, 1])
def test_done_on_one_side_and_withdrawn_on_the_other_is_done(cut: Cut, who: int) -> None:
    cut.do(who, task.done(cut.item(who), cut.nodes[who], NOW))
    cut.do(1 - who, task.withdraw(cut.item(1 - who), NOW + HOUR), NOW + HOUR)
    assert task.view(cut.heal(), NOW).state == "done"


@pytest.mark.parametrize("later", [0, 1])
def test_done_and_failed_at_once_is_the_later_and_a_conflict(cut: Cut, later: int) -> None:
    cut.do(1 - later, task.done(cut.item(1 - later), cut.nodes[1 - later], NOW))
    cut.do(later, task.fail(cut.item(later), cut.nodes[later], NOW + SECOND), NOW + SECOND)
    seen = task.view(cut.heal(), NOW)
    assert (seen.state, [each.facet for each in seen.conflicts]) == ("failed", ["outcome"])


def test_no_author_holds_a_task_for_longer_than_a_day_or_since_before_it_wrote(cut: Cut) -> None:
    cut.raw(0, "claim", {"owner": ME, "since": T + 5, "until_ms": NOW + 30 * DAY})
    seen = task.view(cut.item(), NOW)
    assert (seen.lease_until_ms, seen.since_ms) == (NOW + DAY, NOW)


def test_a_claim_in_anothers_name_is_its_authors_and_not_sound(cut: Cut) -> None:
    cut.raw(0, "claim", {"owner": OTHER, "since": T, "until_ms": NOW + HOUR})
    seen = task.view(cut.item(), NOW)
    assert (seen.owner, seen.is_readable) == (ME, False)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (lambda item: task.claim(item, ME, T, HOUR), "there is no task"),
        (lambda item: task.withdraw(item, NOW), "there is no task"),
        (lambda item: task.done(item, ME, NOW), "there is no task"),
        (lambda item: task.offer(Item("task", "abc"), "grease", "maria"), "names no task"),
        (lambda item: task.offer(item, "", "maria"), "the title is empty"),
        (lambda item: task.offer(item, "grease", "maria", priority=9), "a field cannot have this value"),
    ],
)
def test_a_command_that_makes_no_sense_without_a_task_is_refused(
    command: Callable[[Item], object], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        command(Item("task", NAME))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (lambda item: task.claim(item, THIRD, T, HOUR), "is claimed by"),
        (lambda item: task.done(item, THIRD, NOW), "is claimed by"),
        (lambda item: task.release(item, THIRD, NOW), "is claimed by"),
        (lambda item: task.renew(item, ME, time_of(NOW + HOUR), HOUR), "is not claimed by this node"),
        (lambda item: task.claim(item, ME, T, DAY + 1), "at most a day"),
        (lambda item: task.claim(item, ME, T, 0), "more than nothing"),
        (lambda item: task.hand_over(item, ME, NodeId("bob"), T, HOUR), "cannot be handed to 'bob'"),
        (lambda item: task.hand_over(item, ME, ME, T, HOUR), "cannot be handed to"),
    ],
)
def test_a_command_that_makes_no_sense_on_a_claimed_task_is_refused(
    cut: Cut, command: Callable[[Item], object], message: str
) -> None:
    claim(cut, 0)
    with pytest.raises(RefusedError, match=message):
        command(cut.item())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (lambda item: task.claim(item, ME, T, HOUR), "is done"),
        (lambda item: task.fail(item, ME, NOW), "is done"),
        (lambda item: task.withdraw(item, NOW), "is done"),
        (lambda item: task.offer(item, "grease", "maria"), "has ended"),
    ],
)
def test_a_command_that_makes_no_sense_on_an_ended_task_is_refused(
    cut: Cut, command: Callable[[Item], object], message: str
) -> None:
    cut.do(0, task.done(cut.item(), ME, NOW))
    with pytest.raises(RefusedError, match=message):
        command(cut.item())


def test_every_command_keeps_fields_that_this_release_does_not_know(cut: Cut) -> None:
    cut.raw(0, "offer", {"title": "grease", "colour": "red"})
    cut.raw(0, "claim", {"owner": ME, "until_ms": 0, "colour": "red"})
    cut.raw(0, "outcome", {"colour": "red"})
    claim(cut, 0)
    assert cut.body("claim")["colour"] == "red"
    cut.do(0, task.hand_over(cut.item(), ME, OTHER, T, HOUR))
    assert cut.body("claim")["colour"] == "red"
    cut.do(0, task.offer(cut.item(), "grease it", "maria"))
    cut.do(0, task.withdraw(cut.item(), NOW))
    assert cut.body("offer")["colour"] == "red"
    cut.do(0, task.offer(cut.item(), "grease it", "maria"))
    cut.heal()
    cut.do(1, task.done(cut.item(1), OTHER, NOW))
    assert cut.body("outcome", 1)["colour"] == "red"


def test_what_cannot_be_read_shows_as_default_and_says_so(cut: Cut) -> None:
    cut.raw(0, "offer", {"title": "grease", "priority": "high"})
    cut.raw(0, "outcome", {"status": "exploded"})
    seen = task.view(cut.item(), NOW)
    assert (seen.state, seen.offer.title, seen.offer.priority, seen.is_readable) == (
        "open",
        "grease",
        2,
        False,
    )
