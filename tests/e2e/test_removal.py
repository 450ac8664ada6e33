"""A member is removed: cut off everywhere, live sessions included, and for ever."""

import time
from contextlib import ExitStack

import pytest

from node.errors import FieldmeshError
from tests.e2e.conftest import Plant
from tests.e2e.machines import Machine, until
from tests.e2e.wiretap import published, subscribed, tapped

pytestmark = [pytest.mark.io]

WITHIN_S = 2.0  # what the product promises
QUIET_S = 1.5  # three beats: a session that could read would have heard some


def everything(site: str, broker: Machine, thief: Machine) -> tuple[str, ...]:
    """All that a thief could want to read, and what its node reads."""
    node, own = broker.status()["id"], thief.status()["id"]
    return (f"fm/{site}/#", f"fm/{site}/all/{node}", f"fm/{site}/to/{own}/{node}", "#")


def test_a_removed_member_is_cut_off_within_two_seconds_and_told_so(running: Plant) -> None:
    first, second, third = running
    begun = time.monotonic()
    told = first.json("member", "remove", "press-3", "--reason", "stolen from the hall")
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
    site = first.status()["site_id"]
    thief = third.status()["id"]
    remaining = (first, second)
    with ExitStack() as stack:
        topics = {broker.name: everything(site, broker, third) for broker in remaining}
        third.kill()  # somebody walks away with the folder
        live = [
            subscribed(stack.enter_context(tapped(broker, third, *topics[broker.name])))
            for broker in remaining
        ]
        for tap in live:
            until(tap.heard, "a member's session reads")
        first.json("member", "remove", "press-3")
        time.sleep(WITHIN_S)  # the promise: by then nothing more
        counts = [len(tap.heard()) for tap in live]
        fresh = [
            stack.enter_context(tapped(broker, third, *topics[broker.name])) for broker in remaining
        ]
        frames = [broker.count("frame-from-removed") for broker in remaining]
        for broker in remaining:
            node = broker.status()["id"]
            for kind in ("to", "hello"):
                published(broker, third, f"fm/{site}/{kind}/{node}/{thief}", "junk")
        time.sleep(QUIET_S)
        assert [len(tap.heard()) for tap in live] == counts
        assert [tap.heard() for tap in fresh] == [[], []]
        assert [broker.count("frame-from-removed") for broker in remaining] == frames
        assert [broker.count("frame-malformed") for broker in remaining] == [0, 0]


def test_a_removed_node_that_is_started_again_stays_removed(running: Plant) -> None:
    first, second, third = running
    first.json("member", "remove", "press-3")
    third.until(lambda: third.status()["halted"], "it knows")
    third.stop()
    third.start()
    third.until(lambda: third.status()["halted"].startswith("this node was removed"), "it still knows")
    assert third.status()["linked"] == 0
    assert second.states() == {"press-1": "alive", "press-3": "removed"}


def test_a_node_that_was_off_when_it_was_removed_learns_it_from_the_first_it_meets(running: Plant) -> None:
    first, second, third = running
    third.stop()
    first.json("member", "remove", "press-3")
    second.until_states(press_3="removed")
    first.stop()
    third.start()
    third.until(lambda: third.status()["halted"].startswith("this node was removed"), "the second has told it")
    assert second.states()["press-3"] == "removed"


def test_only_a_steward_can_remove_and_nobody_itself(running: Plant) -> None:
    first, _, third = running
    error = third.json("member", "remove", "press-1", code=17)["error"]
    assert error["code"] == "not-a-steward" and "on a steward" in error["cure"]
    assert "cannot remove itself" in first.json("member", "remove", "press-1", code=2)["error"]["message"]
    assert set(third.states().values()) == {"alive"}


def test_a_steward_that_is_stolen_is_removed_by_another_and_issues_nothing_more(running: Plant) -> None:
    first, second, third = running
    second.json("member", "remove", "press-1")
    first.until(lambda: first.status()["halted"].startswith("this node was removed"), "the stolen steward knows")
    third.until_states(press_1="removed", press_2="alive")
    error = third.json("member", "remove", "press-2", code=17)["error"]
    assert error["code"] == "not-a-steward"
    assert first.json("member", "remove", "press-2", code=1)["error"]["message"].startswith("this node takes no part")
    assert third.states()["press-2"] == "alive"
