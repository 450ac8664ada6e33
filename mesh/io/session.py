"""One session and its bounded queue: what the socket does not take at once waits, the most urgent first."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from mesh.io.dial_error import DialError
from mesh.io.mqtt import Login, Mqtt
from mesh.io.tls import handshake_failure
from mesh.queues import ClassQueue, Queued

HANGUP_S = 0.5  # for what is queued on a link that we close
SEND_BURST = 64  # packets written before others get their turn


class Session:
    """`on_open` and `on_arrival` are called on the loop, the first once and before any of the second.

    Nothing that arrives is queued in this process: a packet is handed in before the next is read, so a slow
    consumer leaves the rest in the kernel, then with the broker, whose own limit for slow readers applies.
    """

    def __init__(
        self,
        stream: socket.socket,
        login: Login,
        filters: Sequence[str],
        on_open: Callable[[], None],
        on_arrival: Callable[[str, bytes], None],
        queue: ClassQueue | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_open = on_open
        self.arrived = on_arrival
        self._queue = queue or ClassQueue()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._is_finishing = False
        self._mqtt = Mqtt(stream, login, filters, self)

    @property
    def is_open(self) -> bool:
        return self._mqtt.is_open and not self._mqtt.ended.done()

    async def until_open(self) -> None:
        """DialError if the session ends before it is open. The caller sets the deadline."""
        outcomes: list[asyncio.Future[Any]] = [self._opened, self._mqtt.ended]
        await asyncio.wait(outcomes, return_when=asyncio.FIRST_COMPLETED)
        if not self._mqtt.is_open:
            raise self._failure()

    async def until_ended(self) -> str:
        """Why the session is over."""
        return await asyncio.shield(self._mqtt.ended)

    def send(self, item: Queued) -> int:
        """At once if the socket takes it, else later; how many messages were dropped for lack of room."""
        if self._mqtt.ended.done():
            return 1
        if not self._queue and not self._mqtt.is_blocked:
            self._mqtt.publish(item.topic, item.data)
            return 0
        return self._queue.push(item)

    def finish(self) -> None:
        """Close when what is queued has left, and after HANGUP_S in any case. Never waits."""
        self._is_finishing = True
        self._close_if_idle()
        if not self._mqtt.ended.done():
            self._loop.call_later(HANGUP_S, self._mqtt.close)

    def close(self, why: str = "closed") -> None:
        """Close now."""
        self._mqtt.close(why)

    # -- what the MQTT session tells

    def opened(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)
        self._on_open()

    def drained(self) -> None:
        for _ in range(SEND_BURST):
            if self._mqtt.is_blocked or self._mqtt.ended.done():
                return  # the socket calls again, or nobody ever will
            item = self._queue.pop()
            if item is None:
                break
            self._mqtt.publish(item.topic, item.data)
        if self._queue:
            self._loop.call_soon(self.drained)
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._is_finishing and not self._queue and not self._mqtt.is_blocked:
            self._mqtt.close()

    def _failure(self) -> DialError:
        error, why = self._mqtt.error, self._mqtt.ended.result()
        if isinstance(error, ssl.SSLError):
            return handshake_failure(error)  # in TLS 1.3 a server says only now that it will not have us
        if why.startswith("refused: "):
            return DialError("refused", why.removeprefix("refused: "))
        return DialError("other", f"no MQTT session: {why}")
