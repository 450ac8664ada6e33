"""The commands about the world, over a real control socket, against real cores in memory."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.main import main
from node.control import SOCKET_NAME
from node.control_server import serve_control
from node.exits import Exit
from node.home import Home
from node.run_folder import run_folder
from tests.mesh.site import WALL_MS
from tests.node.a_desk import Station, cut, heal, meet, stations

PRESS = "acme/lyon/hall/line/press"
HOT = f"{PRESS}#hot"


class Shell:
    """Types commands at one node and reads what they print."""

    def __init__(self, station: Station, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.station = station
        self.home = home
        self._capsys = capsys

    async def says(self, *words: str, code: int = Exit.OK) -> str:
        """Standard output and standard error; the command must end with this exit code."""
        self._capsys.readouterr()
        ended = await asyncio.to_thread(main, [*words, "--home", str(self.home)])
        said = self._capsys.readouterr()
        assert ended == code, said.out + said.err
        return said.out + said.err

    async def json(self, *words: str, code: int = Exit.OK) -> Any:
        """The one JSON object."""
        return json.loads(await self.says(*words, "--json", code=code))


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOME", str(tmp_path)), ("COLUMNS", "160"), ("LOGNAME", "anna"), ("TZ", "UTC")):
        monkeypatch.setenv(name, value)


@contextlib.asynccontextmanager
async def shells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int = 1
) -> AsyncIterator[list[Shell]]:
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for station in stations(count):
            home = tmp_path / str(station.place)
            path = Home(home).run_dir() / SOCKET_NAME
            await stack.enter_async_context(serve_control(path, station.handlers))
            found.append(Shell(station, home, capsys))
        yield found


@pytest.fixture
async def one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Shell]:
    async with shells(tmp_path, capsys) as (shell,):
        yield shell


@pytest.fixture
async def two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[list[Shell]]:
    async with shells(tmp_path, capsys, 2) as found:
        yield found


def cells(table: str) -> list[list[str]]:
    """The rows of a table, without its lines."""
    rows = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]


# ---------------------------------------------------------------- world


async def test_fields_are_written_one_by_one_and_a_whole_object_replaces_them(one: Shell) -> None:
    said = await one.says("world", "set", "asset", PRESS, "type=press", "range_high=250", "colour=dark red")
    assert f"written: asset {PRESS}" in said
    assert "does not know the field 'colour'; it is kept" in said
    await one.says("world", "set", "asset", PRESS, "unit=bar")
    body = (await one.json("world", "get", "asset", PRESS))["facets"][0]["versions"][0]["body"]
    assert body == {"type": "press", "range_high": 250, "colour": "dark red", "unit": "bar"}
    assert (await one.json("world", "set", "asset", PRESS, '{"type": "saw"}'))["body"] == {"type": "saw"}
    merged = await one.json("world", "set", "asset", PRESS, '{"unit": "mm"}', "--merge")
    assert merged["body"] == {"type": "saw", "unit": "mm"}
    assert "deleted: asset" in await one.says("world", "set", "asset", PRESS, "null")


@pytest.mark.parametrize("words", [("{bad",), ("[1]",), ("type=x", "press"), ("=x",), ("7",)])
async def test_what_is_no_body_is_said_so_and_writes_nothing(words: tuple[str, ...], one: Shell) -> None:
    assert "try: " in await one.says("world", "set", "asset", PRESS, *words, code=Exit.USAGE)
    assert (await one.json("world", "list"))["items"] == []


async def test_a_place_shows_what_is_there_for_people(one: Shell) -> None:
    await one.says("world", "set", "asset", PRESS, "type=press", "maker=Arburg")
    me = one.station.core.state.me
    await one.says("world", "set", "frame", me, json.dumps({"t": {f"{PRESS}/t": [81.5, "good", WALL_MS]}}))
    await one.says("alarms", "raise", HOT, "--severity", "critical", "--text", "too hot")
    await one.says("facts", "observe", f"{PRESS}#running", "true")
    await one.says("tasks", "offer", "cool it", "--asset", PRESS)
    said = await one.says("world", "get", PRESS)
    assert said.startswith(f"{PRESS}\n  type: press\n  maker: Arburg\n")
    rows = cells(said)
    assert rows[0][:3] == [f"{PRESS}/t", "81.5", "good"]
    assert rows[1] == [f"{PRESS}#running", "true", "known", "a"]
    assert rows[2] == [HOT, "unacknowledged", "critical", "too hot"]
    assert rows[3][1:] == ["open", "cool it"]
    assert f"  {PRESS}\n" in await one.says("world", "get", "acme/lyon/hall/line")


async def test_the_line_of_freshness_says_who_cannot_be_heard(two: list[Shell]) -> None:
    one, other = two
    every = [shell.station for shell in two]
    assert (await one.says("world", "list")).splitlines() == ["nothing is there", "as of now"]
    await other.says("world", "set", "asset", PRESS, "type=press")
    meet(every)
    cut(every)
    last = (await one.says("world", "list", "asset")).splitlines()[-1]
    assert re.fullmatch(r"as of \S+ for what b writes, unreachable since then", last)
    await one.says("world", "set", "asset", "acme/lyon", "type=site")
    last = (await one.says("world", "list", "asset")).splitlines()[-1]
    assert re.fullmatch(r"as of \S+ for what b writes, unreachable since then; as of now for the rest", last)
    await one.says("world", "set", "asset", "acme", "type=site")
    last = (await one.says("world", "list", "asset", "--author", "a")).splitlines()[-1]
    assert (
        last == "as of now for what members write that can be heard; another member is away and may know more"
    )


async def test_more_than_is_shown_can_be_gone_on_with(one: Shell) -> None:
    for number in range(3):
        await one.says("world", "set", "asset", f"acme/{number}", "{}")
    said = await one.says("world", "list", "asset", "--limit", "2")
    assert [row[0] for row in cells(said)] == ["acme/0", "acme/1"]
    mark = next(line for line in said.splitlines() if line.startswith("there is more: --after ")).split()[-1]
    said = await one.says("world", "list", "asset", "--after", mark)
    assert [row[0] for row in cells(said)] == ["acme/2"]


async def test_watching_prints_a_line_for_each_item_and_ends_after_so_many(one: Shell) -> None:
    await one.says("world", "set", "asset", PRESS, "type=press")
    said = await one.says("world", "watch", "--kind", "asset", "--count", "2")
    first, second = said.splitlines()
    assert first.endswith(f"asset {PRESS}  listed  on a")
    assert second.endswith("that is all; changes follow")
    listeners = one.station.news._listeners
    while listeners:
        await asyncio.sleep(0.01)  # the node notices by itself that the first has gone
    watching = asyncio.create_task(
        one.says("world", "watch", "--kind", "asset", "--no-snapshot", "--count", "1", "--json")
    )
    while not listeners:
        await asyncio.sleep(0.01)  # the watcher's thread tells nobody that it has asked
    await one.station.ask("world_set", kind="asset", item=PRESS, body={"type": "saw"})
    assert json.loads(await watching)["fields"]["body"]["type"] == "saw"


async def test_an_export_is_one_object_a_line(one: Shell) -> None:
    await one.says("world", "set", "asset", PRESS, "type=press")
    await one.says("alarms", "raise", HOT)
    lines = (await one.says("world", "export")).splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["alarm", "asset"]
    (line,) = (await one.says("world", "export", "--kind", "asset", "--json")).splitlines()
    assert json.loads(line)["body"] == {"type": "press"}


async def test_documents_proof_and_budget_are_tables(two: list[Shell]) -> None:
    one, other = two
    assert "no shared documents yet" in await one.says("world", "verify")
    await other.says("world", "set", "asset", PRESS, "type=press")
    meet([shell.station for shell in two], 20)
    assert ["asset", "1", "equal"] in cells(await one.says("world", "verify"))
    assert "equal on every member" in await one.says("world", "verify")
    assert cells(await one.says("world", "documents")) != []
    said = await one.says("world", "budget")
    assert any(row[:3] == ["asset", "b", "1"] for row in cells(said))
    assert (await one.json("world", "budget"))["documents"]


async def test_a_diverged_document_is_the_exit_code_of_the_proof(
    one: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = {"node": "n", "name": "b", "standing": "diverged", "as_of_ms": 1_000}
    proof = {
        "documents": [{"document": "asset", "records": 1, "members": [member]}],
        "equal": False,
        "diverged": True,
        "at_ms": 4_000,
        "freshness": {"unreachable": []},
    }
    monkeypatch.setattr("node.cli.world.call", lambda *_: proof)
    said = await one.says("world", "verify", code=Exit.UNHEALTHY)
    assert cells(said) == [["asset", "1", "diverged"]]
    assert said.splitlines()[-2:] == [
        "DIVERGED: asset; this repairs itself within seconds",
        "  next: ask again in a minute; if it still says so: fieldmesh check",
    ]


async def test_the_proof_names_who_cannot_be_heard_and_ends_with_a_verdict(two: list[Shell]) -> None:
    one, other = two
    every = [shell.station for shell in two]
    await other.says("world", "set", "asset", PRESS, "type=press")
    meet(every, 20)
    lines = (await one.says("world", "verify")).splitlines()
    assert re.fullmatch(r"  b: as of \S+, \S+ s ago", lines[-2])
    assert lines[-1] == "equal on every member"
    cut(every)
    lines = (await one.says("world", "verify")).splitlines()
    assert re.fullmatch(r"  b unreachable since \S+: as of \S+, .+ ago", lines[-3])
    assert lines[-2:] == [
        "equal on every member that can be heard; not known of b",
        "  b will be made equal once heard again; fieldmesh check says what is in the way",
    ]


async def test_the_live_views_address_needs_an_open_view(one: Shell) -> None:
    one.station.handlers["status"] = nothing
    assert "no live view is open" in await one.says("world", "live", code=Exit.NOT_RUNNING)


async def test_the_address_that_a_killed_node_has_left_behind_is_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(tmp_path)
    (folder / "api-token").write_text("secret\n")
    (folder / "api-address").write_text("127.0.0.1:8765\n")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / SOCKET_NAME))
    said = await Shell(stations(1)[0], tmp_path, capsys).json("world", "live", code=Exit.NOT_RUNNING)
    assert said["error"]["message"] == f"no node is running in {tmp_path}"


async def nothing() -> dict[str, Any]:
    return {}


async def test_a_node_that_does_not_run_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["world", "get"], ["alarms", "list"], ["tasks", "list"], ["facts", "list"]):
        assert main([*words, "--home", str(tmp_path)]) == Exit.NOT_RUNNING
    assert "fieldmesh run --home" in capsys.readouterr().err


# ---------------------------------------------------------------- alarms


async def test_alarms_are_listed_for_people_with_who_has_seen_them(one: Shell) -> None:
    assert "no alarm under acme wants attention" in await one.says("alarms", "list", "--under", "acme")
    await one.says("alarms", "raise", HOT, "--severity", "high", "--text", "too hot", "--value", "82.5")
    await one.says("alarms", "raise", f"{PRESS}#door")
    said = await one.says("alarms", "ack", f"{PRESS}#door", "--note", "closed it")
    assert said == f"{PRESS}#door: acknowledged\n"
    rows = cells(await one.says("alarms", "list"))
    assert rows == [
        [HOT, "unacknowledged", "high", "0.0 s", "too hot (82.5)", ""],
        [f"{PRESS}#door", "acknowledged", "medium", "0.0 s", "", "anna@a on a"],
    ]
    shown = await one.says("alarms", "show", f"{PRESS}#door")
    assert "acknowledged by: anna@a" in shown and "note: closed it" in shown


async def test_on_a_narrow_terminal_names_and_states_stay_whole(
    one: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    await one.says("alarms", "raise", f"{PRESS}/motor#bearing-temperature-drive-end", "--text", "too hot")
    lines = (await one.says("alarms", "list")).splitlines()
    assert lines[0] == f"{PRESS}/motor#bearing-temperature-drive-end"
    assert lines[1].startswith("  state unacknowledged  severity medium  for ")


async def test_all_that_is_unacknowledged_is_acknowledged_at_once(one: Shell) -> None:
    for name in ("hot", "door", "level"):
        await one.says("alarms", "raise", f"{PRESS}#{name}")
    await one.says("alarms", "raise", "acme/paris#hot")
    done = await one.json("alarms", "ack", "--all", "--under", PRESS, "--by", "bert")
    assert [each["acknowledged_by"] for each in done["alarms"]] == ["bert"] * 3
    again = await one.says("alarms", "ack", "--all", "--under", PRESS, code=Exit.USAGE)
    assert f"no alarm under {PRESS} is unacknowledged" in again
    assert "name the alarms, or give --all" in await one.says("alarms", "ack", code=Exit.USAGE)


async def test_alarms_go_out_of_sight_and_come_back(one: Shell) -> None:
    await one.says("alarms", "raise", HOT)
    said = await one.says("alarms", "shelve", HOT, "--for", "2h", "--reason", "fitter at work")
    assert said == f"{HOT}: shelved\n"
    assert "out of sight: 1; --hidden shows them" in await one.says("alarms", "list")
    assert "fitter at work (anna@a)" in await one.says("alarms", "show", HOT)
    assert await one.says("alarms", "unshelve", HOT) == f"{HOT}: unacknowledged\n"
    for away, back in (("suppress", "unsuppress"), ("out-of-service", "in-service")):
        assert HOT in await one.says("alarms", away, HOT, "--reason", "line stopped")
        assert [row[0] for row in cells(await one.says("alarms", "list", "--hidden"))] == [HOT]
        assert await one.says("alarms", back, HOT) == f"{HOT}: unacknowledged\n"
    assert await one.says("alarms", "return", HOT) == f"{HOT}: returned\n"
    assert "at most 7d" in await one.says("alarms", "shelve", "--help")
    assert "not between" in await one.says(
        "alarms", "shelve", HOT, "--for", "8d", "--reason", "x", code=Exit.USAGE
    )


# ---------------------------------------------------------------- tasks, facts, conflicts, quarantine


async def test_a_task_goes_from_offer_to_done(two: list[Shell]) -> None:
    one, other = two
    every = [shell.station for shell in two]
    assert "nothing is to be done" in await one.says("tasks", "list")
    said = await one.says("tasks", "offer", "Change the filter", "--asset", PRESS, "--priority", "high")
    task, state = said.strip().split(": ")
    assert state == "open"
    number = task.partition("-")[2]
    meet(every)
    assert f"{task}: claimed by b until " in await other.says("tasks", "claim", number, "--lease", "4h")
    assert f"{task}: claimed by a until " in await other.says("tasks", "hand", number, "a")
    meet(every)
    assert "claimed by a" in await one.says("tasks", "renew", task)
    rows = cells(await one.says("tasks", "list", "--mine"))
    assert rows[0][1:5] == ["claimed", "high", "Change the filter", PRESS]
    assert await one.says("tasks", "release", task) == f"{task}: open\n"
    await one.says("tasks", "claim", task)
    assert await one.says("tasks", "done", task, "--note", "3 bar") == f"{task}: done\n"
    shown = await one.says("tasks", "show", task)
    assert "ended by: anna@a" in shown and "note: 3 bar" in shown and "offered by: anna@a" in shown
    error = await one.json("tasks", "claim", task, code=Exit.FAILURE)
    assert error["error"]["message"] == f"the task {task} is done"


async def test_facts_show_who_says_what(two: list[Shell]) -> None:
    one, other = two
    fact = f"{PRESS}#drums"
    assert await one.says("facts", "observe", fact, "4") == f"{fact}: 4 (known)\n"
    await other.says("facts", "observe", fact, "5", "--text")
    meet([shell.station for shell in two])
    rows = cells(await one.says("facts", "list"))
    assert rows[0][0] == fact and rows[0][2:] == ["disagreeing", "-", "2"]
    assert set(rows[0][1].split(" or ")) == {"4 (a)", "5 (b)"}
    shown = await one.says("facts", "show", fact)
    assert "  a: 4, good, 5.0 s ago" in shown
    assert await other.says("facts", "withdraw", fact) == f"{fact}: 4 (known)\n"
    assert "one value" in await one.says("facts", "observe", fact, "[1]", code=Exit.USAGE)


async def test_a_conflict_is_shown_and_settled(two: list[Shell]) -> None:
    one, other = two
    every = [shell.station for shell in two]
    assert "nothing is in conflict" in await one.says("conflicts", "list")
    cut(every)
    await one.says("world", "set", "asset", PRESS, "type=saw")
    every[0].plant.run(1)
    await other.says("world", "set", "asset", PRESS, "type=mill")
    heal(every)
    (row,) = cells(await one.says("conflicts", "list"))
    assert (row[1], row[3], row[4]) == (f"asset {PRESS}", "b / a", "open")
    shown = await one.says("conflicts", "show", row[0])
    assert '  1. {"type": "mill"}  <- stands\n' in shown and '  2. {"type": "saw"}\n' in shown
    assert "settled by anna@a: as measured" in await one.says(
        "conflicts", "settle", row[0], "2", "--note", "as measured"
    )
    assert (await one.json("world", "get", "asset", PRESS))["fields"]["body"]["type"] == "saw"


async def test_the_quarantine_is_shown_and_decided(one: Shell) -> None:
    assert "nothing is in quarantine" in await one.says("quarantine", "show")
    from tests.node.test_world_verbs_conflicts import put_aside

    kept, lost = put_aside(one.station, "acme/a", {"type": "x"}), put_aside(one.station, "acme/b", {})
    said = await one.says("quarantine", "show")
    assert {(row[1], row[4]) for row in cells(said)} == {
        ("asset acme/a", "bring it back"),
        ("asset acme/b", "bring it back"),
    }
    assert "it was gone when we came back, since " in said
    assert await one.says("quarantine", "merge", kept.key) == "merged: 1\n"
    assert "give --yes too" in await one.says("quarantine", "discard", lost.key, "--json", code=Exit.USAGE)
    assert await one.says("quarantine", "discard", "--all", "--yes") == "discarded: 1\n"
    assert "name the keys, or give --all" in await one.says("quarantine", "merge", code=Exit.USAGE)


# ---------------------------------------------------------------- what was typed


async def test_a_number_is_text_where_the_field_is_text(one: Shell) -> None:
    words = ("serial=007", "model=77", "type=1.50", "range_high=250", "unit=true")
    body = (await one.json("world", "set", "asset", PRESS, *words))["body"]
    assert body == {"serial": "007", "model": "77", "type": "1.50", "range_high": 250, "unit": "true"}
    assert "unit" not in (await one.json("world", "set", "asset", PRESS, "unit=null"))["body"]
    for tall in ("tall", "NaN", "1e999"):
        said = await one.says("world", "set", "asset", PRESS, f"range_high={tall}", code=Exit.USAGE)
        assert f'range_high needs a number or null, not "{tall}"' in said


async def test_a_fact_may_be_a_negative_number_any_true_or_no_number_at_all(one: Shell) -> None:
    fact = f"{PRESS}#celsius"
    for typed, seen in (("-4", "-4"), ("-4.5", "-4.5"), ("TRUE", "true"), ("False", "false")):
        said = await one.says("facts", "observe", fact, typed, "--fresh", "8h")
        assert said == f"{fact}: {seen} (known)\n"
    for typed in ("nan", "-inf", "1e999"):
        assert await one.says("facts", "observe", fact, typed) == f"{fact}: - (unknown)\n"
    assert "No such option" in await one.says("facts", "observe", fact, "--qualty", "bad", code=Exit.USAGE)


async def test_fed_values_that_are_no_numbers_are_bad_and_true_is_true(one: Shell) -> None:
    await one.says("feed", f"{PRESS}/a=nan", f"{PRESS}/b=False", f"{PRESS}/c=-4")
    one.station.plant.run(2)
    rows = cells(await one.says("world", "get", PRESS))
    assert [row[1:3] for row in rows] == [["-", "bad"], ["false", "good"], ["-4", "good"]]


async def test_what_is_cut_is_told_with_the_command_that_shows_it(one: Shell) -> None:
    await one.station.ask("tags_feed", values={f"acme/t{number}": number for number in range(957)})
    one.station.plant.run(2)
    said = await one.says("world", "get", "acme")
    assert "500 of 957 tags; fieldmesh world get frame NODE shows one node's all" in said
    assert len(cells(await one.says("world", "get", "frame", "a"))) == 957


async def test_what_was_written_on_several_sides_is_marked_and_names_the_command(two: list[Shell]) -> None:
    every = [shell.station for shell in two]
    cut(every)
    for shell, kind in zip(two, ("press", "saw"), strict=True):
        await shell.says("world", "set", "asset", PRESS, f"type={kind}")
    heal(every)
    assert [row[2] for row in cells(await two[0].says("world", "list", "asset"))] == ["listed !"]
    assert "(see: fieldmesh conflicts list)" in await two[0].says("world", "get", "asset", PRESS)


async def test_who_held_a_task_whose_lease_has_run_out_is_told_so(one: Shell) -> None:
    task = (await one.says("tasks", "offer", "oil it")).partition(":")[0]
    await one.says("tasks", "claim", task, "--lease", "1m")
    one.station.plant.run(61)
    assert f"{task}: expired; a held it until " in await one.says("tasks", "show", task)
