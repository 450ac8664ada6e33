"""The live view when there is too much of something, and when it begins and ends."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from node import live_follower, live_view
from node.live_view import ApiConfig, serve_live_view
from node.run_folder import run_folder
from tests.node.live_memory import MemoryDocuments
from tests.node.live_views import SOON_S, Copy, View, farewell, viewing

pytestmark = pytest.mark.io


@pytest.fixture
def documents() -> MemoryDocuments:
    documents = MemoryDocuments("alarm", "task:20261121")
    documents.put("alarm", "k", b"one")
    return documents


@pytest.fixture
async def view(tmp_path: Path, documents: MemoryDocuments) -> AsyncIterator[View]:
    async with viewing(tmp_path, documents) as view:
        yield view


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
