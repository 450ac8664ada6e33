"""What a running node answers about the world, on a small plant of real cores."""

from typing import Any

import pytest

from crdt_state.item import Change
from crdt_state.record import Register
from node.desk import Desk
from node.errors import FieldmeshError
from node.exits import Exit
from tests.mesh.site import WALL_MS
from tests.node.a_desk import Station, cut, heal, meet, stations

PRESS = "acme/lyon/hall/line/press"
HOT = f"{PRESS}#hot"


async def refused(station: Station, verb: str, **arguments: Any) -> FieldmeshError:
    with pytest.raises(FieldmeshError) as caught:
        await station.ask(verb, **arguments)
    return caught.value


async def test_what_is_set_on_one_node_is_got_on_the_other() -> None:
    one, two = stations()
    body = {"type": "press", "range_high": 250.0}
    written = await one.ask("world_set", kind="asset", item=PRESS, body=body)
    assert (written["body"], written["unknown_fields"]) == (body, [])
    meet([one, two])
    got = await two.ask("world_get", kind="asset", item=PRESS)
    assert (got["state"], got["on"], got["dot"]) == ("listed", "a", written["dot"])
    assert got["facets"] == [
        {
            "facet": "",
            "versions": [
                {
                    "by": one.core.state.me,
                    "at_ms": got["at_ms"],
                    "dot": got["dot"],
                    "body": body,
                    "on": "a",
                }
            ],
        }
    ]


async def test_a_merge_keeps_what_it_does_not_name_and_null_takes_a_field_away() -> None:
    one, two = stations()
    body = {"type": "press", "unit": "bar", "colour": "red"}
    await one.ask("world_set", kind="asset", item=PRESS, body=body)
    meet([one, two])
    merged = await two.ask(
        "world_set", kind="asset", item=PRESS, body={"unit": None, "maker": "x"}, merge=True
    )
    assert merged["body"] == {"type": "press", "colour": "red", "maker": "x"}
    assert merged["unknown_fields"] == ["colour"]
    whole = await one.ask("world_set", kind="asset", item=PRESS, body={"type": "saw"})
    assert whole["body"] == {"type": "saw"}


async def test_null_deletes_and_the_list_leaves_it_out_unless_asked() -> None:
    (one,) = stations(1)
    await one.ask("world_set", kind="asset", item=PRESS, body={})
    await one.ask("world_set", kind="asset", item=PRESS, body=None)
    assert (await one.ask("world_list", kind="asset"))["items"] == []
    (gone,) = (await one.ask("world_list", kind="asset", closed=True))["items"]
    assert (gone["item"], gone["state"]) == (PRESS, "deleted")


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ({"kind": "robot", "item": "x", "body": {}}, "the kind 'robot' cannot be written", Exit.USAGE),
        ({"kind": "holding", "item": "x", "body": {}}, "the kind 'holding' cannot be", Exit.USAGE),
        ({"kind": "alarm", "item": HOT, "body": {}}, "has no facet ''", Exit.USAGE),
        (
            {"kind": "asset", "item": PRESS, "body": {"unit": 5}},
            "a field cannot have this value: unit needs text, not 5",
            Exit.USAGE,
        ),
        (
            {"kind": "asset", "item": PRESS, "body": {"limits": {"high": "hot"}}},
            'limits.high needs a number or null, not "hot"',
            Exit.USAGE,
        ),
        ({"kind": "asset", "item": PRESS, "body": None}, f"there is no asset called {PRESS}", Exit.USAGE),
        ({"kind": "asset", "item": PRESS, "body": {"type": "x" * 70_000}}, "larger than 65,536", Exit.USAGE),
        ({"kind": "asset", "item": PRESS, "body": {"n": 1 << 70}}, "a value in it cannot travel", Exit.USAGE),
        ({"kind": "asset", "item": "", "body": {}}, "the enterprise '' of the path ''", Exit.USAGE),
        ({"kind": "asset", "item": "Acme/Lyon", "body": {}}, "the enterprise 'Acme' of the path", Exit.USAGE),
        ({"kind": "asset", "item": "a/b/c/d/e/f/g", "body": {}}, "has 7 levels", Exit.USAGE),
        (
            {"kind": "alarm", "item": PRESS, "facet": "condition", "body": {}},
            "names nothing at the path",
            Exit.USAGE,
        ),
        ({"kind": "fact", "item": "acme/lyon#Hot", "body": {}}, "names nothing at the path", Exit.USAGE),
        (
            {"kind": "task", "item": "20261121-a", "facet": "offer", "body": {"asset": "Not A Path"}},
            "the enterprise 'Not A Path'",
            Exit.USAGE,
        ),
        (
            {"kind": "task", "item": "no-day", "facet": "offer", "body": {}},
            "name does not fit its kind",
            Exit.USAGE,
        ),
        (
            {"kind": "capability", "item": "another", "body": {}},
            "only the node that it is about",
            Exit.USAGE,
        ),
        ({"kind": "policy", "item": "egress", "body": {}}, "this node is not a steward", Exit.NOT_A_STEWARD),
    ],
)
async def test_a_write_that_cannot_be_says_why_and_writes_nothing(
    arguments: dict[str, Any], said: str, code: Exit
) -> None:
    one = stations(2)[1]  # not the steward
    error = await refused(one, "world_set", **arguments)
    assert said in error.message
    assert (error.exit_code, error.cure != "") == (code, True)
    assert not [kind for kind in one.core.world.state.view.kinds() if kind != "holding"]


async def test_a_steward_writes_a_policy() -> None:
    one = stations(1)[0]
    await one.ask("world_set", kind="policy", item="egress", body={"rules": {"egress_allowed": False}})
    (policy,) = (await one.ask("world_list", kind="policy"))["items"]
    assert (policy["state"], policy["fields"]["rules"]) == ("set", {"egress_allowed": False})


async def test_a_node_that_takes_no_part_writes_nothing_and_says_why() -> None:
    (one,) = stations(1)
    one.core.state.halted = "another process has this identity"
    error = await refused(one, "world_set", kind="asset", item=PRESS, body={})
    assert error.message == "this node takes no part: another process has this identity"


async def test_a_write_that_the_disk_does_not_take_is_not_called_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (one,) = stations(1)
    monkeypatch.setattr("node.desk.DONE_WAIT_S", 0.01)
    monkeypatch.setattr(one, "hear", lambda: None)  # a driver tells of no write while rows are held
    one.keeping.held = 3
    error = await refused(one, "world_set", kind="asset", item=PRESS, body={})
    assert (error.exit_code, "not on this node's disk yet" in error.message) == (Exit.DISK, True)
    one.keeping.held = 0
    assert (await refused(one, "world_set", kind="asset", item=PRESS, body={})).exit_code is Exit.TEMPORARY


async def test_a_place_is_shown_with_all_that_stands_there() -> None:
    one, two = stations()
    await one.ask("world_set", kind="asset", item=PRESS, body={"type": "press"})
    await one.ask("world_set", kind="asset", item="acme/paris", body={})
    frame = {"t": {f"{PRESS}/temp": [81.5, "good", WALL_MS], "acme/paris/temp": [1, "good", WALL_MS]}}
    await two.ask("world_set", kind="frame", item=two.core.state.me, body=frame)
    await two.ask("alarms_raise", alarm=HOT, severity=4, text="too hot")
    await one.ask("facts_observe", fact=f"{PRESS}#running", value=True)
    await one.ask("tasks_offer", title="cool it", asset=PRESS)
    await one.ask("tasks_offer", title="sweep", asset="acme/paris")
    meet([one, two])
    place = await one.ask("world_place", path="/acme/lyon/hall/line/press/")
    assert place["path"] == PRESS
    assert place["asset"]["fields"]["body"]["type"] == "press"
    assert [(each["tag"], each["value"], each["on"]) for each in place["tags"]] == [
        (f"{PRESS}/temp", 81.5, "b")
    ]
    assert [each["item"] for each in place["alarms"]] == [HOT]
    assert [each["item"] for each in place["facts"]] == [f"{PRESS}#running"]
    assert [each["fields"]["offer"]["title"] for each in place["tasks"]] == ["cool it"]
    everything = await one.ask("world_place")
    assert (everything["below"], len(everything["tasks"])) == (["acme"], 2)
    assert (await one.ask("world_place", path="acme"))["below"] == ["acme/lyon", "acme/paris"]
    # two's value is as old as the time that the plant took
    age_s = one.now().wall_ms / 1000 - WALL_MS / 1000
    assert place["freshness"]["oldest_s"] == pytest.approx(age_s, abs=0.1)


async def test_nothing_known_at_a_place_is_said() -> None:
    (one,) = stations(1)
    error = await refused(one, "world_place", path="acme/mars")
    assert (error.message, error.exit_code) == ("nothing is known at acme/mars", Exit.USAGE)
    assert (await one.ask("world_place"))["below"] == []  # an empty world is no mistake


@pytest.mark.parametrize("path", ["a//b", "A/B", "a/b/c/d/e/f/g"])
async def test_a_place_that_cannot_be_is_said_so(path: str) -> None:
    (one,) = stations(1)
    error = await refused(one, "world_place", path=path)
    assert "path" in error.message and "nothing is known" not in error.message
    assert error.exit_code is Exit.USAGE


async def test_what_another_release_has_named_impossibly_can_still_be_deleted() -> None:
    (one,) = stations(1)
    await one.ask("world_set", kind="asset", item=PRESS, body={})
    register = Register("asset", "Acme/Lyon")
    await Desk(one).write([Change(register, {"type": "x"})])
    assert (await one.ask("world_set", kind="asset", item="Acme/Lyon", body=None))["body"] is None


async def test_a_place_tells_how_much_there_is_when_it_shows_only_some() -> None:
    (one,) = stations(1)
    await one.ask("tags_feed", values={f"acme/t{number}": number for number in range(957)})
    one.plant.run(2)
    place = await one.ask("world_place", path="acme")
    assert (len(place["tags"]), place["tags_total"]) == (500, 957)
    assert (place["alarms_total"], place["below_total"]) == (0, 0)


async def test_the_worst_alarm_of_a_place_is_shown_however_many_there_are() -> None:
    (one,) = stations(1)
    body = {"active": True, "occurrence": "o", "severity": 1}
    changes = [Change(Register("alarm", f"acme#a{number:03}", "condition"), body) for number in range(205)]
    changes[204] = Change(changes[204].register, {**body, "severity": 4})
    await Desk(one).write(changes)
    place = await one.ask("world_place", path="acme")
    assert (len(place["alarms"]), place["alarms_total"]) == (200, 205)
    assert place["alarms"][0]["item"] == "acme#a204"


async def test_what_only_a_node_writes_is_found_by_the_members_name() -> None:
    (one,) = stations(1)
    await one.ask("tags_feed", values={PRESS: 1})
    assert (await one.ask("world_get", kind="frame", item="a"))["item"] == one.core.state.me


async def test_an_item_of_no_kind_is_answered_with_the_kinds() -> None:
    (one,) = stations(1)
    error = await refused(one, "world_get", kind="frob", item="a/b")
    assert (error.message, error.exit_code) == ("there is no kind 'frob'", Exit.USAGE)
    assert "asset" in error.cure


async def test_an_answer_names_the_authors_who_cannot_be_heard_since_when_they_cannot() -> None:
    every = stations(3)
    one, two, _ = every
    await two.ask("world_set", kind="asset", item=PRESS, body={})
    await one.ask("world_set", kind="asset", item="acme/paris", body={})
    meet(every)
    before_ms = one.now().wall_ms
    cut(every)
    fresh = (await one.ask("world_list", kind="asset"))["freshness"]
    (gone,) = fresh["unreachable"]
    assert (gone["name"], fresh["others_away"]) == ("b", 1)
    assert before_ms < gone["since_ms"] < before_ms + 5_000
    assert fresh["as_of_ms"] == one.now().wall_ms
    assert fresh["oldest_s"] == pytest.approx((one.now().wall_ms - gone["since_ms"]) / 1000, abs=0.01)
    heal(every)
    assert (await one.ask("world_list", kind="asset"))["freshness"]["unreachable"] == ()


async def test_a_list_is_gone_on_with_where_it_ended_and_knows_members_by_name() -> None:
    one, two = stations()
    for number in range(5):
        await one.ask("world_set", kind="asset", item=f"acme/{number}", body={})
    meet([one, two])
    first = await two.ask("world_list", kind="asset", author="a", limit=3)
    rest = await two.ask("world_list", kind="asset", author="a", limit=3, after=first["more"])
    names = [each["item"] for each in (*first["items"], *rest["items"])]
    assert names == [f"acme/{number}" for number in range(5)]
    assert rest["more"] == ""
    assert (await two.ask("world_list", kind="asset", author="b"))["items"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "robot"}, "there is no kind 'robot'"),
        ({"kind": "asset", "states": ["frob"]}, "there is no state 'frob'"),
        ({"states": ["frob"]}, "there is no state 'frob'"),
        ({"path": "X Y"}, "the enterprise 'X Y' of the path 'X Y' cannot be used"),
        ({"author": "z"}, "there is no member called z"),
        ({"limit": 0}, "an answer has 1 to 5000 rows"),
        ({"after": "!"}, "no place to go on from"),
    ],
)
async def test_a_list_that_cannot_be_made_says_why(arguments: dict[str, Any], said: str) -> None:
    (one,) = stations(1)
    error = await refused(one, "world_list", **arguments)
    assert said in error.message and error.exit_code is Exit.USAGE


async def test_what_is_not_there_is_a_mistake_of_the_caller() -> None:
    (one,) = stations(1)
    error = await refused(one, "world_get", kind="asset", item="acme/mars")
    assert (error.message, error.exit_code) == ("there is no asset called acme/mars", Exit.USAGE)
    assert error.cure == "fieldmesh world list asset shows them"


async def test_members_that_hold_the_same_are_equal_and_one_that_cannot_be_reached_falls_behind() -> None:
    every = stations()
    one = every[0]
    await one.ask("world_set", kind="asset", item=PRESS, body={})
    meet(every, 20)
    proof = await one.ask("world_verify")
    assert (proof["equal"], proof["diverged"]) == (True, False)
    (document,) = [each for each in proof["documents"] if each["document"] == "asset"]
    (member,) = document["members"]
    assert (member["name"], member["standing"], member["digest"]) == ("b", "equal", document["digest"])
    cut(every)
    await one.ask("world_set", kind="asset", item=f"{PRESS}/pump", body={})
    proof = await one.ask("world_verify")
    (document,) = [each for each in proof["documents"] if each["document"] == "asset"]
    assert [each["standing"] for each in document["members"]] == ["behind"]
    assert (proof["equal"], proof["diverged"]) == (False, False)


async def test_documents_and_budget_tell_what_is_held_and_who_wrote_it() -> None:
    one, two = stations()
    for number in range(3):
        await two.ask("world_set", kind="asset", item=f"acme/{number}", body={"type": "x"})
    meet([one, two])
    (assets,) = [
        each for each in (await one.ask("world_documents"))["documents"] if each["document"] == "asset"
    ]
    assert (assets["records"], assets["generation"], assets["whole"], assets["astray"]) == (3, 0, True, 0)
    budget = await one.ask("world_budget")
    (weight,) = [each for each in budget["documents"] if each["name"] == "asset"]
    assert (weight["records"], weight["record_bytes"]) == (3, assets["bytes"])
    (writer,) = [each for each in budget["writers"] if each["kind"] == "asset"]
    assert (writer["name"], writer["bytes"]) == ("b", assets["bytes"])
