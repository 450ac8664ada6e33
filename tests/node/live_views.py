"""A live view that runs in a test, and clients that follow it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pycrdt import Doc, Map
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from node.api_token import live_url
from node.live_protocol import Offered, read_message, write_number
from node.live_view import ApiConfig, serve_live_view
from node.run_folder import run_folder
from tests.node.live_memory import MemoryDocuments

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


async def farewell(client: ClientConnection) -> tuple[int | None, str | None]:
    """The code and reason with which the server ends the connection."""
    async with asyncio.timeout(SOON_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    return client.close_code, client.close_reason
