"""What a running node answers, asked without a socket between."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_state.own_alarms import OwnAlarms
from mesh.events import Counted, Event, RemovalRequested, Write
from mesh.ids import NodeId
from mesh.roster import RemovalEntry, encode_entry
from mesh.trust import Identity
from node.config import Config
from node.errors import FieldmeshError
from node.exits import Exit
from node.founding import found_site, serial
from node.home import Home
from node.pem import new_key, public_half
from node.services import RunningNode
from node.settling import entry_of
from node.store import Store
from node.verbs import Verbs


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found_site(tmp_path, "plant", "press-1", time.time_ns() // 1_000_000)
    return Home(tmp_path)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store(home.database) as store:
        yield store


def verbs_of(node: RunningNode) -> Verbs:
    return Verbs(node.app, dict, list, lambda: None)


def know_a_member(node: RunningNode, name: str) -> NodeId:
    """As another steward has admitted it."""
    authority = node.app.keys.authority
    assert authority is not None
    identity, now_ms = Identity(new_key()), time.time_ns() // 1_000_000
    chain = authority.issue_leaf(identity.node, name, public_half(new_key()), now_ms, serial(), 30.0)
    assert not node.app.core.state.roster.merge([entry_of(chain, identity.public)]).refused
    return identity.node


async def test_a_name_that_was_given_twice_removes_nobody_and_an_id_does(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = RunningNode(home, Config(), store)
    twins = sorted(know_a_member(node, "press-2") for _ in range(2))
    told: list[Event | Counted] = []
    monkeypatch.setattr(node.app, "deliver", told.append)
    monkeypatch.setattr("node.verbs.DONE_WAIT_S", 0.0)
    with pytest.raises(FieldmeshError) as caught:
        await verbs_of(node).member_remove("press-2")
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.message == f"2 members are called press-2: {twins[0]}, {twins[1]}"
    assert told == []
    with pytest.raises(FieldmeshError, match="did not do it"):  # the core does not run here
        await verbs_of(node).member_remove(twins[1], "scrapped")
    assert told == [RemovalRequested(twins[1], "scrapped")]


async def test_a_name_that_nobody_has_is_said_so(home: Home, store: Store) -> None:
    with pytest.raises(FieldmeshError, match="no member called press-9"):
        await verbs_of(RunningNode(home, Config(), store)).member_remove("press-9")


async def test_a_second_removal_says_when_the_first_was(home: Home, store: Store) -> None:
    node = RunningNode(home, Config(), store)
    gone = know_a_member(node, "press-2")
    authority, state = node.app.keys.authority, node.app.core.state
    assert authority is not None
    removal = authority.remove(gone, "press-2", "scrapped", 1_800_000_000_000)
    state.roster.merge([encode_entry(RemovalEntry(removal))])
    for name_or_id in ("press-2", gone):
        with pytest.raises(FieldmeshError) as caught:
            await verbs_of(node).member_remove(name_or_id)
        said = f"press-2 ({gone}) was removed already, on 2027-01-15 08:00 UTC: scrapped"
        assert caught.value.message == said


async def test_what_stands_against_the_shared_state_is_told_by_the_check(home: Home, store: Store) -> None:
    node = RunningNode(home, Config(), store)
    state, now = node.app.core.world.state, node.app.now()
    OwnAlarms(state).tick({"document-diverged": "being repaired: asset"}, now)
    found = await verbs_of(node).check()
    (finding,) = [each for each in found["findings"] if each["code"] == "document-diverged"]
    assert (finding["level"], found["healthy"]) == ("error", False)
    assert "being repaired: asset" in finding["what"]


async def test_a_member_that_is_there_twice_is_named_by_the_check_until_it_is_removed(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = RunningNode(home, Config(), store)
    twin = know_a_member(node, "press-2")
    monkeypatch.setattr(node.app.core.world, "equivocators", lambda: {twin: ()})
    found = (await verbs_of(node).check())["findings"]
    assert [each["what"] for each in found if each["code"] == "author-equivocates"] == [
        "a member has signed two contents under one number (press-2)"
    ]
    authority = node.app.keys.authority
    assert authority is not None
    removal = authority.remove(twin, "press-2", "copied", 1_800_000_000_000)
    node.app.core.state.roster.merge([encode_entry(RemovalEntry(removal))])
    found = (await verbs_of(node).check())["findings"]
    assert "author-equivocates" not in [each["code"] for each in found]


async def test_rows_that_have_rotted_are_told_by_the_check(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(home.database) as store:
        store.write([Write("t", "a", b"good"), Write("t", "b", b"good")])
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE kv SET value=x'00' WHERE tbl='t'")
    connection.close()
    with Store(home.database) as store:
        found = await verbs_of(RunningNode(home, Config(), store)).check()
    assert [each["what"] for each in found["findings"] if each["code"] == "store-row-damaged"] == [
        "rows of this node's state.db that had rotted when it started, and were left out: 2"
    ]
    assert capsys.readouterr().out.count("store-row-damaged") == 1
