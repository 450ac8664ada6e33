"""Nodes that crash, stop, leave and come back; brokers that die; leaves."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import SOON_S, Machine, all_alive, is_alive, until

pytestmark = [pytest.mark.io]


def both_see(watchers: Plant, name: str, state: str, why: str, within_s: float = SOON_S) -> None:
    """Until each of them says this of the peer."""
    for watcher in watchers:
        watcher.until(
            lambda: watcher.peers()[name]["state"] == state and why in watcher.peers()[name]["why"],  # noqa: B023 - called before the loop goes on
            f"{name} is {state}, {why}",
            within_s,
        )


def test_a_crashed_node_is_unreachable_within_seconds_and_alive_when_it_is_back(running: Plant) -> None:
    first, second, third = running
    incarnation, broker = first.peers()["press-3"]["incarnation"], third.broker_pid
    third.kill()
    until(lambda: not is_alive(broker), "its broker has ended with it", SOON_S)
    both_see([first, second], "press-3", "unreachable", "")
    assert "press-3 is unreachable" in first.fieldmesh("check").out
    third.start()
    both_see([first, second], "press-3", "alive", "heard directly")
    assert first.peers()["press-3"]["incarnation"] > incarnation
    all_alive(running)


def test_a_stopped_node_is_known_to_have_been_stopped_at_once_and_complains_of_nothing(
    running: Plant,
) -> None:
    first, second, third = running
    said = len(third.log)
    third.terminate()
    # sooner than silence could tell
    both_see([first, second], "press-3", "unreachable", "it was stopped", within_s=1.5)
    assert third.exit_code() == 0
    last_words = third.log[said:]
    assert "node-stopped" in last_words
    assert "isolated" not in last_words and "unreachable" not in last_words


def test_a_node_that_leaves_has_left_until_it_runs_again(running: Plant) -> None:
    first, second, third = running
    assert third.json("leave")["told"] == 2
    assert third.exit_code() == 0
    both_see([first, second], "press-3", "left", "it said goodbye")
    assert first.findings() == []  # who has left is not missing
    third.start()
    all_alive(running)


def test_a_broker_that_is_killed_is_restarted_and_everybody_links_again(running: Plant) -> None:
    first, second, third = running
    broker = first.broker_pid
    kill(broker)
    first.until(lambda: first.broker_pid not in (0, broker), "a new broker", SOON_S)
    first.until(lambda: first.status()["broker_up"], "the new broker serves", SOON_S)
    all_alive(running, SOON_S)
    assert first.status()["broker"]["restarts"] == 1
    assert first.count("broker_restarted") == 1
    assert set(second.states().values()) == set(third.states().values()) == {"alive"}


def test_a_broker_that_cannot_come_back_leaves_a_node_that_is_not_dead(running: Plant) -> None:
    first, second, third = running
    config = first.home / "broker" / "mosquitto.conf"
    broken = config.with_name("mosquitto.conf.new")
    broken.mkdir()  # nothing can be written there any more
    kill(first.broker_pid)
    both_see([second, third], "press-1", "broker-down", "its broker is down")
    assert "broker-down" in first.findings()
    broken.rmdir()
    all_alive(running)


def test_two_leaves_see_each_other_through_a_third_node(plant: Plant) -> None:
    hub, *leaves = plant
    for leaf in leaves:
        leaf.settings["FABRIC_MODE"] = "leaf"
    for machine in plant:
        machine.start()
    hub.until(lambda: names(hub, "alive") == ["press-2", "press-3"], "both leaves are heard")
    for leaf, other in ((leaves[0], leaves[1]), (leaves[1], leaves[0])):
        leaf.until(lambda: leaf.peers()[other.name]["path"] == "via press-1", "a path through the hub")  # noqa: B023 - called here
        assert leaf.json("status")["mode"] == "leaf"
    kill(hub.broker_pid)
    all_alive(plant)


def test_a_new_machine_joins_a_running_site_as_a_leaf(
    running: Plant, make_machine: Callable[..., Machine]
) -> None:
    leaf = make_machine("hmi-1", FABRIC_MODE="leaf")
    leaf.join(running[1].token(), running[1])  # any steward will do
    leaf.start()
    all_alive([*running, leaf])
    assert leaf.json("status")["endpoints"] == []


def names(machine: Machine, state: str) -> list[str]:
    return sorted(name for name, found in machine.states().items() if found == state)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
