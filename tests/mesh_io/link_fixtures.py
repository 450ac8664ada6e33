"""Nodes without a core: the links of each, what they deliver, and whom a test may dial in vain."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.events import (
    Counted,
    Dial,
    DialFailed,
    Event,
    FrameReceived,
    Hangup,
    LinkClosed,
    LinkOpened,
    Send,
    SendAll,
    Traffic,
)
from mesh.io.links import LinkLimits, Links
from mesh.io.tls import TlsSource
from mesh.wire import Endpoint
from tests.mesh_io import certificates
from tests.mesh_io.brokers import DEADLINE_S, Running, running_broker, settings_for
from tests.mesh_io.certificates import Bundle, Site

DAY_MS = 86_400_000
E = TypeVar("E")


class Wires(Protocol):
    def dial(self, effect: Dial) -> None: ...
    def hangup(self, effect: Hangup) -> None: ...
    def send(self, effect: Send) -> None: ...
    def send_all(self, effect: SendAll) -> None: ...
    async def run(self) -> None: ...


class Ear:
    """Everything delivered, in order, and waiting for what is still to come."""

    def __init__(self) -> None:
        self.heard: list[Event | Counted] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event | Counted) -> None:
        self.heard.append(event)
        self._changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def event(self, event: Event | Counted) -> None:
        await self.until(lambda: event in self.heard)

    async def first(self, kind: type[E]) -> E:
        await self.until(lambda: self.all(kind))
        return self.all(kind)[0]

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.heard if isinstance(event, kind)]

    def payloads(self) -> list[bytes]:
        return [frame.data for frame in self.all(FrameReceived)]

    def counted(self, name: str) -> int:
        return sum(event.name == name for event in self.all(Counted))


class Station:
    """One node's wires under test."""

    def __init__(self, bundle: Bundle, wires: Wires, ear: Ear) -> None:
        self.node = bundle.node
        self.bundle = bundle
        self.wires = wires
        self.ear = ear
        self.dialled = 0

    def dial(self, endpoint: Endpoint, expected: "Station | None" = None) -> int:
        self.dialled += 1
        self.wires.dial(Dial(self.dialled, endpoint, expected.node if expected else None))
        return self.dialled

    def send(
        self, peer: "Station", link: int, data: bytes, traffic: Traffic = Traffic.STATE, door: bool = False
    ) -> None:
        self.wires.send(Send(peer.node, link, traffic, data, door))

    def check(self) -> None:
        """The contract that holds in every test: each dial has one verdict, each opened link one end at most."""
        verdicts = [event.link for event in self.ear.heard if isinstance(event, LinkOpened | DialFailed)]
        closed = [event.link for event in self.ear.all(LinkClosed)]
        assert len(verdicts) == len(set(verdicts)) and len(closed) == len(set(closed))
        assert set(closed) <= {event.link for event in self.ear.all(LinkOpened)}


class LinkStation(Station):
    """A node with Links; `running` when it has a broker of its own."""

    def __init__(self, bundle: Bundle, links: Links, ear: Ear, running: Running | None) -> None:
        super().__init__(bundle, links, ear)
        self.links = links
        self.running = running

    @property
    def broker(self) -> Running:
        assert self.running is not None
        return self.running

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.broker.settings.bind, self.broker.broker.port)

    async def is_owner(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not self.links.owner_is_open:
                await asyncio.sleep(0.01)

    async def linked(self, other: "LinkStation") -> int:
        """Dials the other's broker; the number of the open link."""
        link = self.dial(other.endpoint, other)
        await self.ear.event(LinkOpened(link, other.node))
        return link


@asynccontextmanager
async def host(
    site: Site, bundle: Bundle, folder: Path, members: list[Bundle], bind: str = "127.0.0.1"
) -> AsyncIterator[LinkStation]:
    """A node with its own broker, its owner session open."""
    settings = replace(settings_for(folder, site, bundle), bind=bind)
    async with (
        running_broker(settings, members) as running,
        _stationed(site, bundle, settings.run / "owner.sock", running) as station,
    ):
        station.links.broker_up()
        await station.is_owner()
        yield station


@asynccontextmanager
async def leaf(site: Site, bundle: Bundle, limits: LinkLimits | None = None) -> AsyncIterator[LinkStation]:
    """A node that only dials."""
    async with _stationed(site, bundle, None, None, limits) as station:
        yield station


@asynccontextmanager
async def _stationed(
    site: Site, bundle: Bundle, owner: Path | None, running: Running | None, limits: LinkLimits | None = None
) -> AsyncIterator[LinkStation]:
    ear = Ear()
    links = Links(bundle.node, site.site, TlsSource(bundle.pem, site.root_pem), owner, ear, limits)
    station = LinkStation(bundle, links, ear, running)
    async with run(links):
        yield station
    station.check()


@asynccontextmanager
async def run(wires: Wires) -> AsyncIterator[None]:
    task = asyncio.create_task(wires.run(), name="wires")
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def bundle_of_the_past(site: Site, name: str, days_ago: int = 3) -> Bundle:
    """A member whose certificate was good for a day."""
    bundle = site.node(name)
    key = Ed25519PrivateKey.generate()
    then_ms = time.time_ns() // 1_000_000 - days_ago * DAY_MS
    chain = site._authority.issue_leaf(bundle.node, name, certificates._public(key), then_ms, 99, days=1)
    bundle.pem.write_bytes(b"".join(map(certificates._pem, chain)) + certificates._private_pem(key))
    return bundle


@asynccontextmanager
async def tls_server(bundle: Bundle, root: Path) -> AsyncIterator[Endpoint]:
    """Shakes hands, then says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle.pem)
    context.load_verify_locations(root)
    context.verify_mode = ssl.CERT_REQUIRED
    async with _server(context, b"") as endpoint:
        yield endpoint


@asynccontextmanager
async def plain_server(says: bytes) -> AsyncIterator[Endpoint]:
    """Speaks no TLS: says these bytes, or nothing for ever."""
    async with _server(None, says) as endpoint:
        yield endpoint


@asynccontextmanager
async def _server(context: ssl.SSLContext | None, says: bytes) -> AsyncIterator[Endpoint]:
    writers: list[asyncio.StreamWriter] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(says)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()


@contextmanager
def black_hole() -> Iterator[Endpoint]:
    """A listener whose backlog is full: the kernel leaves further SYNs without an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        try:
            yield Endpoint("127.0.0.1", listener.getsockname()[1])
        finally:
            for one in waiting:
                one.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
