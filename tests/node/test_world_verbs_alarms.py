"""Alarms over the control socket's verbs, on a small plant of real cores."""

from typing import Any

import pytest

from node.errors import FieldmeshError
from node.exits import Exit
from tests.node.a_desk import Station, cut, heal, meet, stations

LINE = "acme/lyon/hall/line"
HOT, DOOR, LEVEL, DUST = (f"{LINE}/press#{name}" for name in ("hot", "door", "level", "dust"))


async def listed(station: Station, **arguments: Any) -> list[tuple[str, str]]:
    """Names and states, in order."""
    found = await station.ask("alarms_list", **arguments)
    return [(each["name"], each["state"]) for each in found["alarms"]]


async def refused(station: Station, verb: str, **arguments: Any) -> FieldmeshError:
    with pytest.raises(FieldmeshError) as caught:
        await station.ask(verb, **arguments)
    return caught.value


async def test_an_alarm_raised_on_one_node_is_acknowledged_on_the_other_by_name() -> None:
    one, two = stations()
    await one.ask("alarms_raise", alarm=HOT, severity=3, text="too hot", value=82.5, limit=80.0)
    meet([one, two])
    (row,) = (await two.ask("alarms_list"))["alarms"]
    assert (row["state"], row["raised_on"], row["age_s"]) == ("unacknowledged", "a", 5.0)
    await two.ask("alarms_ack", alarms=[HOT], login="anna", note="fan was blocked")
    meet([one, two])
    (row,) = (await one.ask("alarms_list"))["alarms"]
    assert row["state"] == "acknowledged"
    assert (row["acknowledged_by"], row["acknowledged_on"]) == ("anna@b", "b")
    assert row["note"] == "fan was blocked"


async def test_the_list_has_what_wants_attention_first() -> None:
    (one,) = stations(1)
    for name, severity in ((DUST, 1), (HOT, 4), (DOOR, 2), (LEVEL, 3)):
        await one.ask("alarms_raise", alarm=name, severity=severity)
    await one.ask("alarms_ack", alarms=[HOT], by="anna")
    await one.ask("alarms_return", alarm=LEVEL)
    assert await listed(one) == [
        ("door", "unacknowledged"),
        ("dust", "unacknowledged"),
        ("level", "returned"),
        ("hot", "acknowledged"),
    ]
    assert await listed(one, severity=3) == [("level", "returned"), ("hot", "acknowledged")]
    assert await listed(one, limit=1) == [("door", "unacknowledged")]
    assert (await one.ask("alarms_list", limit=1))["total"] == 4
    assert await listed(one, path="acme/paris") == []


async def test_what_is_out_of_sight_is_counted_and_listed_only_when_asked_for() -> None:
    (one,) = stations(1)
    for name in (HOT, DOOR, LEVEL, DUST):
        await one.ask("alarms_raise", alarm=name)
    await one.ask("alarms_shelve", alarms=[HOT], for_s=3600, reason="fitter at work", by="anna")
    await one.ask("alarms_suppress", alarms=[DOOR], reason="line stopped", by="anna")
    await one.ask("alarms_out", alarms=[LEVEL], reason="sensor broken", by="anna")
    found = await one.ask("alarms_list")
    assert ([each["name"] for each in found["alarms"]], found["hidden"]) == (["dust"], 3)
    assert await listed(one, hidden=True) == [
        ("dust", "unacknowledged"),
        ("hot", "shelved"),
        ("door", "suppressed"),
        ("level", "out-of-service"),
    ]
    shelved = await one.ask("alarms_show", alarm=HOT)
    until_ms = one.now().wall_ms + 3_600_000
    assert shelved["hidden"] == {"reason": "fitter at work", "by": "anna", "until_ms": until_ms}
    await one.ask("alarms_unshelve", alarms=[HOT])
    await one.ask("alarms_unsuppress", alarms=[DOOR])
    await one.ask("alarms_in", alarms=[LEVEL])
    assert {state for _, state in await listed(one)} == {"unacknowledged"}


async def test_a_shelving_ends_by_itself() -> None:
    (one,) = stations(1)
    await one.ask("alarms_raise", alarm=HOT)
    await one.ask("alarms_shelve", alarms=[HOT], for_s=60, reason="x", by="anna")
    one.plant.run(59)
    assert await listed(one) == []
    one.plant.run(2)
    assert await listed(one) == [("hot", "unacknowledged")]


async def test_an_alarm_that_is_over_and_seen_is_listed_only_with_all() -> None:
    (one,) = stations(1)
    await one.ask("alarms_raise", alarm=HOT)
    await one.ask("alarms_return", alarm=HOT)
    await one.ask("alarms_ack", alarms=[HOT], by="anna")
    assert await listed(one) == []
    assert await listed(one, closed=True) == [("hot", "normal")]


async def test_several_are_acknowledged_at_once_and_those_with_nothing_to_see_are_named() -> None:
    (one,) = stations(1)
    for name in (HOT, DOOR):
        await one.ask("alarms_raise", alarm=name)
    await one.ask("alarms_ack", alarms=[DOOR], by="anna")
    done = await one.ask("alarms_ack", alarms=[HOT, DOOR, HOT], by="bert")
    assert [each["alarm"] for each in done["alarms"]] == [HOT]
    assert [each["alarm"] for each in done["skipped"]] == [DOOR]
    assert len(done["dots"]) == 1
    error = await refused(one, "alarms_ack", alarms=[HOT, DOOR], by="bert")
    assert (error.exit_code, "nothing to acknowledge" in error.message) == (Exit.FAILURE, True)


async def test_only_the_activation_that_was_seen_is_acknowledged() -> None:
    (one,) = stations(1)
    await one.ask("alarms_raise", alarm=HOT)
    (first,) = (await one.ask("alarms_show", alarm=HOT))["outstanding"]
    await one.ask("alarms_return", alarm=HOT)
    await one.ask("alarms_raise", alarm=HOT)
    error = await refused(one, "alarms_ack", alarms=[HOT], by="anna", seen=[first])
    assert "nothing to acknowledge" in error.message
    assert await listed(one) == [("hot", "unacknowledged")]


async def test_raising_what_is_raised_changes_nothing_and_writes_nothing() -> None:
    (one,) = stations(1)
    assert len((await one.ask("alarms_raise", alarm=HOT, text="too hot"))["dots"]) == 1
    assert (await one.ask("alarms_raise", alarm=HOT))["dots"] == []


@pytest.mark.parametrize(
    ("verb", "arguments", "said", "code"),
    [
        ("alarms_ack", {"alarms": [DUST]}, f"there is no alarm called {DUST}", Exit.USAGE),
        ("alarms_show", {"alarm": DUST}, f"there is no alarm called {DUST}", Exit.USAGE),
        ("alarms_return", {"alarm": DUST}, f"there is no alarm called {DUST}", Exit.USAGE),
        ("alarms_ack", {"alarms": []}, "name 1 to 500 alarms at once", Exit.USAGE),
        ("alarms_raise", {"alarm": "no-name"}, "names nothing at the path", Exit.USAGE),
        ("alarms_raise", {"alarm": "Acme#hot"}, "the enterprise 'Acme'", Exit.USAGE),
        ("alarms_raise", {"alarm": HOT, "severity": 9}, "cannot have this value", Exit.USAGE),
        ("alarms_unshelve", {"alarms": [HOT]}, "is not shelved", Exit.FAILURE),
        ("alarms_in", {"alarms": [HOT], "by": "a"}, "is in service", Exit.FAILURE),
        ("alarms_shelve", {"alarms": [HOT], "for_s": 60, "reason": " "}, "the reason is empty", Exit.USAGE),
        (
            "alarms_shelve",
            {"alarms": [HOT], "for_s": 8 * 86_400, "reason": "x"},
            "at most 7 days",
            Exit.FAILURE,
        ),
        ("alarms_ack", {"alarms": [HOT], "by": "x" * 121}, "more than 120 characters", Exit.USAGE),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_cure(
    verb: str, arguments: dict[str, Any], said: str, code: Exit
) -> None:
    (one,) = stations(1)
    await one.ask("alarms_raise", alarm=HOT)
    error = await refused(one, verb, **arguments)
    assert said in error.message
    assert (error.exit_code, error.cure != "") == (code, True)


async def test_one_that_cannot_be_shelved_leaves_the_others_as_they_are() -> None:
    (one,) = stations(1)
    await one.ask("alarms_raise", alarm=HOT)
    await refused(one, "alarms_shelve", alarms=[HOT, DUST], for_s=60, reason="x", by="anna")
    assert await listed(one) == [("hot", "unacknowledged")]


async def test_an_acknowledgement_in_a_cut_does_not_hide_what_was_raised_on_the_other_side() -> None:
    every = stations()
    one, two = every
    await one.ask("alarms_raise", alarm=HOT)
    meet(every)
    cut(every)
    await one.ask("alarms_return", alarm=HOT)
    await one.ask("alarms_raise", alarm=HOT)
    await two.ask("alarms_ack", alarms=[HOT], by="anna")
    assert await listed(two) == [("hot", "acknowledged")]
    heal(every)
    assert await listed(one) == await listed(two) == [("hot", "unacknowledged")]


async def test_a_list_says_whose_alarms_may_have_changed_unheard() -> None:
    every = stations()
    one, two = every
    await two.ask("alarms_raise", alarm=HOT)
    meet(every)
    cut(every)
    fresh = (await one.ask("alarms_list"))["freshness"]
    assert [each["name"] for each in fresh["unreachable"]] == ["b"]


async def test_one_alarm_that_is_not_there_leaves_all_as_they_were() -> None:
    (one,) = stations(1)
    for name in (HOT, DOOR):
        await one.ask("alarms_raise", alarm=name)
    arguments = {"by": "anna", "reason": "x", "for_s": 60}
    for verb, wanted in (("alarms_ack", ("by",)), ("alarms_shelve", ("by", "reason", "for_s"))):
        given = {name: arguments[name] for name in wanted}
        error = await refused(one, verb, alarms=[HOT, "nope#x", DOOR], **given)
        assert error.message == "there is no alarm called nope#x; none of the 3 alarms was changed"
        assert error.exit_code is Exit.USAGE
    assert {state for _, state in await listed(one)} == {"unacknowledged"}


async def test_one_alarm_that_refuses_leaves_all_as_they_were_and_says_so() -> None:
    (one,) = stations(1)
    for name in (HOT, DOOR):
        await one.ask("alarms_raise", alarm=name)
    await one.ask("alarms_suppress", alarms=[HOT], reason="x", by="anna")
    error = await refused(one, "alarms_unsuppress", alarms=[HOT, DOOR], by="anna")
    assert error.message == f"the alarm {DOOR} is not suppressed; none of the 2 alarms was changed"
