"""Alarms: the life cycle of ISA-18.2 on one node, and commands that make no sense now."""

from collections.abc import Callable

import pytest

from crdt_state.item import Change, Item
from crdt_state.kinds import alarm
from crdt_state.kinds.alarm_life import AlarmState, Hiding
from crdt_state.kinds.refusal import RefusedError
from tests.crdt_state.records import DAY, HOUR, MINUTE, NOW, SECOND, Cut

NAME = "acme/leeds/press/1#too-hot"


@pytest.fixture
def one() -> Cut:
    return Cut("alarm", NAME, 1)


def state(cut: Cut, now_ms: int = NOW) -> str:
    return alarm.view(cut.item(), now_ms).state.value


def raised(cut: Cut, occurrence: str = "o1") -> Cut:
    cut.do(0, alarm.raise_(cut.item(), occurrence, NOW, 3, "bearing too hot", 91.5, 90.0))
    return cut


def acknowledged(cut: Cut) -> Cut:
    cut.do(0, alarm.acknowledge(cut.item(), "maria", NOW + SECOND, "on my way"))
    return cut


def returned(cut: Cut) -> Cut:
    cut.do(0, alarm.return_to_normal(cut.item(), NOW + MINUTE))
    return cut


def test_an_alarm_that_nobody_raised_is_normal_unknown_and_closed(one: Cut) -> None:
    seen = alarm.view(one.item(), NOW)
    assert (seen.state, seen.is_known, seen.is_active, seen.outstanding) == ("normal", False, False, ())
    assert alarm.is_closed(one.item(), NOW)


def test_a_raised_alarm_is_active_and_unacknowledged_and_says_why(one: Cut) -> None:
    seen = alarm.view(raised(one).item(), NOW)
    assert (seen.path, seen.name) == ("acme/leeds/press/1", "too-hot")
    assert (seen.state, seen.is_active, seen.outstanding) == ("unacknowledged", True, ("o1",))
    assert (seen.severity, seen.text, seen.value, seen.limit) == (3, "bearing too hot", 91.5, 90.0)
    assert seen.since_ms == NOW
    assert not alarm.is_closed(one.item(), NOW)


def test_an_acknowledged_alarm_names_who_acknowledged_it(one: Cut) -> None:
    seen = alarm.view(acknowledged(raised(one)).item(), NOW)
    assert (seen.state, seen.outstanding) == ("acknowledged", ())
    assert seen.acknowledgements == (
        alarm.Acknowledgement(one.nodes[0], "maria", "on my way", NOW + SECOND, ("o1",)),
    )
    assert not alarm.is_closed(one.item(), NOW)


def test_an_alarm_that_returns_before_it_is_acknowledged_waits_for_that(one: Cut) -> None:
    returned(raised(one))
    assert state(one) == "returned"
    assert alarm.view(one.item(), NOW).since_ms == NOW + MINUTE
    assert not alarm.is_closed(one.item(), NOW)
    acknowledged(one)
    assert state(one) == "normal"
    assert alarm.is_closed(one.item(), NOW)


def test_an_acknowledged_alarm_that_returns_is_normal_and_closed(one: Cut) -> None:
    returned(acknowledged(raised(one)))
    assert state(one) == "normal"
    assert alarm.is_closed(one.item(), NOW)


def test_a_new_activation_wants_a_new_acknowledgement(one: Cut) -> None:
    raised(returned(acknowledged(raised(one))), "o2")
    seen = alarm.view(one.item(), NOW)
    assert (seen.state, seen.outstanding) == ("unacknowledged", ("o2",))


def test_a_new_activation_with_an_occurrence_of_before_is_not_acknowledged_already(one: Cut) -> None:
    raised(returned(acknowledged(raised(one))), "o1")
    seen = alarm.view(one.item(), NOW)
    assert (seen.state, seen.outstanding) == ("unacknowledged", ("o1+",))


def test_raising_an_active_alarm_updates_it_and_keeps_the_activation(one: Cut) -> None:
    acknowledged(raised(one))
    one.do(0, alarm.raise_(one.item(), "o2", NOW + HOUR, 4, value=99.0))
    seen = alarm.view(one.item(), NOW + HOUR)
    assert (seen.state, seen.severity, seen.value, seen.since_ms) == ("acknowledged", 4, 99.0, NOW)
    assert (seen.text, seen.limit) == ("bearing too hot", 90.0)


def test_what_changes_nothing_writes_nothing(one: Cut) -> None:
    assert alarm.return_to_normal(one.item(), NOW) == ()
    raised(one)
    assert alarm.raise_(one.item(), "o2", NOW + HOUR, 3, "bearing too hot", 91.5, 90.0) == ()
    returned(one)
    assert alarm.return_to_normal(one.item(), NOW + HOUR) == ()


def test_an_acknowledgement_may_name_what_was_seen(one: Cut) -> None:
    raised(one)
    with pytest.raises(RefusedError, match="nothing to acknowledge"):
        alarm.acknowledge(one.item(), "maria", NOW, seen=["o0"])
    one.do(0, alarm.acknowledge(one.item(), "maria", NOW, seen=["o1"]))
    assert state(one) == "acknowledged"


def test_of_acknowledged_occurrences_only_the_latest_few_are_remembered(one: Cut) -> None:
    for number in range(20):
        returned(acknowledged(raised(one, f"o{number}")))
    assert one.body("ack")["occurrences"] == ["o19", "o18", "o17", "o16", "o15", "o14", "o13", "o12"]


def test_a_shelved_alarm_comes_back_by_itself(one: Cut) -> None:
    raised(one)
    one.do(0, alarm.shelve(one.item(), HOUR, "sensor is being cleaned", "maria", NOW))
    seen = alarm.view(one.item(), NOW)
    assert (seen.state, seen.underlying) == ("shelved", "unacknowledged")
    assert seen.shelved == Hiding("sensor is being cleaned", "maria", NOW + HOUR)
    assert state(one, NOW + HOUR - 1) == "shelved"
    assert state(one, NOW + HOUR) == "unacknowledged"
    assert alarm.view(one.item(), NOW + HOUR).shelved is None


def test_a_shelved_alarm_can_be_unshelved(one: Cut) -> None:
    raised(one)
    one.do(0, alarm.shelve(one.item(), HOUR, "noise", "maria", NOW))
    one.do(0, alarm.unshelve(one.item(), NOW))
    assert state(one) == "unacknowledged"


def test_no_author_shelves_for_longer_than_a_week(one: Cut) -> None:
    raised(one)
    one.raw(0, "shelving", {"until_ms": NOW + 365 * DAY, "reason": "x"})
    assert state(one, NOW + 7 * DAY - 1) == "shelved"
    assert state(one, NOW + 7 * DAY) == "unacknowledged"


def test_a_suppressed_alarm_is_out_of_sight_until_that_ends(one: Cut) -> None:
    one.do(0, alarm.suppress(one.item(), "press stands still", "plant logic"))
    raised(one)
    assert state(one, NOW + 30 * DAY) == "suppressed"
    assert alarm.view(one.item(), NOW).suppressed == Hiding("press stands still", "plant logic")
    one.do(0, alarm.unsuppress(one.item(), "plant logic"))
    assert state(one) == "unacknowledged"


def test_an_alarm_out_of_service_is_out_of_sight_until_it_is_returned(one: Cut) -> None:
    one.do(0, alarm.take_out_of_service(one.item(), "sensor replaced", "jan"))
    raised(one)
    assert state(one, NOW + 30 * DAY) == "out-of-service"
    assert alarm.view(one.item(), NOW).out_of_service == Hiding("sensor replaced", "jan")
    one.do(0, alarm.return_to_service(one.item(), "jan"))
    assert state(one) == "unacknowledged"


def test_out_of_service_hides_suppressed_which_hides_shelved(one: Cut) -> None:
    acknowledged(raised(one))
    seen = []
    one.do(0, alarm.shelve(one.item(), HOUR, "noise", "maria", NOW))
    seen.append(state(one))
    one.do(0, alarm.suppress(one.item(), "still", "logic"))
    seen.append(state(one))
    one.do(0, alarm.take_out_of_service(one.item(), "replaced", "jan"))
    seen.append(state(one))
    assert seen == ["shelved", "suppressed", "out-of-service"]
    assert alarm.view(one.item(), NOW).underlying is AlarmState.ACKNOWLEDGED


@pytest.mark.parametrize(
    "hide",
    [
        lambda item: alarm.shelve(item, HOUR, "noise", "maria", NOW),
        lambda item: alarm.suppress(item, "still", "logic"),
        lambda item: alarm.take_out_of_service(item, "replaced", "jan"),
    ],
)
def test_a_normal_alarm_that_is_out_of_sight_is_not_closed(
    one: Cut, hide: Callable[[Item], tuple[Change, ...]]
) -> None:
    returned(acknowledged(raised(one)))
    one.do(0, hide(one.item()))
    assert not alarm.is_closed(one.item(), NOW)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (lambda item: alarm.acknowledge(item, "maria", NOW), "there is no alarm"),
        (lambda item: alarm.shelve(item, HOUR, "noise", "maria", NOW), "there is no alarm"),
        (lambda item: alarm.unshelve(item, NOW), "is not shelved"),
        (lambda item: alarm.unsuppress(item, "x"), "is not suppressed"),
        (lambda item: alarm.return_to_service(item, "x"), "is in service"),
        (lambda item: alarm.raise_(item, "", NOW), "the occurrence is empty"),
        (lambda item: alarm.raise_(item, "o1", NOW, 5), "a field cannot have this value"),
        (lambda item: alarm.suppress(item, " ", "x"), "the reason is empty"),
    ],
)
def test_a_command_that_makes_no_sense_on_a_new_alarm_is_refused(
    one: Cut, command: Callable[[Item], object], message: str
) -> None:
    with pytest.raises(RefusedError, match=message) as refused:
        command(one.item())
    assert refused.value.cure


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (lambda item: alarm.acknowledge(item, "maria", NOW), "nothing to acknowledge"),
        (lambda item: alarm.shelve(item, 7 * DAY + 1, "noise", "maria", NOW), "at most 7 days"),
        (lambda item: alarm.shelve(item, 0, "noise", "maria", NOW), "more than nothing"),
        (lambda item: alarm.shelve(item, HOUR, "", "maria", NOW), "the reason is empty"),
    ],
)
def test_a_command_that_makes_no_sense_on_an_acknowledged_alarm_is_refused(
    one: Cut, command: Callable[[Item], object], message: str
) -> None:
    acknowledged(raised(one))
    with pytest.raises(RefusedError, match=message):
        command(one.item())


def test_an_alarm_needs_a_path_and_a_name() -> None:
    with pytest.raises(RefusedError, match="names nothing at the path"):
        alarm.raise_(Item("alarm", "acme/leeds"), "o1", NOW)


def test_every_command_keeps_fields_that_this_release_does_not_know(one: Cut) -> None:
    for facet, body in (
        ("condition", {"active": False}),
        ("ack", {"occurrences": []}),
        ("shelving", {"until_ms": 0}),
        ("suppression", {"active": False}),
        ("service", {"out": False}),
    ):
        one.raw(0, facet, {**body, "colour": "red"})
    raised(one)
    acknowledged(one)
    one.do(0, alarm.shelve(one.item(), HOUR, "noise", "maria", NOW))
    one.do(0, alarm.suppress(one.item(), "still", "logic"))
    one.do(0, alarm.take_out_of_service(one.item(), "replaced", "jan"))
    facets = ("condition", "ack", "shelving", "suppression", "service")
    assert [one.body(facet)["colour"] for facet in facets] == ["red"] * 5
    returned(one)
    one.do(0, alarm.unsuppress(one.item(), "logic"))
    one.do(0, alarm.return_to_service(one.item(), "jan"))
    assert [one.body(facet)["colour"] for facet in ("condition", "suppression", "service")] == ["red"] * 3


def test_a_condition_that_cannot_be_read_is_shown_as_far_as_it_can_and_is_not_closed(one: Cut) -> None:
    one.raw(0, "condition", {"active": True, "severity": "dire", "text": "hot", "occurrence": "o1"})
    seen = alarm.view(one.item(), NOW)
    assert (seen.state, seen.severity, seen.text, seen.is_readable) == ("unacknowledged", 2, "hot", False)
    one.raw(0, "condition", {"active": "perhaps"})
    assert alarm.view(one.item(), NOW).state == "normal"
    assert not alarm.is_closed(one.item(), NOW)
