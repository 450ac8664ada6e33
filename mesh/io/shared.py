"""The shared fabric: the same topics and messages over one existing MQTT 5 broker, or a list of them in turn.

The handshake is with the broker, not with a peer: a dial opens as soon as the broker session is up, and who a
sender is rests on the greeting's signatures, and on the broker's own access list where its operator keeps one.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from mesh.events import (
    HOSTED,
    BrokerDown,
    BrokerUp,
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
from mesh.io.dial_error import DialError
from mesh.io.presence import Presence
from mesh.io.session import Session
from mesh.io.shared_broker import SharedBroker, SharedSettings, brokers_of
from mesh.io.tls import TlsSource
from mesh.queues import Queued
from mesh.topics import DOOR, HERE, Topics
from mesh.wire import FRAME_BYTES_MAX, Endpoint

PLACE = Endpoint("shared", 0)  # where everybody is
RETRY_S_MIN, RETRY_S_MAX = 0.2, 5.0  # after the whole list has failed
RETURN_EVERY_S = 30.0  # nodes that stay on a standby after their first choice is back split the site

log = structlog.get_logger(__name__)

__all__ = ["PLACE", "SharedFabric", "SharedSettings"]


class SharedFabric:
    """Carries out Dial, Hangup, Send and SendAll over one session, in the way that Links does.

    ValueError, fit to be shown, when a URL in the settings is none.
    """

    def __init__(
        self,
        me: NodeId,
        site: SiteId,
        tls: TlsSource,
        settings: SharedSettings,
        deliver: Callable[[Event | Counted], None],
        return_every_s: float = RETURN_EVERY_S,
    ) -> None:
        self._me = me
        self._topics = Topics(site)
        self._brokers = brokers_of(settings, tls.bundle)
        self._failures: dict[SharedBroker, str] = {}
        self._deliver = deliver
        self._return_every_s = return_every_s
        self._presence = Presence()
        self._session: Session | None = None
        self._links: dict[int, NodeId] = {}  # bounded by the core's own dials
        self._by_peer: dict[NodeId, int] = {}
        self.broker = ""  # the one in use, for status
        self.last_error = ""

    async def run(self) -> None:
        """Until cancelled: keep a session with the first broker that will have us."""
        pause_s = RETRY_S_MIN
        while True:
            pause_s = RETRY_S_MIN if await self._live_on_first() else min(2 * pause_s, RETRY_S_MAX)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    # -- effects

    def dial(self, effect: Dial) -> None:
        peer = effect.expected
        if effect.endpoint != PLACE or peer is None or effect.link in self._links:
            self._tell_soon(DialFailed(effect.link, "other", "only peers that are on the shared broker"))
        elif self._session is None:
            self._tell_soon(DialFailed(effect.link, "no-route", f"no shared broker: {self.last_error}"))
        else:
            self._links[effect.link] = peer
            self._by_peer[peer] = effect.link
            self._tell_soon(LinkOpened(effect.link, peer))

    def hangup(self, effect: Hangup) -> None:
        peer = self._links.pop(effect.link, None)
        if peer is not None and self._by_peer.get(peer) == effect.link:
            del self._by_peer[peer]
            self._by_peer.update((other, link) for link, other in self._links.items() if other == peer)

    def send(self, effect: Send) -> None:
        name = self._topics.door if effect.door else self._topics.to
        if effect.link != HOSTED and self._links.get(effect.link) != effect.peer:
            self._tell_soon(Counted("send_without_link", effect.peer))
        else:
            self._put(Queued(effect.traffic, name(effect.peer, self._me), effect.data), effect.peer)

    def send_all(self, effect: SendAll) -> None:
        """One publish if everybody here is meant; strangers would have to answer what is not for them."""
        peers = dict.fromkeys(peer for peer, _ in effect.links)
        if self._presence.is_within(peers):
            self._put(Queued(effect.traffic, self._topics.all(self._me), effect.data), "")
            return
        for peer in peers:
            self._put(Queued(effect.traffic, self._topics.to(peer, self._me), effect.data), peer)

    # -- the session

    async def _live_on_first(self) -> bool:
        """One session on the first broker that answers, from begin to end; False if none does."""
        for turn, broker in enumerate(self._brokers):
            try:
                session = await self._open(broker)
            except DialError as error:
                self._note_failure(broker, error)
                continue
            self.broker, self.last_error = str(broker), ""
            self._failures.pop(broker, None)
            log.info("shared-broker-in-use", broker=self.broker)
            try:
                await self._serve(session, self._brokers[:turn])
            finally:
                self._session, self.broker = None, ""
                session.close()
            return True
        return False

    async def _serve(self, session: Session, preferred: Sequence[SharedBroker]) -> None:
        self._session = session
        self._deliver(BrokerUp((PLACE,)))
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(self._announce(), name="shared-presence"),
                tasks.create_task(self._return(session, preferred), name="shared-return"),
            ]
            why = await session.until_ended()
            for helper in helpers:
                helper.cancel()
        self._lost(why)

    def _lost(self, why: str) -> None:
        self._session = None
        log.warning("shared-broker-lost", broker=self.broker, why=why)
        lost, self._links, self._by_peer = list(self._links), {}, {}
        self._deliver(Counted("shared_broker_lost"))
        for link in lost:
            self._deliver(LinkClosed(link, f"the shared broker is lost: {why}"))
        self._deliver(
            BrokerDown(f"the shared broker is lost: {why}")
        )  # links that others dialled are gone too

    async def _announce(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._put(Queued(Traffic.CONTROL, self._topics.here(self._me), b"1"), "")
            await asyncio.sleep(self._presence.period_s() * random.uniform(0.9, 1.1))
            self._presence.forget_silent(loop.time())

    async def _return(self, session: Session, preferred: Sequence[SharedBroker]) -> None:
        """End the session when a broker that comes first in the list answers again."""
        while preferred:
            await asyncio.sleep(self._return_every_s * random.uniform(0.75, 1.25))
            for broker in preferred:
                with suppress(DialError):
                    probe = await broker.open(f"probe-{self._me}", (self._topics.here(self._me),), _ignore)
                    probe.close()
                    session.close(f"back to {broker}")
                    return

    async def _open(self, broker: SharedBroker) -> Session:
        topics = self._topics
        filters = (topics.door(self._me, "+"), topics.to(self._me, "+"), topics.all("+"), topics.here("+"))
        return await broker.open(self._me, filters, self._on_arrival)

    def _note_failure(self, broker: SharedBroker, error: DialError) -> None:
        self.last_error = f"{broker}: {error}"
        if self._failures.get(broker) != str(error):  # once, not at each retry
            log.warning("shared-broker-unavailable", broker=str(broker), why=str(error))
        self._failures[broker] = str(error)

    # -- frames

    def _on_arrival(self, topic: str, data: bytes) -> None:
        address = self._topics.read(topic)
        if address is None or address.to not in (self._me, None):
            self._deliver(Counted("topic_unexpected"))
        elif address.sender == self._me:
            self._deliver(Counted("own_topic_heard"))  # a broker without No Local, or another process as us
        elif address.kind == HERE:
            self._presence.saw(address.sender, asyncio.get_running_loop().time())
            self._deliver(EndpointFound(PLACE, address.sender, Source.SHARED))
        elif len(data) > FRAME_BYTES_MAX:
            self._deliver(Counted("frame_oversized", address.sender))
        else:
            is_door = address.kind == DOOR  # only who dials speaks at the door: that is never our own link
            link = HOSTED if is_door else self._by_peer.get(address.sender, HOSTED)
            self._deliver(FrameReceived(link, address.sender, is_door, data))

    def _put(self, item: Queued, peer: str) -> None:
        if self._session is None:
            self._tell_soon(Counted("send_without_link", peer))
        elif len(item.data) > FRAME_BYTES_MAX:
            self._tell_soon(Counted("send_oversized", peer))
        else:
            for _ in range(self._session.send(item)):
                self._tell_soon(Counted("queue_overflow", peer))

    def _tell_soon(self, event: Event | Counted) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, event)


def _ignore(_topic: str, _data: bytes) -> None:
    """A probe only wants to know whether the broker answers."""
