"""The shared fabric: the same topics and messages over one existing MQTT 5 broker, or a list of them in turn.

There is no handshake with the peer here, only with the broker: a dial "opens" as soon as the broker session is up,
and the greeting proves who is there.
"""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import structlog

from mesh.events import (
    HOSTED,
    Counted,
    Dial,
    DialFailed,
    EndpointFound,
    Event,
    FrameReceived,
    Hangup,
    LinkClosed,
    LinkOpened,
    Send,
    SendAll,
    Source,
    Traffic,
)
from mesh.ids import NodeId, SiteId
from mesh.io.session import Session
from mesh.io.tls import DialError, TlsSource, connect, open_tls
from mesh.queues import Queued
from mesh.topics import ALL, DOOR, HERE, TO, Topics
from mesh.wire import Endpoint

PLACE = Endpoint("shared", 0)  # where everybody is
PRESENCE_EVERY_S = 2.0
RETRY_S_MIN, RETRY_S_MAX = 0.2, 5.0
OPEN_TIMEOUT_S = 5.0  # a broker across a router may be slower than a neighbour
PORTS = {"mqtt": 1883, "mqtts": 8883}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """The brokers to try in turn, and how to sign in."""

    urls: Sequence[str]
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None


class SharedFabric:
    """Carries out Dial, Hangup, Send and SendAll over one session. All calls are on the loop."""

    def __init__(
        self,
        me: NodeId,
        site: SiteId,
        tls: TlsSource,
        settings: SharedSettings,
        deliver: Callable[[Event | Counted], None],
    ) -> None:
        self._me = me
        self._topics = Topics(site)
        self._tls = tls
        self._settings = settings
        self._deliver = deliver
        self._session: Session | None = None
        self._links: dict[int, NodeId] = {}
        self._by_peer: dict[NodeId, int] = {}
        self.broker = ""  # the one in use, for status
        self.last_error = ""

    async def run(self) -> None:
        """Until cancelled: keep a session with the first broker that will have us."""
        turn, pause_s = 0, RETRY_S_MIN
        while True:
            url = self._settings.urls[turn % len(self._settings.urls)]
            try:
                session = await self._open(url)
            except (DialError, aiomqtt.MqttError, OSError, TimeoutError) as error:
                self.last_error = f"{url}: {error}"
                log.warning("shared-broker-unavailable", broker=url, error=str(error))
                turn += 1
                if turn % len(self._settings.urls) == 0:
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                    pause_s = min(2 * pause_s, RETRY_S_MAX)
                continue
            pause_s, self.broker, self.last_error = RETRY_S_MIN, url, ""
            await self._serve(session)

    # -- effects

    def dial(self, effect: Dial) -> None:
        loop = asyncio.get_running_loop()
        peer = effect.expected
        if self._session is None or effect.endpoint != PLACE or peer is None:
            loop.call_soon(self._deliver, DialFailed(effect.link, "other", "no broker session"))
            return
        self._links[effect.link] = peer
        self._by_peer[peer] = effect.link
        loop.call_soon(self._deliver, LinkOpened(effect.link, peer))

    def hangup(self, effect: Hangup) -> None:
        peer = self._links.pop(effect.link, None)
        if peer is not None and self._by_peer.get(peer) == effect.link:
            del self._by_peer[peer]

    def send(self, effect: Send) -> None:
        name = self._topics.door if effect.door else self._topics.to
        self._put(Queued(effect.traffic, name(effect.peer, self._me), effect.data))

    def send_all(self, effect: SendAll) -> None:
        self._put(Queued(effect.traffic, self._topics.all(self._me), effect.data))

    def _put(self, item: Queued) -> None:
        if self._session is None:
            self._deliver(Counted("sent-nowhere"))
        else:
            self._session.send(item)

    # -- the session

    async def _serve(self, session: Session) -> None:
        self._session = session
        beacon = asyncio.create_task(self._announce(session), name="shared-presence")
        try:
            await session.ended()
        finally:
            self._session = None
            beacon.cancel()
            session.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await beacon
        self._deliver(Counted("shared_broker_lost"))
        lost, self._links, self._by_peer = list(self._links), {}, {}
        for link in lost:
            self._deliver(LinkClosed(link, "the shared broker is lost"))

    async def _announce(self, session: Session) -> None:
        while True:
            session.send(Queued(Traffic.CONTROL, self._topics.here(self._me), b"1"))
            await asyncio.sleep(PRESENCE_EVERY_S * random.uniform(0.9, 1.1))

    async def _open(self, url: str) -> Session:
        parts = urlsplit(url)
        endpoint = Endpoint(parts.hostname or "", parts.port or PORTS[parts.scheme])
        topics = self._topics
        wanted = (topics.door(self._me, "+"), topics.to(self._me, "+"), topics.all("+"), topics.here("+"))
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            connected: socket.socket | ssl.SSLSocket
            if parts.scheme == "mqtts":
                connected = await open_tls(endpoint, self._context(), server_name=endpoint.host)
            else:
                connected = await connect(endpoint)
            session = Session(self._me, self._receive, self._count_dropped)
            await session.open(
                connected, wanted, self._settings.username or "", self._settings.password or ""
            )
        return session

    def _context(self) -> ssl.SSLContext:
        """The broker is not a node: its certificate is judged by the given authority, by host name."""
        context = ssl.create_default_context(
            cafile=str(self._settings.ca_file) if self._settings.ca_file else None
        )
        self._tls.present(context)
        return context

    def _receive(self, topic: str, data: bytes) -> None:
        address = self._topics.read(topic)
        if address is None or address.to not in (self._me, None):
            self._deliver(Counted("topic-unexpected"))
        elif address.sender == self._me:
            return  # our own broadcast, handed back
        elif address.kind == HERE:
            self._deliver(EndpointFound(PLACE, address.sender, Source.SHARED))
        elif address.kind in (DOOR, TO, ALL):
            is_door = address.kind == DOOR
            link = HOSTED if is_door else self._by_peer.get(address.sender, HOSTED)
            self._deliver(FrameReceived(link, address.sender, is_door, data))

    def _count_dropped(self, name: str, times: int) -> None:
        for _ in range(times):
            self._deliver(Counted(name))
