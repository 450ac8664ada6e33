"""Watching the world change, and taking all of it out, on a small plant of real cores."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from crdt_state.record import decode_record
from tests.node.a_desk import Station, meet, stations

PRESS = "acme/lyon/press"
WAIT_S = 5.0  # for what is there at once


async def told(changes: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        return await anext(changes)


async def shown(changes: AsyncIterator[dict[str, Any]]) -> list[str]:
    """What the snapshot has, until all is told."""
    names = []
    while (change := await told(changes))["change"] != "all-told":
        names.append(change["item"])
    return names


def watching(station: Station, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
    changes: AsyncIterator[dict[str, Any]] = station.handlers["world_watch"](**arguments)
    return changes


async def test_a_watcher_is_told_how_things_stand_then_what_others_change() -> None:
    one, two = stations()
    await one.ask("world_set", kind="asset", item=PRESS, body={})
    changes = watching(one, kinds=["asset", "alarm"])
    assert await shown(changes) == [PRESS]
    await two.ask("alarms_raise", alarm=f"{PRESS}#hot")
    meet([one, two])
    change = await told(changes)
    assert (change["change"], change["kind"], change["item"]) == ("is", "alarm", f"{PRESS}#hot")
    assert (change["state"], change["on"]) == ("unacknowledged", "b")


async def test_what_changes_while_the_snapshot_is_told_is_not_missed() -> None:
    (one,) = stations(1)
    await one.ask("world_set", kind="asset", item="acme/a", body={})
    await one.ask("world_set", kind="asset", item="acme/b", body={})
    changes = watching(one, kinds=["asset"])
    assert (await told(changes))["item"] == "acme/a"
    await one.ask("world_set", kind="asset", item="acme/a", body={"type": "new"})
    assert await shown(changes) == ["acme/b"]
    change = await told(changes)
    assert (change["item"], change["fields"]["body"]["type"]) == ("acme/a", "new")


async def test_only_what_is_asked_for_is_told() -> None:
    (one,) = stations(1)
    changes = watching(one, kinds=["asset"], path="acme/lyon", snapshot=False)
    waiting = asyncio.ensure_future(told(changes))
    await asyncio.sleep(0)
    await one.ask("world_set", kind="asset", item="acme/paris", body={})
    await one.ask("alarms_raise", alarm=f"{PRESS}#hot")
    await one.ask("world_set", kind="asset", item=PRESS, body={})
    assert (await waiting)["item"] == PRESS


async def test_what_is_cleared_away_is_told_as_gone_to_those_who_follow_its_place() -> None:
    (one,) = stations(1)
    for name in ("acme/paris", PRESS):
        await one.ask("world_set", kind="asset", item=name, body={})
    changes = watching(one, kinds=["asset"], path="acme/lyon")
    assert await shown(changes) == [PRESS]
    state = one.core.world.state
    document = state.library.get("asset")
    assert document is not None
    for key in list(document.records):
        state.hide(document, key)
    meet([one])
    change = await told(changes)
    assert (change["change"], change["kind"], change["item"]) == ("gone", "asset", PRESS)


async def test_a_watcher_that_is_slow_is_told_only_how_an_item_stands_in_the_end() -> None:
    (one,) = stations(1)
    changes = watching(one, kinds=["asset"])
    assert await shown(changes) == []
    for number in range(5):
        await one.ask("world_set", kind="asset", item=PRESS, body={"type": str(number)})
    await one.ask("world_set", kind="asset", item="acme/z", body={})
    assert (await told(changes))["fields"]["body"]["type"] == "4"
    assert (await told(changes))["item"] == "acme/z"


async def test_a_watcher_that_has_missed_too_much_is_shown_everything_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.world_streams.PENDING_MAX", 2)
    (one,) = stations(1)
    changes = watching(one, kinds=["asset"])
    assert await shown(changes) == []
    for number in range(4):
        await one.ask("world_set", kind="asset", item=f"acme/{number}", body={})
    assert await shown(changes) == ["acme/0", "acme/1", "acme/2", "acme/3"]


async def test_a_quiet_world_is_told_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.world_streams.QUIET_S", 0.01)
    (one,) = stations(1)
    assert (await told(watching(one, snapshot=False)))["change"] == "quiet"


async def test_who_stops_watching_leaves_nothing_behind() -> None:
    (one,) = stations(1)
    changes = watching(one)
    await shown(changes)
    assert len(one.news._listeners) == 1
    assert hasattr(changes, "aclose")
    await changes.aclose()
    assert one.news._listeners == []


async def test_an_export_has_every_record_decoded_and_as_it_was_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.world_streams.BATCH", 2)
    one, two = stations()
    for number in range(3):
        await one.ask("world_set", kind="asset", item=f"acme/{number}", body={"type": "x"})
    await two.ask("alarms_raise", alarm=f"{PRESS}#hot", text="too hot")
    meet([one, two])
    batches = [each["records"] async for each in two.handlers["world_export"]()]
    assert max(map(len, batches)) == 2
    records = [record for batch in batches for record in batch]
    held = one.core.world.state.library
    assert {b64decode(each["blob"]) for each in records} == {
        record.blob for document in held.documents() for record in document.records.values()
    }
    (hot,) = [each for each in records if each["kind"] == "alarm"]
    decoded = decode_record(b64decode(hot["blob"]))
    assert (hot["dot"], hot["body"]["text"], hot["on"]) == (str(decoded.dot), "too hot", "b")
    only = [each["records"] async for each in two.handlers["world_export"](kinds=["asset"])]
    assert [record["item"] for batch in only for record in batch].count("acme/1") == 1
    assert sum(map(len, only)) == 3
