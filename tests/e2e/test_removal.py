"""A member is removed: cut off everywhere, live sessions included, and for ever."""

import time
from contextlib import ExitStack

import pytest

from node.errors import FieldmeshError
from tests.e2e.conftest import Plant
from tests.e2e.machines import HOST, Machine, all_linked, until
from tests.e2e.wiretap import Tap, published, subscribed, tapped

pytestmark = [pytest.mark.io]

WITHIN_S = 2.0  # what the product promises
QUIET_S = 1.5  # three beats: a session that could read would have heard some


def everything(broker: Machine, thief: Machine) -> tuple[str, ...]:
    """All that a thief could want to read, and what its node reads."""
    site, node, own = broker.status()["site_id"], broker.status()["id"], thief.status()["id"]
    return (f"fm/{site}/all/{node}", f"fm/{site}/to/{own}/{node}", f"fm/{site}/#", "#")


def test_a_removed_member_is_cut_off_within_two_seconds_and_told_so(running: Plant) -> None:
    first, second, third = running
    begun = time.monotonic()
    told = first.json("member", "remove", "press-3", "--yes", "--reason", "stolen from the hall")
    assert told["told"] == 2
    third.until(lambda: third.status()["halted"], "it knows", WITHIN_S)
    second.until_states(WITHIN_S, press_3="removed")
    first.until_states(WITHIN_S, press_3="removed")
    assert time.monotonic() - begun < 2 * WITHIN_S
    assert "HALTED: this node was removed" in third.fieldmesh("status").out
    assert "stolen from the hall" in third.json("status")["halted"]
    assert third.json("check", code=20)["findings"][0]["code"] == "halted"
    assert "stolen from the hall" in second.fieldmesh("member", "list").out
    assert "takes no part" in ask_to_cast(third)


def ask_to_cast(machine: Machine) -> str:
    with pytest.raises(FieldmeshError) as refused:
        machine.ask("cast", topic="news", text="still here")
    return refused.value.message


def test_the_keys_of_a_removed_member_read_and_write_nothing_on_any_broker(running: Plant) -> None:
    first, second, third = running
    remaining = (first, second)
    topics = {broker.name: everything(broker, third) for broker in remaining}
    doors = {broker.name: door(broker, third) for broker in remaining}
    third.kill()  # somebody walks away with the folder
    with ExitStack() as stack:

        def tap(broker: Machine) -> Tap:
            return stack.enter_context(tapped(broker, third, *topics[broker.name]))

        live = [subscribed(tap(broker)) for broker in remaining]
        until(lambda: any(each.heard() for each in live), "a member's session reads")
        for broker in remaining:
            published(broker, third, doors[broker.name], "junk")
            broker.until(lambda: misdeeds(broker), "a member's session writes")  # noqa: B023 - called here
        first.json("member", "remove", "press-3", "--yes")
        second.until_states(WITHIN_S, press_3="removed")
        time.sleep(WITHIN_S)  # the promise: by then nothing more
        heard, counted = [each.heard() for each in live], [misdeeds(broker) for broker in remaining]
        fresh = [
            subscribed(tap(broker)) for broker in remaining
        ]  # the broker grants it, and delivers nothing
        for broker in remaining:
            published(broker, third, doors[broker.name], "junk")
        time.sleep(QUIET_S)
        assert [each.heard() for each in live] == heard
        assert [each.heard() for each in fresh] == [[], []]
        assert [misdeeds(broker) for broker in remaining] == counted


def door(broker: Machine, thief: Machine) -> str:
    """Where any certificate holder of the site may write."""
    return f"fm/{broker.status()['site_id']}/hello/{broker.status()['id']}/{thief.status()['id']}"


def misdeeds(broker: Machine) -> dict[str, int]:
    """How often its node was sent frames that are none."""
    return {name: n for name, n in broker.status()["counters"].items() if name.startswith("frame-")}


def test_a_removed_node_that_is_started_again_stays_removed(running: Plant) -> None:
    first, second, third = running
    first.json("member", "remove", "press-3", "--yes")
    third.until(lambda: third.status()["halted"], "it knows")
    third.stop()
    third.start()
    third.until(lambda: third.status()["halted"].startswith("this node was removed"), "it still knows")
    assert third.status()["linked"] == 0
    assert second.states() == {"press-1": "alive", "press-3": "removed"}


def test_a_node_that_was_off_when_it_was_removed_learns_it_from_the_first_it_meets(running: Plant) -> None:
    first, second, third = running
    third.stop()
    second.stop()
    second.settings["FABRIC_SEEDS"] = f"{HOST}:{third.port}"  # with multicast, its announcement does as much
    second.start()
    all_linked([first, second])
    first.json("member", "remove", "press-3", "--yes")
    second.until_states(press_3="removed")
    first.stop()
    third.start()
    third.until(
        lambda: third.status()["halted"].startswith("this node was removed"), "the second has told it"
    )
    assert second.states()["press-3"] == "removed"


def test_only_a_steward_can_remove_and_nobody_itself(running: Plant) -> None:
    first, _, third = running
    error = third.json("member", "remove", "press-1", "--yes", code=17)["error"]
    assert error["code"] == "not-a-steward" and "on a steward" in error["cure"]
    assert (
        "cannot remove itself"
        in first.json("member", "remove", "press-1", "--yes", code=2)["error"]["message"]
    )
    assert "--yes" in first.json("member", "remove", "press-3", code=2)["error"]["cure"]  # cannot ask
    assert set(third.states().values()) == {"alive"}


def test_a_steward_that_is_stolen_is_removed_by_another_and_issues_nothing_more(running: Plant) -> None:
    first, second, third = running
    second.json("member", "remove", "press-1", "--yes")
    first.until(
        lambda: first.status()["halted"].startswith("this node was removed"), "the stolen steward knows"
    )
    third.until_states(press_1="removed", press_2="alive")
    error = third.json("member", "remove", "press-2", "--yes", code=17)["error"]
    assert error["code"] == "not-a-steward"
    assert first.json("member", "remove", "press-2", "--yes", code=1)["error"]["message"].startswith(
        "this node takes no part"
    )
    assert third.states()["press-2"] == "alive"
