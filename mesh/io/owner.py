"""The session of a node on its own broker, over a private Unix socket: where hosted peers' frames come and go."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from mesh.events import HOSTED, Counted, Event, FrameReceived
from mesh.ids import NodeId
from mesh.io.connecting import connect_unix
from mesh.io.dial_error import DialError
from mesh.io.mqtt import Login
from mesh.io.session import Session
from mesh.queues import Queued
from mesh.topics import DOOR, Topics
from mesh.wire import FRAME_BYTES_MAX

OPEN_TIMEOUT_S = 2.0  # the broker is on this machine, which may be busy
RETRY_S_MIN, RETRY_S_MAX = 0.05, 1.0


class OwnerSession:
    """Kept open for as long as the broker is up."""

    def __init__(
        self,
        me: NodeId,
        topics: Topics,
        path: Path,
        deliver: Callable[[Event | Counted], None],
    ) -> None:
        self._me = me
        self._topics = topics
        self._path = path
        self._deliver = deliver
        self._broker_is_up = asyncio.Event()
        self._session: Session | None = None

    async def run(self) -> None:
        """Until cancelled; then the session is closed."""
        pause_s = RETRY_S_MIN
        while True:
            await self._broker_is_up.wait()
            pause_s = RETRY_S_MIN if await self._live() else min(pause_s * 2, RETRY_S_MAX)
            await asyncio.sleep(pause_s)

    def broker_up(self) -> None:
        self._broker_is_up.set()

    def broker_down(self) -> None:
        self._broker_is_up.clear()
        if self._session is not None:
            self._session.close()

    @property
    def is_open(self) -> bool:
        return self._session is not None and self._session.is_open

    def send(self, item: Queued) -> int:
        """How many messages were dropped for lack of room, or of a session."""
        if self._session is None or not self._session.is_open:
            return 1
        return self._session.send(item)

    async def _live(self) -> bool:
        """One session from begin to end; whether it was ever open."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                self._session = await self._open()
            await self._session.until_ended()
        except (DialError, TimeoutError):
            self._deliver(Counted("owner_session_failed"))
            return False
        finally:
            if self._session is not None:
                self._session.close()
                self._session = None
        if self._broker_is_up.is_set():
            self._deliver(Counted("owner_session_lost"))
        return True

    async def _open(self) -> Session:
        stream = await connect_unix(self._path)
        login = Login(f"owner-{self._me}")  # a dial of our own broker must not take this session over
        filters = (self._topics.door(self._me, "+"), self._topics.to(self._me, "+"))
        self._session = Session(stream, login, filters, _nothing, self._on_arrival)
        await self._session.until_open()
        return self._session

    def _on_arrival(self, topic: str, data: bytes) -> None:
        address = self._topics.read(topic)
        if address is None or address.to != self._me:
            self._deliver(Counted("topic_unexpected"))
        elif len(data) > FRAME_BYTES_MAX:
            self._deliver(Counted("frame_oversized", address.sender))
        else:
            self._deliver(FrameReceived(HOSTED, address.sender, address.kind == DOOR, data))


def _nothing() -> None:
    """The core learns of hosted peers by their greetings, not by the session they come over."""
