"""One MQTT 5 session at QoS 0 on a connected socket: paho's protocol code, driven by the event loop itself.

paho offers its loop_read, loop_write and loop_misc for this. aiomqtt, which is built on the same calls,
connects in a thread that outlives a timeout by the kernel's own, hands every message through a queue and wakes
each session once a second; the fabric needs none of these, and pays for them in latency.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from mesh.wire import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

KEEPALIVE_S = 10
TICK_S = KEEPALIVE_S / 4  # how exactly the keepalive is kept
PACKET_BYTES_MAX = FRAME_BYTES_MAX + 1024  # a frame, its topic and MQTT's own bytes
READ_BYTES = 65_536
READ_BURST = 64  # packets handled before others get their turn
_SUBSCRIBE_REFUSED = 0x80  # reason codes from here on are failures
_KEEPALIVE_TIMEOUT = 0x8D
_EXPECTED = frozenset(
    (0x20, 0x30, 0x31, 0x90, 0xD0, 0xE0)
)  # CONNACK, PUBLISH at QoS 0, SUBACK, PINGRESP, DISCONNECT
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Handler(Protocol):
    """Who a session is for. Called on the loop, never from within `publish` or `close`."""

    def opened(self) -> None:
        """The broker has let us in and granted every subscription."""

    def arrived(self, topic: str, data: bytes) -> None: ...

    def drained(self) -> None:
        """The socket takes more again."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a session introduces itself."""

    identifier: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Mqtt:
    """Opens as soon as it is made; `ended` tells when and why it is over. `close` may be called at any time."""

    def __init__(self, stream: socket.socket, login: Login, filters: Sequence[str], handler: Handler) -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._filters = filters
        self._inbox: list[tuple[str, bytes]] = []
        self._stream = _Stream(stream, self._loop)
        self._client = self._make_client(login)
        self._is_let_in = self._has_subscribed = self._is_granted = False
        self.is_open = False
        self._writes_later = False
        self._why = ""
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._tick = self._loop.call_later(TICK_S, self._on_tick)
        self._loop.add_reader(self._stream.fileno(), self._on_readable)
        self._client.connect("peer", 1, KEEPALIVE_S, clean_start=True, properties=_connect_properties())
        self._look()

    @property
    def is_blocked(self) -> bool:
        """Whether a packet waits for the socket. Publish nothing then: what waits here is not bounded."""
        return self._client.want_write()

    def publish(self, topic: str, data: bytes) -> None:
        """Into the socket at once, unless that is full."""
        self._client.publish(topic, data)
        self._look()

    def close(self, why: str = "closed") -> None:
        """Says goodbye if the socket takes it, and is over. Never waits."""
        if self.ended.done():
            return
        if not self.is_blocked:
            self._client.disconnect()
        self._end(why)

    # -- the loop's calls

    def _on_readable(self) -> None:
        for _ in range(READ_BURST):
            if self.ended.done():
                return
            self._read_packet()
            self._digest()
            if not self._stream.has_buffered:
                return
        self._loop.call_soon(self._on_readable)

    def _read_packet(self) -> None:
        try:
            self._client.loop_read()
        except Exception as error:  # noqa: BLE001  # whatever the parser makes of garbage, it is the broker's fault
            self._why = f"the broker sent what is not MQTT ({type(error).__name__})"

    def _on_writable(self) -> None:
        self._client.loop_write()
        self._look()
        if not self.ended.done() and not self._writes_later:
            self._handler.drained()

    def _on_tick(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._on_tick)
        self._client.loop_misc()
        self._look()

    def _digest(self) -> None:
        """Acts on what paho's callbacks have noted, outside of them: inside, it holds a lock and cannot write."""
        if self._is_let_in and not self._has_subscribed:
            self._has_subscribed = True
            # nothing that was kept from before, and nothing of our own
            options = SubscribeOptions(qos=0, noLocal=True, retainHandling=2)
            self._client.subscribe([(each, options) for each in self._filters])
        if self._is_granted and not self.is_open:
            self.is_open = True
            self._handler.opened()
        arrived, self._inbox = self._inbox, []
        for topic, data in arrived:
            if self.is_open and not self.ended.done():
                self._handler.arrived(topic, data)
        self._look()

    def _look(self) -> None:
        """After any call into paho: is the session over, is a packet left to write?"""
        if self.ended.done():
            return
        if self._why or self._client.socket() is None:
            self._end(self._why or self._stream.why or "the broker closed the connection")
            return
        if self.is_blocked != self._writes_later:
            self._writes_later = self.is_blocked
            if self._writes_later:
                self._loop.add_writer(self._stream.fileno(), self._on_writable)
            else:
                self._loop.remove_writer(self._stream.fileno())

    def _end(self, why: str) -> None:
        self._tick.cancel()
        self._stream.close()
        self.ended.set_result(why)

    @property
    def error(self) -> OSError | None:
        """What the socket said last, if that is how the session ended."""
        return self._stream.error

    # -- paho's callbacks: they only take notes

    def _make_client(self, login: Login) -> Client:
        client = _Client(self._stream, login.identifier)
        if login.username is not None:
            client.username_pw_set(login.username, login.password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        self._is_let_in = not code.is_failure
        if code.is_failure:
            self._why = f"refused: {code}"

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, codes: list[ReasonCode], _: Properties | None
    ) -> None:
        refused = [str(code) for code in codes if code.value >= _SUBSCRIBE_REFUSED]
        self._is_granted = not refused
        if refused:
            self._why = f"refused: subscription: {refused[0]}"

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._inbox.append((topic, bytes(message.payload)))

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._why = self._why or f"the broker said: {code}"
        elif code.value == _KEEPALIVE_TIMEOUT:
            self._why = self._why or "the broker does not answer"


class _Client(Client):
    """paho on a socket that is connected already."""

    def __init__(self, stream: "_Stream", identifier: str) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            identifier,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._given = stream

    def _create_socket(self) -> "SocketLike":
        return self._given

    def _packet_handle(self) -> MQTTErrorCode:
        """paho would answer, or keep until acknowledged, whatever else a broker sends, without a bound."""
        if self._in_packet["command"] not in _EXPECTED:
            self._given.why = "the broker sent a packet that we did not ask for"
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return super()._packet_handle()


class _Stream:
    """The socket as paho sees it: read in large pieces, no packet too large, unknown to the loop once closed."""

    def __init__(self, stream: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._buffer = b""
        self._at = 0
        self.error: OSError | None = None
        self.why = ""

    @property
    def has_buffered(self) -> bool:
        return self._at < len(self._buffer)

    def recv(self, buffersize: int) -> bytes:
        if buffersize > PACKET_BYTES_MAX:
            self.why = "the broker sent a packet that is too large"
            raise ConnectionAbortedError(self.why)
        if not self.has_buffered:
            self._fill()
        piece = self._buffer[self._at : self._at + buffersize]
        self._at += len(piece)
        return piece

    def send(self, buffer: bytes | bytearray) -> int:
        try:
            return self._stream.send(buffer)
        except OSError as error:
            if not isinstance(error, _NOT_NOW):
                self._hear_why()
            self._note(error)
            raise

    def close(self) -> None:
        fd = self._stream.fileno()
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
        self._stream.close()

    def fileno(self) -> int:
        return self._stream.fileno()

    def setblocking(self, flag: bool) -> None:
        self._stream.setblocking(flag)

    def _fill(self) -> None:
        try:
            self._buffer = self._stream.recv(READ_BYTES)
            self._at = 0
        except OSError as error:
            self._note(error)
            raise

    def _hear_why(self) -> None:
        """Before it hung up on us the other side may have said why: a TLS alert waits to be read."""
        try:
            self._stream.recv(1)
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        if not isinstance(error, _NOT_NOW):
            self.error = self.error or error
            self.why = self.why or error.strerror or type(error).__name__


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has not typed it
    properties.MaximumPacketSize = PACKET_BYTES_MAX
    return properties
