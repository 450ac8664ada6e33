"""The sessions of a node: those that it dialled, and its own on its own broker.

Every Dial is answered with exactly one LinkOpened or DialFailed, every opened link with at most one LinkClosed; a
link that the core hangs up answers nothing more.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import structlog

from mesh.events import (
    DIAL_TIMEOUT_S,
    HOSTED,
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
)
from mesh.ids import NodeId, SiteId, is_node_id
from mesh.io.session import Session
from mesh.io.tls import DialError, TlsSource, common_name, open_tls
from mesh.queues import Queued
from mesh.topics import DOOR, TO, Topics

DIALS_MAX = 32  # at a time; the core keeps to as many
OWNER_RETRY_S = 0.1
OWNER_IDENTIFIER = "owner"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Link:
    peer: NodeId | None = None
    session: Session | None = None
    task: asyncio.Task[None] | None = None
    hung_up: bool = False


class Links:
    """Carries out Dial, Hangup, Send and SendAll; tells what comes of them. All calls are on the loop."""

    def __init__(
        self,
        me: NodeId,
        site: SiteId,
        tls: TlsSource,
        owner_socket: Path | None,
        deliver: Callable[[Event | Counted], None],
    ) -> None:
        self._me = me
        self._topics = Topics(site)
        self._tls = tls
        self._owner_socket = owner_socket
        self._deliver = deliver
        self._links: dict[int, _Link] = {}
        self._owner: Session | None = None
        self._broker_up = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled; then every session is closed."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._own_session(), name="owner-session")
        finally:
            self._tasks = None

    def broker_up(self) -> None:
        """Our broker answers: the owner's session may be opened."""
        self._broker_up.set()

    def broker_down(self) -> None:
        self._broker_up.clear()

    # -- effects

    def dial(self, effect: Dial) -> None:
        dialling = sum(link.session is None for link in self._links.values())
        if self._tasks is None or dialling >= DIALS_MAX:
            asyncio.get_running_loop().call_soon(self._deliver, DialFailed(effect.link, "other", "busy"))
            return
        link = self._links[effect.link] = _Link()
        link.task = self._tasks.create_task(self._run_link(effect, link), name=f"link-{effect.link}")

    def hangup(self, effect: Hangup) -> None:
        link = self._links.pop(effect.link, None)
        if link is None:
            return
        link.hung_up = True
        if link.session is None and link.task is not None:
            link.task.cancel()
        elif link.session is not None and self._tasks is not None:
            self._tasks.create_task(link.session.close(), name=f"hangup-{effect.link}")

    def send(self, effect: Send) -> None:
        name = self._topics.door if effect.door else self._topics.to
        self._put(effect.link, Queued(effect.traffic, name(effect.peer, self._me), effect.data))

    def send_all(self, effect: SendAll) -> None:
        if any(link == HOSTED for _, link in effect.links):
            self._put(HOSTED, Queued(effect.traffic, self._topics.all(self._me), effect.data))
        for peer, link in effect.links:
            if link != HOSTED:
                self._put(link, Queued(effect.traffic, self._topics.to(peer, self._me), effect.data))

    def _put(self, number: int, item: Queued) -> None:
        link = self._links.get(number)
        session = self._owner if number == HOSTED else link.session if link else None
        if session is None:
            self._deliver(Counted("sent-nowhere"))
            return
        session.send(item)

    # -- a dialled link

    async def _run_link(self, effect: Dial, link: _Link) -> None:
        try:
            session = await self._open(effect, link)
        except DialError as error:
            if self._links.pop(effect.link, None) is link:
                self._deliver(DialFailed(effect.link, error.reason, error.detail))
            return
        reason = "cancelled"
        try:
            reason = await session.ended()
        finally:
            session.abort()
            if self._links.pop(effect.link, None) is link and not link.hung_up:
                self._deliver(LinkClosed(effect.link, reason))

    async def _open(self, effect: Dial, link: _Link) -> Session:
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                secured = await open_tls(effect.endpoint, self._tls.context())
                peer = NodeId(common_name(secured))
                if not is_node_id(peer):
                    secured.close()
                    raise DialError("not-a-node", "its certificate names no node")
                session = Session(self._me, self._receiver(effect.link, peer), self._count_dropped(peer))
                topics = (self._topics.to(self._me, peer), self._topics.all(peer))
                await session.open(secured, topics)
        except TimeoutError:
            raise DialError("timeout") from None
        except (aiomqtt.MqttError, OSError) as error:
            raise DialError("other", str(error)) from None
        if link.hung_up:
            session.abort()
            raise DialError("other", "given up")
        link.peer, link.session = peer, session
        self._deliver(LinkOpened(effect.link, peer))
        return session

    def _receiver(self, number: int, peer: NodeId) -> Callable[[str, bytes], None]:
        expected = {self._topics.to(self._me, peer), self._topics.all(peer)}

        def receive(topic: str, data: bytes) -> None:
            if topic not in expected:
                self._deliver(Counted("topic-unexpected", peer))
                return
            self._deliver(FrameReceived(number, peer, False, data))

        return receive

    def _count_dropped(self, peer: str) -> Callable[[str, int], None]:
        def count(name: str, times: int) -> None:
            for _ in range(times):
                self._deliver(Counted(name, peer))

        return count

    # -- our own broker

    async def _own_session(self) -> None:
        """Keep a session on our own broker while it is up."""
        if self._owner_socket is None:
            return
        while True:
            await self._broker_up.wait()
            try:
                session = await self._open_owner(self._owner_socket)
            except (aiomqtt.MqttError, OSError, TimeoutError) as error:
                log.warning("owner-session-failed", error=str(error))
                self._deliver(Counted("owner-session-failed"))
                await asyncio.sleep(OWNER_RETRY_S)
                continue
            self._owner = session
            try:
                await session.ended()
            finally:
                self._owner = None
                session.abort()
            self._deliver(Counted("owner-session-lost"))
            await asyncio.sleep(OWNER_RETRY_S)

    async def _open_owner(self, path: Path) -> Session:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plain.setblocking(False)
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(plain, str(path))
                session = Session(OWNER_IDENTIFIER, self._receive_hosted, self._count_dropped(""))
                await session.open(plain, (self._topics.door(self._me, "+"), self._topics.to(self._me, "+")))
        except BaseException:
            plain.close()
            raise
        return session

    def _receive_hosted(self, topic: str, data: bytes) -> None:
        address = self._topics.read(topic)
        if address is None or address.to != self._me or address.kind not in (DOOR, TO):
            self._deliver(Counted("topic-unexpected"))
            return
        self._deliver(FrameReceived(HOSTED, address.sender, address.kind == DOOR, data))


