"""The live view with the real yjs, y-websocket and ws under Node: what a stock client sees and cannot do."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from crdt_state.record import Record, Register, make_record
from mesh.trust import Identity
from node.api_token import live_url
from node.live_view import ApiConfig, serve_live_view
from node.run_folder import run_folder
from tests.mesh.site import key_of
from tests.node.live_memory import MemoryDocuments

pytestmark = [pytest.mark.io, pytest.mark.timeout(600)]  # node and npm may have to be installed first

ROOT = Path(__file__).parent.parent.parent
YJS = ROOT / "tests" / "yjs"
LINE_TIMEOUT_S = 30.0
PATIENCE_S = 36.0  # y-websocket looks every 3 s whether 30 s have passed without a message
AUTHOR = Identity(key_of("live view author"))
TIME = (1_795_219_200_000 << 16) + 7  # 2026-11-21, and beyond what a JavaScript number holds exactly


def record(seq: int, item: str, body: dict[str, Any] | None) -> Record:
    return make_record(AUTHOR, Register("alarm", item), 3, seq, TIME, (), body)


FIRST = record(1, "lyon/press-1/hot", {"active": True, "limit": 80.5, "name": "Öl heiß"})
SECOND = record(2, "lyon/press-1/hot", {"active": False})
DELETED = record(3, "lyon/press-2/slow", None)


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder `node_modules` with exactly the locked packages."""
    if not (shutil.which("node") and shutil.which("npm")):
        script = "set -euo pipefail; source scripts/setup.sh; setup testing"
        subprocess.run(["bash", "-c", script], cwd=ROOT, check=True)
    folder, lock = YJS / "node_modules", (YJS / "package-lock.json").read_text()
    stamp = folder / "locked-by"
    if not stamp.exists() or stamp.read_text() != lock:
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(words, cwd=YJS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        stamp.write_text(lock)
    return folder


@pytest.fixture
def documents() -> MemoryDocuments:
    documents = MemoryDocuments("alarm", "fact")
    documents.put("alarm", FIRST.key, FIRST.blob)
    return documents


@pytest.fixture
async def url(tmp_path: Path, documents: MemoryDocuments) -> AsyncIterator[str]:
    """Where a node's live view shows these documents."""
    folder = run_folder(tmp_path)
    service = asyncio.create_task(serve_live_view(ApiConfig(port=0), documents, folder, lambda _: None))
    while not (folder / "api-address").exists():
        assert not service.done()
        await asyncio.sleep(0.01)
    yield live_url(tmp_path)
    service.cancel()
    await asyncio.wait([service])


class Script:
    """A running script under Node."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(LINE_TIMEOUT_S):
            line = await self._process.stdout.readline()
        assert line, "the script has ended"
        return line.decode().rstrip("\n")

    async def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.line())
        return event

    async def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()


@contextlib.asynccontextmanager
async def running(script: Path, *words: str) -> AsyncIterator[Script]:
    process = await asyncio.create_subprocess_exec("node", script, *words, stdin=PIPE, stdout=PIPE)
    try:
        yield Script(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
def following(packages: Path, url: str) -> Callable[[str], contextlib.AbstractAsyncContextManager[Script]]:
    return lambda name: running(YJS / "follow.mjs", url, name)


Following = Callable[[str], contextlib.AbstractAsyncContextManager[Script]]


async def test_a_stock_client_reads_the_records_and_each_change(
    following: Following, documents: MemoryDocuments
) -> None:
    async with following("alarm") as client:
        assert await client.event() == {
            "event": "record",
            "key": FIRST.key,
            "kind": "alarm",
            "item": "lyon/press-1/hot",
            "facet": "",
            "author": AUTHOR.node,
            "run": 3,
            "seq": 1,
            "written": "2026-11-21T00:00:00.000Z",
            "over": [],
            "value": {"active": True, "limit": 80.5, "name": "Öl heiß"},
            "signature": 64,
        }
        assert await client.event() == {"event": "synced", "keys": [FIRST.key]}
        documents.put("alarm", SECOND.key, SECOND.blob)
        later = await client.event()
        assert (later["seq"], later["value"]) == (2, {"active": False})
        documents.put("alarm", DELETED.key, DELETED.blob)
        assert (await client.event())["value"] is None
        documents.delete("alarm", DELETED.key)
        assert await client.event() == {"event": "gone", "key": DELETED.key}


async def test_what_a_stock_client_writes_reaches_no_document(
    following: Following, documents: MemoryDocuments
) -> None:
    before = documents.state("alarm", b"\0")
    async with following("alarm") as client, following("alarm") as other:
        for each in (client, other):
            assert (await each.event())["event"] == "record"
            assert (await each.event())["event"] == "synced"
        await client.say("forged")
        assert await client.event() == {"event": "wrote", "key": "forged"}
        assert await client.event() == {
            "event": "closed",
            "code": 4403,
            "reason": "documents can only be read here",
        }
        assert documents.state("alarm", b"\0") == before
        documents.put("alarm", SECOND.key, SECOND.blob)
        assert (await other.event())["seq"] == 2
    assert documents.content("alarm") == {FIRST.key: SECOND.blob}


async def test_a_stock_client_follows_into_a_new_generation(
    following: Following, documents: MemoryDocuments
) -> None:
    async with following("alarm") as client:
        await client.event()
        assert await client.event() == {"event": "synced", "keys": [FIRST.key]}
        documents.put("alarm", DELETED.key, DELETED.blob)
        await client.event()
        documents.renew("alarm", b"\x02")
        assert (await client.event())["code"] == 4410
        assert {(await client.event())["key"] for _ in range(2)} == {FIRST.key, DELETED.key}
        assert await client.event() == {"event": "synced", "keys": sorted([FIRST.key, DELETED.key])}


@pytest.mark.slow
async def test_a_stock_client_stays_through_a_silence_longer_than_its_patience(
    following: Following, documents: MemoryDocuments
) -> None:
    async with following("alarm") as client:
        assert [(await client.event())["event"] for _ in range(2)] == ["record", "synced"]
        await asyncio.sleep(PATIENCE_S)
        documents.put("alarm", SECOND.key, SECOND.blob)
        assert (await client.event())[
            "event"
        ] == "record"  # had it left and come again, it would be synced anew


async def test_a_stock_client_is_told_that_there_is_no_such_document(following: Following) -> None:
    async with following("nothing") as client:
        assert await client.event() == {
            "event": "closed",
            "code": 4404,
            "reason": "there is no such document",
        }


async def test_the_example_of_the_page_does_what_the_page_says(
    packages: Path, url: str, documents: MemoryDocuments, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "live-view.md").read_text()
    example = re.findall(r"^<!-- test: follow.mjs -->\n```js\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    script = tmp_path / "follow.mjs"
    script.write_text(example)
    (tmp_path / "node_modules").symlink_to(packages, target_is_directory=True)
    shown = f"{FIRST.key} alarm lyon/press-1/hot  {AUTHOR.node}"
    async with running(script, url, "alarm") as client:
        assert await client.line() == f'{shown} {{"active":true,"limit":80.5,"name":"Öl heiß"}}'
        documents.put("alarm", SECOND.key, SECOND.blob)
        assert await client.line() == f'{shown} {{"active":false}}'
        documents.renew("alarm", b"\x02")
        assert await client.line() == f'{shown} {{"active":false}}'


def test_the_packages_are_locked_without_naming_a_registry() -> None:
    lock = json.loads((YJS / "package-lock.json").read_text())
    wanted = json.loads((YJS / "package.json").read_text())["dependencies"]
    packages = {path.removeprefix("node_modules/"): entry for path, entry in lock["packages"].items() if path}
    assert {name: packages[name]["version"] for name in wanted} == wanted
    assert [name for name, entry in packages.items() if "integrity" not in entry or "resolved" in entry] == []
