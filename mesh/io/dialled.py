"""One dial and the link that it becomes."""

import asyncio
import ssl
from collections.abc import Callable

from mesh.events import (
    DIAL_TIMEOUT_S,
    Counted,
    Dial,
    DialFailed,
    Event,
    FrameReceived,
    LinkClosed,
    LinkOpened,
)
from mesh.ids import NodeId, SiteId
from mesh.io.connecting import connect_tcp, handshake
from mesh.io.dial_error import DialError
from mesh.io.mqtt import Login
from mesh.io.session import Session
from mesh.io.tls import TlsError, TlsSource, peer_of
from mesh.queues import Queued
from mesh.topics import Topics
from mesh.wire import FRAME_BYTES_MAX


class DialledLink:
    """Tells exactly one of LinkOpened and DialFailed; after LinkOpened one LinkClosed, unless we hung up."""

    def __init__(
        self,
        dial: Dial,
        me: NodeId,
        site: SiteId,
        tls: TlsSource,
        deliver: Callable[[Event | Counted], None],
    ) -> None:
        self.link = dial.link
        self._endpoint = dial.endpoint
        self._me = me
        self._site = site
        self._tls = tls
        self._deliver = deliver
        self._stage = "connecting"
        self._session: Session | None = None
        self._peer = NodeId("")
        self._filters: tuple[str, ...] = ()
        self._was_opened = False
        self._is_over = False

    async def run(self) -> None:
        """From dial to end. Cancelling closes the link and tells nothing."""
        try:
            await self._hold(await self._open())
        except DialError as error:
            self._tell_end(DialFailed(self.link, error.reason, error.detail))
        finally:
            self._is_over = True
            if self._session is not None:
                self._session.close()

    @property
    def is_open(self) -> bool:
        return self._session is not None and self._session.is_open and not self._is_over

    @property
    def is_dialling(self) -> bool:
        return not self._is_over and not self._was_opened

    def send(self, item: Queued) -> int:
        """How many messages were dropped for lack of room, or of a link."""
        if self._session is None or not self.is_open:
            return 1
        return self._session.send(item)

    def hang_up(self) -> bool:
        """No event after this one. True: this was a dial still under way, and the caller must end `run`."""
        was_dialling = self.is_dialling
        self._is_over = True
        if self._session is not None and not was_dialling:
            self._session.finish()
        return was_dialling

    async def _open(self) -> Session:
        """An open session, within DIAL_TIMEOUT_S, or DialError."""
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                stream = await self._connect()
                self._session = session = self._start_session(stream)
                await session.until_open()
        except TimeoutError:
            if self._session is None or not self._was_opened:
                raise DialError("timeout", f"no answer while {self._stage}") from None
            session = self._session  # it opened in the very moment
        except TlsError as error:
            raise DialError("other", str(error)) from None
        return session

    async def _connect(self) -> ssl.SSLSocket:
        context = self._tls.context()
        plain = await connect_tcp(self._endpoint)
        self._stage = "shaking hands"
        stream = await handshake(plain, context)
        try:
            self._peer = peer_of(stream, self._site)
        except DialError:
            stream.close()
            raise
        return stream

    def _start_session(self, stream: ssl.SSLSocket) -> Session:
        self._stage = "opening the MQTT session"
        topics = Topics(self._site)
        self._filters = (topics.to(self._me, self._peer), topics.all(self._peer))
        login = Login(self._me)
        return Session(stream, login, self._filters, self._on_open, self._on_arrival)

    async def _hold(self, session: Session) -> None:
        why = await session.until_ended()
        self._tell_end(LinkClosed(self.link, why))

    def _on_open(self) -> None:
        if not self._is_over:
            self._was_opened = True
            self._deliver(LinkOpened(self.link, self._peer))

    def _on_arrival(self, topic: str, data: bytes) -> None:
        if self._is_over:
            return
        if topic not in self._filters:
            self._deliver(Counted("topic_unexpected", self._peer))
        elif len(data) > FRAME_BYTES_MAX:
            self._deliver(Counted("frame_oversized", self._peer))
        else:
            self._deliver(FrameReceived(self.link, self._peer, False, data))

    def _tell_end(self, event: DialFailed | LinkClosed) -> None:
        if not self._is_over:
            self._is_over = True
            self._deliver(event)
