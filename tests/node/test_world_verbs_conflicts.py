"""The conflict ledger and the quarantine over the control socket's verbs, on a small plant of real cores."""

from typing import Any

import msgspec
import pytest

from crdt_state.record import Record, Register, make_record
from mesh.events import WriteRequested
from node.errors import FieldmeshError
from node.exits import Exit
from tests.node.a_desk import Station, cut, heal, meet, stations

PRESS = "acme/lyon/press"


async def refused(station: Station, verb: str, **arguments: Any) -> FieldmeshError:
    with pytest.raises(FieldmeshError) as caught:
        await station.ask(verb, **arguments)
    return caught.value


async def disputed() -> tuple[Station, Station, str]:
    """A press described differently on two sides, who have met since; and the conflict's name. b wrote later."""
    every = stations()
    one, two = every
    cut(every)
    await one.ask("world_set", kind="asset", item=PRESS, body={"type": "press", "maker": "A"})
    one.plant.run(1)
    await two.ask("world_set", kind="asset", item=PRESS, body={"type": "press", "maker": "B"})
    heal(every)
    (row,) = (await one.ask("conflicts_list"))["conflicts"]
    return one, two, row["conflict"]


async def maker(station: Station) -> str:
    return str((await station.ask("world_get", kind="asset", item=PRESS))["fields"]["body"]["maker"])


async def test_both_values_are_kept_with_their_authors_the_one_that_stands_first() -> None:
    one, _, conflict = await disputed()
    row = await one.ask("conflicts_show", conflict=conflict)
    assert (row["kind"], row["item"], row["state"], row["readable"]) == ("asset", PRESS, "open", True)
    shown = [(side["number"], side["on"], side["body"]["maker"], side["standing"]) for side in row["sides"]]
    assert shown == [(1, "b", "B", True), (2, "a", "A", False)]
    assert "wrote without having seen each other's value" in row["cause"]


async def test_a_conflict_is_found_by_any_beginning_of_its_name() -> None:
    one, _, conflict = await disputed()
    for beginning in (conflict[:10], conflict.partition("-")[2][:4]):
        assert (await one.ask("conflicts_show", conflict=beginning))["conflict"] == conflict


async def test_settling_for_the_value_that_lost_makes_it_stand_everywhere() -> None:
    one, two, conflict = await disputed()
    settled = (await one.ask("conflicts_settle", conflict=conflict, choice="2", login="anna"))["conflict"]
    assert (settled["state"], settled["settled_by"]) == ("settled", "anna@a")
    meet([one, two])
    assert await maker(one) == await maker(two) == "A"
    assert not (await two.ask("world_get", kind="asset", item=PRESS))["conflict"]
    for station in (one, two):
        assert (await station.ask("conflicts_list"))["conflicts"] == []
        (kept,) = (await station.ask("conflicts_list", settled=True))["conflicts"]
        assert [side["body"]["maker"] for side in kept["sides"]] == ["B", "A"]
    error = await refused(two, "conflicts_settle", conflict=conflict, choice="1", by="bert")
    assert (error.message, error.exit_code) == ("anna@a settled it already", Exit.USAGE)


async def test_settling_for_what_stands_changes_no_value() -> None:
    one, two, conflict = await disputed()
    await two.ask("conflicts_settle", conflict=conflict, choice="current", by="anna", note="B is right")
    meet([one, two])
    (row,) = (await one.ask("conflicts_list", settled=True))["conflicts"]
    assert (row["choice"], row["note"], await maker(one)) == ("current", "B is right", "B")


async def test_what_was_written_since_is_not_replaced_unless_that_is_meant() -> None:
    one, two, conflict = await disputed()
    await two.ask("world_set", kind="asset", item=PRESS, body={"maker": "C"}, merge=True)
    meet([one, two])
    row = await one.ask("conflicts_show", conflict=conflict)
    assert ([side["standing"] for side in row["sides"]], row["current"]["body"]["maker"]) == (
        [False, False],
        "C",
    )
    error = await refused(one, "conflicts_settle", conflict=conflict, choice="2", by="anna")
    assert error.message == f"asset {PRESS} has been written again since, by b"
    assert await maker(one) == "C"
    await one.ask("conflicts_settle", conflict=conflict, choice="2", by="anna", anyway=True)
    assert await maker(one) == "A"


async def test_a_choice_that_there_is_not_is_refused_and_by_its_dot_one_can_choose_too() -> None:
    one, _, conflict = await disputed()
    error = await refused(one, "conflicts_settle", conflict=conflict, choice="3", by="anna")
    assert error.message == "'3' is none of the 2 values of this conflict"
    dot = (await one.ask("conflicts_show", conflict=conflict))["sides"][1]["dot"]
    await one.ask("conflicts_settle", conflict=conflict, choice=dot, by="anna")
    assert await maker(one) == "A"


async def test_conflicts_are_listed_by_kind_and_place() -> None:
    one, _, conflict = await disputed()
    for arguments, found in (
        ({"kind": "asset"}, [conflict]),
        ({"kind": "task"}, []),
        ({"path": "acme/lyon"}, [conflict]),
        ({"path": "acme/paris"}, []),
    ):
        rows = (await one.ask("conflicts_list", **arguments))["conflicts"]
        assert [row["conflict"] for row in rows] == found
    assert (await refused(one, "conflicts_show", conflict="20270115-no")).exit_code is Exit.USAGE


async def test_a_side_that_its_author_has_not_signed_is_not_shown_as_theirs() -> None:
    one, two = stations()
    record = make_record(
        two.process.keys.identity, Register("asset", PRESS), 1, 99, 1 << 50, (), {"maker": "B"}
    )
    blob = record.blob[:-1] + bytes([record.blob[-1] ^ 1])
    body = {"register": ["asset", PRESS, ""], "winner": record.blob, "losers": [blob]}
    packed = msgspec.msgpack.encode(body)
    one.deliver(WriteRequested(1, (("conflict", "20270115-forged", "", packed),)))
    row = await one.ask("conflicts_show", conflict="20270115-forged")
    assert ([side["body"] for side in row["sides"]], row["readable"]) == ([{"maker": "B"}], False)


# ---------------------------------------------------------------- quarantine


def put_aside(station: Station, name: str, body: dict[str, Any] | None) -> Record:
    """As if the node had written this before a long absence."""
    keys = station.process.keys
    record = make_record(keys.identity, Register("asset", name), 0, 1, 1 << 40, (), body)
    station.core.world.quarantine.put(record, "it was gone when we came back", station.now())
    return record


async def test_what_is_aside_is_shown_with_what_merging_would_make_of_it() -> None:
    (one,) = stations(1)
    for name, body in (("a", {"type": "x"}), ("b", {"type": "y"}), ("c", None)):
        await one.ask("world_set", kind="asset", item=name, body=body or {"type": "z"})
    for name, held in (("a", {"type": "x"}), ("b", {"type": "old"}), ("c", None), ("d", {"type": "lost"})):
        put_aside(one, name, held)
    shown = await one.ask("quarantine_show")
    found = {each["item"]: (each["would"], each["now"] and each["now"]["body"]) for each in shown["aside"]}
    assert found == {
        "a": ("change nothing", {"type": "x"}),
        "b": ("replace what stands", {"type": "y"}),
        "c": ("delete it", {"type": "z"}),
        "d": ("bring it back", None),
    }
    assert {each["why"] for each in shown["aside"]} == {"it was gone when we came back"}
    assert shown["total"] == 4


async def test_what_is_merged_is_everybodys_and_what_is_discarded_is_gone() -> None:
    one, two = stations()
    kept, lost = put_aside(one, "kept", {"type": "x"}), put_aside(one, "lost", {"type": "x"})
    meet([one, two])
    assert (await two.ask("world_list", kind="asset"))["items"] == []
    merged = await one.ask("quarantine_merge", keys=[kept.key])
    assert (merged["decided"], [each["item"] for each in merged["records"]]) == (1, ["kept"])
    assert (await one.ask("quarantine_discard", keys=[lost.key]))["decided"] == 1
    meet([one, two])
    assert [each["item"] for each in (await two.ask("world_list", kind="asset"))["items"]] == ["kept"]
    assert (await one.ask("quarantine_show"))["total"] == 0


async def test_all_that_is_aside_is_decided_at_once() -> None:
    (one,) = stations(1)
    put_aside(one, "a", {})
    put_aside(one, "b", {})
    assert (await one.ask("quarantine_merge", everything=True))["decided"] == 2
    error = await refused(one, "quarantine_merge", everything=True)
    assert (error.message, error.exit_code) == ("nothing is in quarantine", Exit.USAGE)


async def test_a_key_that_there_is_not_decides_nothing() -> None:
    (one,) = stations(1)
    aside = put_aside(one, "a", {})
    for keys in ([], ["nothing"], [aside.key, "nothing"]):
        assert (await refused(one, "quarantine_discard", keys=keys)).exit_code is Exit.USAGE
    assert (await one.ask("quarantine_show"))["total"] == 1
