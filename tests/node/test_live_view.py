"""The live view on a real socket: what a follower sees, and what a client can and cannot do."""

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pycrdt import Doc, Map
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from node import live_follower, live_view
from node.api_token import live_url
from node.live_protocol import HEARTBEAT, Offered, read_message, write_number
from node.live_view import ApiConfig, serve_live_view
from node.run_folder import run_folder
from tests.node.live_memory import MemoryDocuments

pytestmark = pytest.mark.io

ANY_PORT = ApiConfig(port=0)
SOON_S = 10.0  # for what should happen at once


class View:
    """A live view that runs, and how to get to it."""

    def __init__(self, home: Path, documents: MemoryDocuments) -> None:
        self.home = home
        self.documents = documents
        self.counted: Counter[str] = Counter()

    @property
    def base(self) -> str:
        return live_url(self.home).partition("?")[0]

    @property
    def token(self) -> str:
        return live_url(self.home).partition("token=")[2]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.base.removeprefix("ws://").removesuffix("/yjs").partition(":")
        return host, int(port)

    def count(self, name: str) -> None:
        self.counted[name] += 1

    def client(self, name: str, query: str | None = None, **settings: Any) -> connect:
        query = f"token={self.token}" if query is None else query
        return connect(f"{self.base}/{name}?{query}", proxy=None, **settings)

    async def get(self, path: str, *headers: str) -> tuple[int, dict[str, str], str]:
        """A plain HTTP request: status, headers, body."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: here", *headers, "", ""]).encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        status, *lines = head.split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


class Copy:
    """What a follower makes of what it is sent."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self.doc: Doc[Any] = Doc()
        self.updates = 0

    async def ask(self) -> None:
        vector = self.doc.get_state()
        await self.client.send(b"\0\0" + write_number(len(vector)) + vector)

    async def hear(self) -> None:
        """Take the next message that carries an update."""
        async with asyncio.timeout(SOON_S):
            while True:
                data = await self.client.recv(decode=False)
                message = read_message(data)
                if isinstance(message, Offered):
                    self.doc.apply_update(message.update)
                    self.updates += 1
                    return

    async def hear_until(self, content: dict[str, bytes]) -> None:
        while self.content != content:
            await self.hear()

    @property
    def content(self) -> dict[str, bytes]:
        return dict(self.doc.get("records", type=Map).items())


@contextlib.asynccontextmanager
async def viewing(
    home: Path, documents: MemoryDocuments, config: ApiConfig = ANY_PORT
) -> AsyncIterator[View]:
    view = View(home, documents)
    service = asyncio.create_task(serve_live_view(config, documents, run_folder(home), view.count))
    try:
        while not (run_folder(home) / "api-address").exists():
            assert not service.done()
            await asyncio.sleep(0.01)
        yield view
    finally:
        service.cancel()
        await asyncio.wait([service])
        assert service.cancelled()


@pytest.fixture
def documents() -> MemoryDocuments:
    documents = MemoryDocuments("alarm", "task:20261121")
    documents.put("alarm", "k", b"one")
    return documents


@pytest.fixture
async def view(tmp_path: Path, documents: MemoryDocuments) -> AsyncIterator[View]:
    async with viewing(tmp_path, documents) as view:
        yield view


async def farewell(client: ClientConnection) -> tuple[int | None, str | None]:
    """The code and reason with which the server ends the connection."""
    async with asyncio.timeout(SOON_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    return client.close_code, client.close_reason


def update_in_full(documents: MemoryDocuments) -> bytes:
    update = documents.state("alarm", b"\0")
    return write_number(len(update)) + update


# ---------------------------------------------------------------- following


async def test_a_follower_gets_what_is_there_and_then_each_change(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        assert copy.content == {"k": b"one"}
        view.documents.put("alarm", "l", b"two")
        await copy.hear_until({"k": b"one", "l": b"two"})
        view.documents.delete("alarm", "k")
        await copy.hear_until({"l": b"two"})


async def test_an_answer_comes_even_when_there_is_nothing_to_tell(view: View) -> None:
    async with view.client("task:20261121") as client:
        await client.send(b"\0\0\1\0")
        assert await client.recv() == b"\0\1\2\0\0"


async def test_a_client_that_has_not_asked_is_told_nothing(view: View) -> None:
    async with view.client("alarm") as client:
        view.documents.put("alarm", "l", b"two")
        await asyncio.sleep(3 * live_follower.COALESCE_S)
        await Copy(client).ask()
        assert await client.recv() == b"\0\1" + update_in_full(view.documents)


async def test_a_follower_that_comes_again_gets_only_what_it_lacks(view: View) -> None:
    view.documents.put("alarm", "large", b"x" * 100_000)
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
    view.documents.put("alarm", "l", b"two")
    async with view.client("alarm") as client:
        copy.client = client
        await copy.ask()
        answer = await client.recv(decode=False)
        assert len(answer) < 100
        message = read_message(answer)
        assert isinstance(message, Offered)
        copy.doc.apply_update(message.update)
        assert copy.content == {"k": b"one", "l": b"two", "large": b"x" * 100_000}


async def test_many_changes_at_once_are_one_message(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        for number in range(200):
            view.documents.put("alarm", "k", b"%d" % number)
        await copy.hear_until({"k": b"199"})
        assert copy.updates == 2


async def test_news_of_no_change_are_not_sent(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        for _ in range(3):
            view.documents.touch("alarm")
            await asyncio.sleep(2 * live_follower.COALESCE_S)
        view.documents.put("alarm", "k", b"last")
        await copy.hear()
        assert copy.content == {"k": b"last"}


async def test_an_update_of_several_megabytes_arrives(view: View) -> None:
    for number in range(6):
        view.documents.put("alarm", f"large-{number}", bytes([number]) * 1_000_000)
    async with view.client("alarm", max_size=None) as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        assert copy.content == view.documents.content("alarm")


async def test_followers_of_one_document_hear_nothing_of_another(view: View) -> None:
    async with view.client("alarm") as first, view.client("task:20261121") as second:
        one, two = Copy(first), Copy(second)
        for copy in (one, two):
            await copy.ask()
            await copy.hear()
        view.documents.put("task:20261121", "t", b"task")
        await two.hear_until({"t": b"task"})
        view.documents.put("alarm", "k", b"later")
        await one.hear()
        assert one.content == {"k": b"later"}


async def test_a_silent_view_gives_a_sign_of_life(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_follower, "HEARTBEAT_S", 0.1)
    async with view.client("alarm") as client, asyncio.timeout(SOON_S):
        assert [await client.recv(), await client.recv()] == [HEARTBEAT, HEARTBEAT]


async def test_awareness_and_other_messages_are_taken_without_a_word(view: View) -> None:
    async with view.client("alarm") as client:
        for message in (b"\1\5\1\7\1\2{}", b"\3", b"\2\0\2no", b"\0\1\2\0\0", b"\0\2\2\0\0"):
            await client.send(message)
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        assert copy.content == {"k": b"one"}


# ---------------------------------------------------------------- reading only


@pytest.mark.parametrize("step", [b"\0\1", b"\0\2"])
async def test_a_client_that_writes_is_sent_away_and_changes_nothing(view: View, step: bytes) -> None:
    before = view.documents.state("alarm", b"\0")
    mine: Doc[Any] = Doc(client_id=77)
    mine.get("records", type=Map)["k"] = b"forged"
    update = mine.get_update()
    async with view.client("alarm") as client:
        await client.send(step + write_number(len(update)) + update)
        assert await farewell(client) == (4403, "documents can only be read here")
    assert view.documents.state("alarm", b"\0") == before
    assert view.counted == {"live-write-refused": 1}


@pytest.mark.parametrize("message", [b"", b"\0", b"\0\0\5\0", b"\0\0\1\1", b"\0\7\0", "text", b"\0\0\0"])
async def test_a_client_that_talks_rubbish_is_sent_away(view: View, message: str | bytes) -> None:
    async with view.client("alarm") as client:
        await client.send(message)
        assert (await farewell(client))[0] == 1007
    assert view.counted == {"live-malformed": 1}


async def test_a_client_that_talks_too_long_is_sent_away(view: View) -> None:
    async with view.client("alarm") as client:
        with contextlib.suppress(ConnectionClosed):
            await client.send(bytes(live_view.MESSAGE_IN_BYTES_MAX + 1))
        assert (await farewell(client))[0] == 1009


# ---------------------------------------------------------------- generations


async def test_a_new_generation_ends_its_followers(view: View) -> None:
    async with view.client("alarm") as client, view.client("task:20261121") as other:
        copy = Copy(other)
        await copy.ask()
        view.documents.renew("alarm", b"\x02")
        assert await farewell(client) == (4410, "another generation: follow again with a new Y.Doc")
        await copy.hear()  # the other document goes on


async def test_a_client_that_comes_with_the_old_generation_is_sent_away_and_with_nothing_let_in(
    view: View,
) -> None:
    async with view.client("alarm") as client:
        old = Copy(client)
        await old.ask()
        await old.hear()
    view.documents.renew("alarm", b"\x02")
    async with view.client("alarm") as client:
        old.client = client
        await old.ask()
        assert (await farewell(client))[0] == 4410
    async with view.client("alarm") as client:
        new = Copy(client)
        await new.ask()
        await new.hear()
        assert new.content == {"k": b"one"}


async def test_a_client_that_names_its_mark_is_told_before_anything_is_mixed(view: View) -> None:
    view.documents.renew("alarm", b"\x02")
    async with view.client("alarm", f"token={view.token}&mark=01") as client:
        assert (await farewell(client))[0] == 4410
    async with view.client("alarm", f"token={view.token}&mark=02") as client:
        await Copy(client).ask()
        assert read_message(await client.recv(decode=False)) != Offered(b"\0\0")


async def test_a_form_that_was_begun_anew_under_the_same_mark_ends_its_followers(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        view.documents.lose("alarm")
        assert (await farewell(client))[0] == 4410


async def test_a_document_that_is_not_there_or_no_more_is_said_to_be_so(view: View) -> None:
    async with view.client("nobody") as client:
        assert await farewell(client) == (4404, "there is no such document")
    async with view.client("alarm") as client:
        await Copy(client).ask()
        await client.recv()
        view.documents.drop("alarm")
        assert await farewell(client) == (4404, "the document is no more")


# ---------------------------------------------------------------- the list and the door


async def test_the_list_names_documents_and_marks(view: View) -> None:
    status, headers, body = await view.get(f"/yjs?token={view.token}")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(body) == [{"name": "alarm", "mark": "01"}, {"name": "task:20261121", "mark": "01"}]
    assert "Access-Control-Allow-Origin" not in headers


async def test_a_page_of_this_machine_may_read_the_list(view: View) -> None:
    origin = "http://localhost:3000"
    bearer = f"Authorization: Bearer {view.token}"
    status, headers, _ = await view.get("/yjs", bearer, f"Origin: {origin}")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/yjs", [], 401),
        ("/yjs?token=wrong", [], 401),
        ("/", [], 404),
        ("/yjsx", [], 404),
        ("/yjs?token=TOKEN", ["Origin: https://evil.example"], 403),
        ("/yjs?token=TOKEN", ["Origin: http://localhost", "Origin: https://evil.example"], 403),
        ("/yjs/alarm?token=TOKEN", [], 426),
        ("//[", [], 404),
    ],
)
async def test_a_plain_request_is_answered_with_its_status(
    view: View, path: str, headers: list[str], status: int
) -> None:
    assert (await view.get(path.replace("TOKEN", view.token), *headers))[0] == status


async def test_a_follower_without_the_token_is_told_so(view: View) -> None:
    for query in ("", "token=wrong"):
        async with view.client("alarm", query) as client:
            assert await farewell(client) == (4401, "the token is missing or wrong")
    assert view.counted == {"api-token-refused": 2}


async def test_the_token_may_come_in_a_header(view: View) -> None:
    headers = {"Authorization": f"Bearer {view.token}"}
    async with view.client("alarm", "", additional_headers=headers) as client:
        await Copy(client).ask()
        assert await client.recv() != b""


async def test_a_foreign_page_gets_no_connection_even_with_the_token(view: View) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await view.client("alarm", origin="https://evil.example")
    assert caught.value.response.status_code == 403
    assert view.counted == {"api-origin-refused": 1}


async def test_a_page_that_the_configuration_lists_may_follow(
    tmp_path: Path, documents: MemoryDocuments
) -> None:
    config = ApiConfig(port=0, origins=("https://hmi.plant.example",))
    async with (
        viewing(tmp_path, documents, config) as view,
        view.client("alarm", origin="https://hmi.plant.example") as client,
    ):
        await Copy(client).ask()
        assert await client.recv() != b""


async def test_a_name_may_be_written_with_percent_signs(view: View) -> None:
    async with view.client("task%3A20261121") as client:
        await client.send(b"\0\0\1\0")
        assert await client.recv() == b"\0\1\2\0\0"


# ---------------------------------------------------------------- bounds


async def test_one_follower_too_many_is_told_to_come_later(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "FOLLOWERS_MAX", 1)
    async with view.client("alarm") as first:
        await Copy(first).ask()
        await first.recv()
        async with view.client("alarm") as second:
            assert (await farewell(second))[0] == 1013
    assert view.counted == {"api-busy": 1}
    async with view.client("alarm") as third:
        await Copy(third).ask()
        assert await third.recv() != b""


async def test_one_connection_too_many_is_cut_off(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_view, "CONNECTIONS_MAX", 1)
    async with view.client("alarm") as first:
        await Copy(first).ask()
        await first.recv()
        reader, writer = await asyncio.open_connection(*view.address)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_follower, "SEND_TIMEOUT_S", 0.3)
    view.documents.put("alarm", "large", b"x" * 20_000_000)
    with deaf_client(view):
        async with asyncio.timeout(SOON_S):
            while not view.counted["live-slow"]:
                await asyncio.sleep(0.02)
        async with view.client("task:20261121") as client:
            await client.send(b"\0\0\1\0")
            assert await client.recv() == b"\0\1\2\0\0"


async def test_a_client_that_does_not_read_delays_the_end_by_seconds_only(
    tmp_path: Path, documents: MemoryDocuments
) -> None:
    documents.put("alarm", "large", b"x" * 20_000_000)
    with contextlib.ExitStack() as held:
        async with asyncio.timeout(SOON_S), viewing(tmp_path, documents) as view:
            deaf = held.enter_context(deaf_client(view))
            received = 0
            while received < 1000:  # more than the handshake: the large message is on its way
                received += len(await asyncio.get_running_loop().sock_recv(deaf, 1000))
    assert documents.listeners == 0


@contextlib.contextmanager
def deaf_client(view: View) -> Iterator[socket.socket]:
    """One that follows the document `alarm`, but does not read what it is sent."""
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
    upgrade = f"Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}"
    with socket.create_connection(view.address) as deaf:
        deaf.sendall(f"GET /yjs/alarm?token={view.token} HTTP/1.1\r\n{upgrade}\r\n\r\n".encode())
        deaf.sendall(bytes.fromhex("82 84 00000000 00 00 01 00"))  # a masked frame with step 1
        deaf.setblocking(False)
        yield deaf


async def test_a_document_beyond_all_bounds_is_not_sent(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_follower, "MESSAGE_BYTES_MAX", 1000)
    view.documents.put("alarm", "large", b"x" * 1000)
    async with view.client("alarm") as client:
        await Copy(client).ask()
        assert (await farewell(client))[0] == 1009
    assert view.counted == {"live-too-large": 1}


async def test_too_many_bytes_at_once_are_put_off(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_follower, "LOAD_BYTES_MAX", 1000)
    view.documents.put("alarm", "large", b"x" * 1000)
    async with view.client("alarm") as client:
        await Copy(client).ask()
        assert (await farewell(client))[0] == 1013
    assert view.counted == {"api-busy": 1}


# ---------------------------------------------------------------- beginning and ending


async def test_ending_leaves_no_connection_no_file_and_no_subscription(
    tmp_path: Path, documents: MemoryDocuments
) -> None:
    async with viewing(tmp_path, documents) as view:
        address = view.address
        reader, writer = await asyncio.open_connection(*address)  # says nothing
        client = await view.client("alarm")
        await Copy(client).ask()
        await client.recv()
    assert await farewell(client) == (1001, "")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert list(run_folder(tmp_path).iterdir()) == []
    assert documents.listeners == 0
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(*address)


async def test_a_port_that_is_taken_is_told_once_and_served_when_it_is_free(
    tmp_path: Path, documents: MemoryDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "LISTEN_AGAIN_S", 0.05)
    holder = socket.create_server(("127.0.0.1", 0))
    config = ApiConfig(port=holder.getsockname()[1])
    view = View(tmp_path, documents)
    with structlog.testing.capture_logs() as logged:
        service = asyncio.create_task(serve_live_view(config, documents, run_folder(tmp_path), view.count))
        while not view.counted:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        holder.close()
        while not (run_folder(tmp_path) / "api-address").exists():
            await asyncio.sleep(0.01)
        async with view.client("alarm") as client:
            await Copy(client).ask()
            assert await client.recv() != b""
        service.cancel()
        await asyncio.wait([service])
    assert view.counted == {"api-port-taken": 1}
    assert [line["event"] for line in logged] == ["api-port-taken", "api-listening"]


async def test_an_address_that_is_not_ours_is_told_and_the_service_goes_on(
    tmp_path: Path, documents: MemoryDocuments
) -> None:
    view = View(tmp_path, documents)
    config = ApiConfig(bind="192.0.2.1", port=0)
    with structlog.testing.capture_logs() as logged:
        service = asyncio.create_task(serve_live_view(config, documents, run_folder(tmp_path), view.count))
        while not view.counted:
            await asyncio.sleep(0.01)
        assert not service.done()
        service.cancel()
        await asyncio.wait([service])
    assert view.counted == {"api-not-open": 1}
    assert [line["event"] for line in logged] == ["api-not-open"]


async def test_a_view_that_is_switched_off_opens_nothing(tmp_path: Path, documents: MemoryDocuments) -> None:
    config = ApiConfig(enabled=False, port=0)
    service = asyncio.create_task(serve_live_view(config, documents, run_folder(tmp_path), print))
    await asyncio.sleep(0.05)
    assert not service.done() and list(run_folder(tmp_path).iterdir()) == [] and documents.listeners == 0
    service.cancel()
    await asyncio.wait([service])


async def test_each_start_makes_another_token(tmp_path: Path, documents: MemoryDocuments) -> None:
    tokens = []
    for _ in range(2):
        async with viewing(tmp_path, documents) as view:
            tokens.append(view.token)
    assert tokens[0] != tokens[1]


async def test_a_mistake_of_the_documents_is_logged_and_ends_one_follower(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with view.client("alarm") as good:
        copy = Copy(good)
        await copy.ask()
        await copy.hear()
        with monkeypatch.context() as broken, structlog.testing.capture_logs() as logged:
            broken.delattr(MemoryDocuments, "summary")
            async with view.client("task:20261121") as client:
                await Copy(client).ask()
                assert (await farewell(client))[0] == 1011
        assert [line["event"] for line in logged] == ["live-view-failed"]
        view.documents.put("alarm", "k", b"on")
        await copy.hear_until({"k": b"on"})
