"""One MQTT session against a broker that says exactly what the test wants, byte by byte."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mesh.events import Traffic
from mesh.io.dial_error import DialError
from mesh.io.mqtt import PACKET_BYTES_MAX, Login
from mesh.io.session import Session
from mesh.queues import Queued

pytestmark = pytest.mark.io

CONNACK = bytes.fromhex("20 03 00 00 00")
SUBACK = bytes.fromhex("90 04 00 01 00 00")
NOT_AUTHORIZED, SUBSCRIPTION_REFUSED = bytes.fromhex("20 03 00 87 00"), bytes.fromhex("90 04 00 01 00 87")
SERVER_SHUTTING_DOWN = bytes.fromhex("e0 02 8b 00")
SESSION_TAKEN_OVER = bytes.fromhex("e0 02 8e 00")


def publish(topic: bytes, data: bytes, head: int = 0x30) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + b"\x00" + data
    length, size = b"", len(body)
    while size > 127:
        length, size = length + bytes((size & 127 | 128,)), size >> 7
    return bytes((head,)) + length + bytes((size,)) + body


class Broker:
    """The other end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._loop = asyncio.get_running_loop()

    async def says(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._end, data)

    async def hears(self) -> bytes:
        return await self._loop.sock_recv(self._end, 65_536)

    async def lets_in(self) -> None:
        """CONNACK to the CONNECT, SUBACK to the SUBSCRIBE."""
        assert (await self.hears())[0] == 0x10
        await self.says(CONNACK)
        assert (await self.hears())[0] == 0x82
        await self.says(SUBACK)

    def hangs_up(self) -> None:
        self._end.close()


class Heard:
    def __init__(self) -> None:
        self.story: list[object] = []

    def opened(self) -> None:
        self.story.append("opened")

    def arrived(self, topic: str, data: bytes) -> None:
        self.story.append((topic, data))


@asynccontextmanager
async def session() -> AsyncIterator[tuple[Session, Broker, Heard]]:
    """A session before its CONNACK. Nothing may have escaped into the loop by the end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    heard, escaped = Heard(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    one = Session(ours, Login("me"), ("a/topic",), heard.opened, heard.arrived)
    try:
        yield one, Broker(theirs), heard
    finally:
        one.close()
        theirs.close()
    await asyncio.sleep(0)
    assert escaped == []
    assert ours.fileno() == -1


async def ended(one: Session) -> str:
    async with asyncio.timeout(5):
        return await one.until_ended()


async def test_it_opens_with_the_last_acknowledgement_and_before_the_first_message() -> None:
    async with session() as (one, broker, heard):
        await broker.hears()
        await broker.says(CONNACK)
        await broker.hears()
        assert heard.story == [] and not one.is_open
        await broker.says(SUBACK + publish(b"a/topic", b"1") + publish(b"a/topic", b"2"))
        await one.until_open()
        assert heard.story == ["opened", ("a/topic", b"1"), ("a/topic", b"2")]


async def test_messages_in_pieces_and_in_heaps_arrive_alike() -> None:
    sent = [publish(b"a/topic", bytes(size)) for size in (0, 1, 127, 128, 20_000, 70_000)]
    async with session() as (one, broker, heard):
        await broker.lets_in()
        for byte in b"".join(sent[:4]):
            await broker.says(bytes((byte,)))
            await asyncio.sleep(0)
        await broker.says(b"".join(sent))
        await broker.says(SERVER_SHUTTING_DOWN)
        assert await ended(one) == "the broker said: Server shutting down"
    sizes = [0, 1, 127, 128, 0, 1, 127, 128, 20_000, 70_000]
    assert heard.story == ["opened", *(("a/topic", bytes(size)) for size in sizes)]


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (NOT_AUTHORIZED, "refused", "Not authorized"),
        (SERVER_SHUTTING_DOWN, "other", "no MQTT session: the broker said: Server shutting down"),
        (
            b"HTTP/1.1 400 " + b" " * 80,
            "other",
            "no MQTT session: the broker sent a packet that we did not ask for",
        ),
    ],
)
async def test_a_broker_that_does_not_let_us_in(answer: bytes, reason: str, detail: str) -> None:
    async with session() as (one, broker, heard):
        await broker.says(answer)
        broker.hangs_up()
        with pytest.raises(DialError) as refused:
            await one.until_open()
        assert (refused.value.reason, refused.value.detail) == (reason, detail)
        assert heard.story == []


async def test_a_refused_subscription_is_a_refusal() -> None:
    async with session() as (one, broker, heard):
        await broker.says(CONNACK + SUBSCRIPTION_REFUSED)
        with pytest.raises(DialError, match="refused: subscription: Not authorized"):
            await one.until_open()
        assert heard.story == []


@pytest.mark.parametrize(
    ("last_words", "why"),
    [
        (b"", "the broker closed the connection"),
        (SESSION_TAKEN_OVER, "the broker said: Session taken over"),
        (publish(b"a/topic", b"x", head=0x32), "the broker sent a packet that we did not ask for"),
        (b"\xc0\x00", "the broker sent a packet that we did not ask for"),
        (b"\x30\xff\xff\xff\x7f", "the broker sent a packet that is too large"),
        (b"\x30" + b"\xff" * 5, "the broker closed the connection"),
        (b"\x30\x03\x00\x09a", "the broker closed the connection"),
    ],
    ids=["silence", "taken over", "QoS 1", "a ping", "too large", "endless length", "too short"],
)
async def test_why_a_session_ended_is_told(last_words: bytes, why: str) -> None:
    async with session() as (one, broker, _):
        await broker.lets_in()
        await one.until_open()
        await broker.says(last_words)
        broker.hangs_up()
        assert await ended(one) == why


async def test_a_packet_of_the_greatest_size_passes() -> None:
    data = bytes(PACKET_BYTES_MAX - len("a/topic") - 3)
    async with session() as (one, broker, heard):
        await broker.lets_in()
        await broker.says(publish(b"a/topic", data) + SERVER_SHUTTING_DOWN)
        await ended(one)
        assert heard.story == ["opened", ("a/topic", data)]


async def test_a_send_leaves_in_the_same_turn_of_the_loop() -> None:
    async with session() as (one, broker, _):
        await broker.lets_in()
        await one.until_open()
        assert one.send(Queued(Traffic.STATE, "their/topic", b"now")) == 0
        assert broker._end.recv(100) == publish(b"their/topic", b"now")


async def test_a_goodbye_follows_what_was_sent() -> None:
    async with session() as (one, broker, _):
        await broker.lets_in()
        await one.until_open()
        one.send(Queued(Traffic.STATE, "t", b"last"))
        one.finish()
        assert await broker.hears() == publish(b"t", b"last") + b"\xe0\x00"
        assert await ended(one) == "closed"
        assert one.send(Queued(Traffic.STATE, "t", b"too late")) == 1


@pytest.mark.parametrize("seed", range(40))
async def test_garbage_ends_the_session_or_is_read_and_never_escapes(seed: int) -> None:
    chance = random.Random(seed)
    async with session() as (one, broker, _):
        if chance.random() < 0.8:
            await broker.lets_in()
        for _ in range(30):
            packet = bytearray(
                chance.choice((CONNACK, SUBACK, publish(b"a/topic", b"x" * 40), SERVER_SHUTTING_DOWN))
            )
            for _ in range(chance.randrange(1, 4)):
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            try:
                await broker.says(bytes(packet[: chance.randrange(1, len(packet) + 1)]))
            except OSError:
                break  # it has had enough
            await asyncio.sleep(0)
        broker.hangs_up()
        await ended(one)
