"""The shared world on real nodes: written on one, read on another, watched on a third."""

import json
import subprocess
from typing import Any

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import BIN, SOON_S, Machine

pytestmark = [pytest.mark.io]

PRESS = "acme/lyon/hall/press"
HOT = f"{PRESS}#oil-hot"


def alarm(machine: Machine) -> dict[str, Any]:
    """The one alarm of the press as this node lists it; empty while it lists none."""
    found = machine.ask("alarms_list", path=PRESS)["alarms"]
    return dict(found[0]) if found else {}


def test_what_is_set_on_one_node_is_got_on_the_others(running: Plant) -> None:
    first, second, third = running
    first.fieldmesh("world", "set", "asset", PRESS, "type=press", "maker=Arburg")
    for machine in (second, third):
        machine.until(lambda: machine.ask("world_list", kind="asset")["items"], "the press", SOON_S)  # noqa: B023 - called here
    got = third.json("world", "get", "asset", PRESS)
    assert got["facets"][0]["versions"][0]["body"] == {"type": "press", "maker": "Arburg"}
    assert (got["on"], got["freshness"]["unreachable"]) == ("press-1", [])
    assert "maker: Arburg" in second.fieldmesh("world", "get", PRESS).out
    second.until(lambda: second.ask("world_verify")["equal"], "equal everywhere")
    assert "equal on every member" in second.fieldmesh("world", "verify").out


def test_an_alarm_raised_on_one_node_is_acknowledged_on_another_by_name(running: Plant) -> None:
    first, second, _ = running
    first.fieldmesh("alarms", "raise", HOT, "--severity", "high", "--text", "oil too hot")
    second.until(lambda: alarm(second).get("state") == "unacknowledged", "the alarm", SOON_S)
    said = second.fieldmesh("alarms", "ack", HOT, "--by", "anna", "--note", "fan was blocked").out
    assert said == f"{HOT}: acknowledged\n"
    first.until(lambda: alarm(first).get("state") == "acknowledged", "the acknowledgement", SOON_S)
    shown = alarm(first)
    assert (shown["acknowledged_by"], shown["acknowledged_on"]) == ("anna", "press-2")


def test_a_watcher_sees_what_another_node_writes_and_a_task_changes_hands(running: Plant) -> None:
    first, second, _ = running
    words = [str(BIN / "fieldmesh"), "world", "watch", "--kind", "task", "--json", "--count", "2"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, env=first.environment(), cwd=first.folder, text=True
    ) as watcher:
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["change"] == "all-told"
        task = second.json("tasks", "offer", "Change the filter", "--asset", PRESS)["task"]["task"]
        change = json.loads(watcher.stdout.readline())
        assert (change["item"], change["state"], change["on"]) == (task, "open", "press-2")
        assert watcher.wait(SOON_S) == 0
    first.fieldmesh("tasks", "claim", task)
    second.until(lambda: second.ask("tasks_show", task=task)["state"] == "claimed", "the claim", SOON_S)
    refusal = second.json("tasks", "done", task, code=1)["error"]
    assert refusal["message"] == f"the task {task} is claimed by press-1"


def test_what_was_written_outlives_the_node_and_a_lost_author_is_named(running: Plant) -> None:
    first, second, third = running
    third.fieldmesh("facts", "observe", f"{PRESS}#running", "true")
    first.until(lambda: first.ask("facts_list")["facts"], "the fact", SOON_S)
    third.kill()
    first.until_states(press_3="unreachable")
    said = first.fieldmesh("facts", "list").out.splitlines()[-1]
    assert "for what press-3 writes, unreachable since" in said
    third.start().wait_until_up()
    shown = third.json("facts", "show", f"{PRESS}#running")
    assert [(each["on"], each["value"]) for each in shown["observations"]] == [("press-3", True)]
    exported = second.fieldmesh("world", "export", "--kind", "fact").out.splitlines()
    assert [json.loads(line)["item"] for line in exported] == [f"{PRESS}#running"]
