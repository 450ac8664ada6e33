"""Tasks and facts over the control socket's verbs, on a small plant of real cores."""

from typing import Any

import pytest

from node.errors import FieldmeshError
from node.exits import Exit
from tests.node.a_desk import Station, cut, heal, meet, stations

PRESS = "acme/lyon/hall/line/press"
RUNNING = f"{PRESS}#running"


async def refused(station: Station, verb: str, **arguments: Any) -> FieldmeshError:
    with pytest.raises(FieldmeshError) as caught:
        await station.ask(verb, **arguments)
    return caught.value


async def offered(station: Station, title: str = "change the filter", **fields: Any) -> str:
    return str((await station.ask("tasks_offer", title=title, login="anna", **fields))["task"]["task"])


async def titles(station: Station, **arguments: Any) -> list[str]:
    return [each["title"] for each in (await station.ask("tasks_list", **arguments))["tasks"]]


async def test_a_task_offered_on_one_node_is_claimed_and_done_on_the_other() -> None:
    one, two = stations()
    task = await offered(one, asset=PRESS, priority=3)
    meet([one, two])
    assert task.startswith("20261121-")
    claimed = (await two.ask("tasks_claim", task=task, lease_s=60))["task"]
    assert (claimed["state"], claimed["owner_name"], claimed["mine"]) == ("claimed", "b", True)
    meet([one, two])
    error = await refused(one, "tasks_claim", task=task)
    assert error.message == f"the task {task} is claimed by b"
    await two.ask("tasks_done", task=task, note="3 bar again", login="bert")
    meet([one, two])
    assert await titles(one) == []
    (row,) = (await one.ask("tasks_list", closed=True))["tasks"]
    assert (row["state"], row["ended_by"], row["note"]) == ("done", "bert@b", "3 bar again")
    assert row["owner"] is None


async def test_a_lease_runs_out_and_a_task_is_renewed_released_and_handed_over() -> None:
    one, two = stations()
    task = await offered(one)
    await one.ask("tasks_claim", task=task, lease_s=60)
    one.plant.run(50)
    assert (await one.ask("tasks_renew", task=task, lease_s=60))["task"]["state"] == "claimed"
    one.plant.run(61)
    assert (await one.ask("tasks_show", task=task))["state"] == "expired"
    await one.ask("tasks_claim", task=task, lease_s=60)
    handed = (await one.ask("tasks_hand", task=task, to="b", lease_s=3600))["task"]
    assert (handed["owner_name"], handed["mine"]) == ("b", False)
    meet([one, two])
    released = (await two.ask("tasks_release", task=task))["task"]
    assert (released["state"], released["owner"]) == ("open", None)


async def test_a_task_claimed_on_both_sides_of_a_cut_has_one_owner_and_the_other_is_told() -> None:
    every = stations()
    one, two = every
    task = await offered(one)
    meet(every)
    cut(every)
    await one.ask("tasks_claim", task=task)
    one.plant.run(1)
    await two.ask("tasks_claim", task=task)
    heal(every)
    for station in every:
        row = await station.ask("tasks_show", task=task)
        assert (row["owner_name"], row["lost_claims"]) == ("a", ["b"])


async def test_the_list_is_by_urgency_and_can_be_narrowed() -> None:
    one, two = stations()
    await offered(one, "sweep", priority=1)
    urgent = await offered(one, "stop the leak", priority=4, asset=PRESS)
    taken = await offered(one, "paint", priority=1, asset="acme/paris")
    await two.ask("tasks_offer", title="oil", priority=1, login="x")
    meet([one, two])
    await one.ask("tasks_claim", task=taken)
    found = await titles(one)
    assert (found[0], found[-1], len(found)) == ("stop the leak", "paint", 4)
    assert await titles(one, path="acme/lyon") == ["stop the leak"]
    assert await titles(one, mine=True) == await titles(one, owner="a") == ["paint"]
    assert await titles(one, owner="b") == []
    await one.ask("tasks_withdraw", task=urgent)
    assert "stop the leak" not in await titles(one)
    assert await titles(one, states=["withdrawn"]) == ["stop the leak"]


async def test_a_task_that_was_withdrawn_can_be_offered_again_under_its_name() -> None:
    (one,) = stations(1)
    task = await offered(one)
    await one.ask("tasks_withdraw", task=task)
    again = (await one.ask("tasks_offer", title="change both filters", task=task, by="anna"))["task"]
    assert (again["task"], again["state"], again["title"]) == (task, "open", "change both filters")


async def test_a_task_is_found_by_the_beginning_of_its_number() -> None:
    (one,) = stations(1)
    first, second = await offered(one, task=""), await offered(one, "another")
    number = first.partition("-")[2]
    assert (await one.ask("tasks_show", task=number[:7]))["task"] == first
    error = await refused(one, "tasks_show", task="")
    assert error.exit_code is Exit.USAGE
    assert (await one.ask("tasks_fail", task=second, by="anna"))["task"]["state"] == "failed"


async def test_a_beginning_that_several_tasks_have_finds_none_of_them() -> None:
    (one,) = stations(1)
    for number in ("ab1", "ab2"):
        await one.ask(
            "world_set", kind="task", item=f"20261121-{number}", facet="offer", body={"title": number}
        )
    error = await refused(one, "tasks_claim", task="ab")
    assert (error.message, error.exit_code) == (
        "2 tasks begin with ab: 20261121-ab1, 20261121-ab2",
        Exit.USAGE,
    )
    assert (await one.ask("tasks_claim", task="20261121-ab2"))["task"]["task"] == "20261121-ab2"


async def test_a_task_is_found_by_the_beginning_of_its_whole_name() -> None:
    (one,) = stations(1)
    task = await offered(one)
    assert (await one.ask("tasks_claim", task=task[:11]))["task"]["task"] == task


async def test_a_task_is_handed_over_for_what_is_left_of_the_lease() -> None:
    (one, _) = stations()
    task = await offered(one)
    claimed = (await one.ask("tasks_claim", task=task, lease_s=7200))["task"]
    one.plant.run(60)
    handed = (await one.ask("tasks_hand", task=task, to="b"))["task"]
    assert (handed["owner_name"], handed["lease_until_ms"]) == ("b", claimed["lease_until_ms"])


@pytest.mark.parametrize(
    ("verb", "arguments", "said", "code"),
    [
        ("tasks_claim", {"task": "20261121-no"}, "there is no task called 20261121-no", Exit.USAGE),
        ("tasks_offer", {"title": "x", "asset": "Not A Path"}, "cannot be used", Exit.USAGE),
        ("tasks_list", {"states": ["frob"]}, "there is no state 'frob'", Exit.USAGE),
        ("tasks_offer", {"title": " "}, "the title is empty", Exit.USAGE),
        ("tasks_offer", {"title": "x", "priority": 7}, "cannot have this value", Exit.USAGE),
        ("tasks_list", {"owner": "nobody"}, "there is no member called nobody", Exit.USAGE),
    ],
)
async def test_what_names_nothing_is_a_mistake_of_the_caller(
    verb: str, arguments: dict[str, Any], said: str, code: Exit
) -> None:
    (one,) = stations(1)
    error = await refused(one, verb, **arguments)
    assert said in error.message
    assert (error.exit_code, error.cure != "") == (code, True)


async def test_what_cannot_be_done_with_a_task_now_is_refused() -> None:
    (one,) = stations(1)
    task = await offered(one)
    assert "is not claimed by this node" in (await refused(one, "tasks_renew", task=task)).message
    assert "at most a day" in (await refused(one, "tasks_claim", task=task, lease_s=90_000)).message
    await one.ask("tasks_done", task=task, by="anna")
    for verb in ("tasks_claim", "tasks_done", "tasks_withdraw"):
        error = await refused(one, verb, task=task)
        assert (error.message, error.exit_code) == (f"the task {task} is done", Exit.FAILURE)


# ---------------------------------------------------------------- facts


async def test_observers_that_disagree_are_both_shown_until_one_withdraws() -> None:
    every = stations()
    one, two = every
    seen = (await one.ask("facts_observe", fact=RUNNING, value=True))["fact"]
    assert (seen["state"], seen["value"]) == ("known", True)
    await two.ask("facts_observe", fact=RUNNING, value=False)
    meet(every)
    (row,) = (await one.ask("facts_list"))["facts"]
    assert (row["state"], row["value"]) == ("disagreeing", None)
    assert {(each["on"], each["value"]) for each in row["observations"]} == {("a", True), ("b", False)}
    assert [each["fact"] for each in (await one.ask("facts_list", states=["known"]))["facts"]] == []
    await two.ask("facts_withdraw", fact=RUNNING)
    meet(every)
    assert (await one.ask("facts_show", fact=RUNNING))["value"] is True


async def test_a_fact_grows_stale_and_one_that_all_withdrew_is_not_listed() -> None:
    (one,) = stations(1)
    await one.ask("facts_observe", fact=RUNNING, value=True, fresh_s=60)
    one.plant.run(61)
    (row,) = (await one.ask("facts_list"))["facts"]
    assert (row["state"], row["value"], row["observations"][0]["fresh"]) == ("unknown", None, False)
    await one.ask("facts_withdraw", fact=RUNNING)
    assert (await one.ask("facts_list"))["facts"] == []
    assert (await refused(one, "facts_withdraw", fact=RUNNING)).message.startswith("this node has not")


async def test_a_fact_that_nobody_observed_or_that_has_no_name_is_refused() -> None:
    (one,) = stations(1)
    assert (await refused(one, "facts_show", fact=RUNNING)).exit_code is Exit.USAGE
    error = await refused(one, "facts_observe", fact="acme", value=1)
    assert ("names nothing at" in error.message, error.exit_code) == (True, Exit.USAGE)


async def test_an_observation_without_a_value_is_bad_and_makes_nothing_known() -> None:
    (one,) = stations(1)
    seen = (await one.ask("facts_observe", fact=RUNNING, value=None))["fact"]
    assert (seen["state"], seen["observations"][0]["quality"]) == ("unknown", "bad")
