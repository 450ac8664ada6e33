"""Alarms when two sides of a cut act at once: nothing is hidden that one side has not dealt with."""

from collections.abc import Callable

import pytest

from crdt_state.item import Change, Item
from crdt_state.kinds import alarm
from crdt_state.kinds.alarm_life import Hiding
from crdt_state.kinds.refusal import RefusedError
from tests.crdt_state.records import HOUR, MINUTE, NOW, SECOND, Cut

Command = Callable[[Item], tuple[Change, ...]]


@pytest.fixture
def cut() -> Cut:
    """An alarm that both sides know as active and unacknowledged."""
    cut = Cut("alarm", "acme/leeds/press/1#too-hot")
    cut.do(0, alarm.raise_(cut.item(), "o1", NOW, 3, "hot", 91.5, 90.0))
    cut.heal()
    return cut


def acknowledge(cut: Cut, place: int, by: str) -> None:
    cut.do(place, alarm.acknowledge(cut.item(place), by, NOW + SECOND), NOW + SECOND)


def test_both_sides_acknowledging_acknowledges_once_and_names_both(cut: Cut) -> None:
    acknowledge(cut, 0, "maria")
    acknowledge(cut, 1, "jan")
    seen = alarm.view(cut.heal(), NOW)
    assert seen.state == "acknowledged"
    assert [(each.author, each.by) for each in seen.acknowledgements] == [
        (cut.nodes[0], "maria"),
        (cut.nodes[1], "jan"),
    ]
    assert seen.conflicts == ()
    with pytest.raises(RefusedError, match="nothing to acknowledge"):
        alarm.acknowledge(cut.item(), "maria", NOW)


@pytest.mark.parametrize("who", [0, 1])
def test_an_acknowledgement_does_not_cover_an_activation_of_the_other_side(cut: Cut, who: int) -> None:
    acknowledge(cut, who, "maria")
    other = 1 - who
    cut.do(other, alarm.return_to_normal(cut.item(other), NOW + SECOND))
    cut.do(other, alarm.raise_(cut.item(other), "o2", NOW + MINUTE))
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.state, seen.outstanding) == ("unacknowledged", ("o2",))


@pytest.mark.parametrize("who", [0, 1])
def test_an_acknowledgement_and_a_return_meet_as_normal(cut: Cut, who: int) -> None:
    acknowledge(cut, who, "maria")
    cut.do(1 - who, alarm.return_to_normal(cut.item(1 - who), NOW + SECOND))
    assert alarm.view(cut.heal(), NOW).state == "normal"
    assert alarm.is_closed(cut.item(), NOW)


@pytest.mark.parametrize("who", [0, 1])
def test_active_on_one_side_and_returned_on_the_other_is_active(cut: Cut, who: int) -> None:
    cut.do(who, alarm.return_to_normal(cut.item(who), NOW + HOUR), NOW + HOUR)
    cut.do(1 - who, alarm.raise_(cut.item(1 - who), "o2", NOW, 4, value=99.0), NOW)
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.is_active, seen.state, seen.severity, seen.value) == (True, "unacknowledged", 4, 99.0)
    assert [side.author for side in seen.conflicts[0].sides] == [cut.nodes[who], cut.nodes[1 - who]]


def test_both_sides_raising_anew_need_both_activations_acknowledged() -> None:
    cut = Cut("alarm", "acme/leeds/press/1#too-hot")
    cut.do(0, alarm.raise_(cut.item(0), "o1", NOW))
    cut.do(1, alarm.raise_(cut.item(1), "o2", NOW))
    acknowledge(cut, 0, "maria")
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.state, seen.outstanding) == ("unacknowledged", ("o2",))
    acknowledge(cut, 1, "jan")
    assert alarm.view(cut.heal(), NOW).state == "acknowledged"


def test_each_side_acknowledging_its_own_activation_acknowledges_both() -> None:
    cut = Cut("alarm", "acme/leeds/press/1#too-hot")
    for place, by in enumerate(("maria", "jan")):
        cut.do(place, alarm.raise_(cut.item(place), f"o{place}", NOW))
        acknowledge(cut, place, by)
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.state, seen.outstanding) == ("acknowledged", ())
    assert [(each.by, each.occurrences) for each in seen.acknowledgements] == [
        ("maria", ("o0",)),
        ("jan", ("o1",)),
    ]


@pytest.mark.parametrize("who", [0, 1])
def test_an_update_of_an_acknowledged_activation_acknowledges_no_other_that_has_returned(who: int) -> None:
    cut = Cut("alarm", "acme/leeds/press/1#too-hot")
    cut.do(who, alarm.raise_(cut.item(who), "o1", NOW))
    acknowledge(cut, who, "maria")
    cut.do(1 - who, alarm.raise_(cut.item(1 - who), "o2", NOW))
    cut.do(1 - who, alarm.return_to_normal(cut.item(1 - who), NOW))
    cut.heal()
    cut.do(0, alarm.raise_(cut.item(), "o3", NOW, 4))
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.state, seen.outstanding) == ("unacknowledged", ("o2",))


@pytest.mark.parametrize("who", [0, 1])
def test_writing_over_two_activations_keeps_the_one_that_nobody_acknowledged(who: int) -> None:
    cut = Cut("alarm", "acme/leeds/press/1#too-hot")
    cut.do(0, alarm.raise_(cut.item(0), "o1", NOW))
    cut.do(1, alarm.raise_(cut.item(1), "o2", NOW))
    acknowledge(cut, who, "maria")
    cut.heal()
    cut.do(0, alarm.raise_(cut.item(), "o3", NOW, 4))
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.state, seen.outstanding, seen.conflicts) == ("unacknowledged", (("o2", "o1")[who],), ())
    cut.do(1, alarm.return_to_normal(cut.item(1), NOW))
    assert alarm.view(cut.heal(), NOW).state == "returned"


def test_an_acknowledgement_that_came_before_its_condition_is_not_forgotten(cut: Cut) -> None:
    far = Cut("alarm", cut.name)
    far.do(1, alarm.raise_(far.item(1), "o2", NOW))
    acknowledge(far, 1, "jan")
    condition, ack = far.replicas[1].records.values()
    cut.replicas[0].take([ack])
    acknowledge(cut, 0, "maria")
    cut.replicas[0].take([condition])
    assert alarm.view(cut.item(0), NOW).state == "acknowledged"


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize(
    ("hide", "show"),
    [
        (
            lambda item: alarm.shelve(item, HOUR, "noise", "maria", NOW),
            lambda item: alarm.unshelve(item, NOW),
        ),
        (
            lambda item: alarm.suppress(item, "still", "logic"),
            lambda item: alarm.unsuppress(item, "logic"),
        ),
        (
            lambda item: alarm.take_out_of_service(item, "replaced", "jan"),
            lambda item: alarm.return_to_service(item, "jan"),
        ),
    ],
)
def test_hidden_by_one_side_and_shown_by_the_other_is_shown(
    cut: Cut, hide: Command, show: Command, who: int
) -> None:
    cut.do(0, hide(cut.item(0)))
    cut.heal()
    cut.do(who, show(cut.item(who)), NOW + SECOND)
    cut.do(who, hide(cut.item(who)), NOW + SECOND)
    cut.do(1 - who, show(cut.item(1 - who)), NOW + SECOND)
    seen = alarm.view(cut.heal(), NOW)
    assert seen.state == "unacknowledged"
    assert len(seen.conflicts) == 1
    cut.do(0, show(cut.item(0)), NOW + SECOND)  # also settles it
    assert alarm.view(cut.heal(), NOW).conflicts == ()


@pytest.mark.parametrize("who", [0, 1])
def test_of_two_shelvings_the_shorter_counts(cut: Cut, who: int) -> None:
    cut.do(who, alarm.shelve(cut.item(who), HOUR, "noise", "maria", NOW))
    cut.do(1 - who, alarm.shelve(cut.item(1 - who), MINUTE, "test", "jan", NOW))
    assert alarm.view(cut.heal(), NOW).shelved == Hiding("test", "jan", NOW + MINUTE)


def test_equal_writes_on_both_sides_are_no_conflict(cut: Cut) -> None:
    for place in (0, 1):
        cut.do(place, alarm.suppress(cut.item(place), "still", "logic"))
    seen = alarm.view(cut.heal(), NOW)
    assert (seen.state, seen.conflicts) == ("suppressed", ())


@pytest.mark.parametrize("who", [0, 1])
def test_a_condition_deleted_on_one_side_and_active_on_the_other_is_active(cut: Cut, who: int) -> None:
    cut.raw(who, "condition", None, NOW + HOUR)
    cut.do(1 - who, alarm.raise_(cut.item(1 - who), "o2", NOW, 4))
    assert alarm.view(cut.heal(), NOW).state == "unacknowledged"
