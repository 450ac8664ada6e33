"""What anybody on the LAN can use: mosquitto_sub, mosquitto_pub, and MQTT by hand over Python's ssl."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.mesh_io.brokers import DEADLINE_S, Running, until
from tests.mesh_io.certificates import Bundle, Site

PING, PONG = b"\xc0\x00", b"\xd0\x00"


def over_mesh(one: Running, site: Site, bundle: Bundle | None, client_id: str = "anybody") -> tuple[str, ...]:
    """The options with which the tools reach the mesh listener, with this certificate or none."""
    where = ("-h", "127.0.0.1", "-p", str(one.broker.port), "-i", client_id, "-V", "5")
    trust = (
        "--cafile",
        str(site.root_pem),
        "--insecure",
    )  # no host name in our certificates: peers go by node id
    return where + trust + (("--cert", str(bundle.pem), "--key", str(bundle.pem)) if bundle else ())


def over_socket(one: Running, name: str, client_id: str) -> tuple[str, ...]:
    return ("--unix", str(one.settings.run / name), "-i", client_id, "-V", "5")


def as_owner(one: Running, client_id: str = "owner") -> tuple[str, ...]:
    return over_socket(one, "owner.sock", client_id)


def as_app(one: Running, client_id: str = "app") -> tuple[str, ...]:
    return over_socket(one, "apps.sock", client_id)


class Heard:
    """What a running mosquitto_sub has printed: one "topic payload" a line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.subscribed = False

    async def has(self, line: str) -> None:
        await until(lambda: line in self.lines)


@asynccontextmanager
async def subscribed(way: Sequence[str], *filters: str) -> AsyncIterator[Heard]:
    """A mosquitto_sub whose subscription the broker has acknowledged."""
    async with listening(way, *filters) as heard:
        await until(lambda: heard.subscribed)
        yield heard


@asynccontextmanager
async def listening(way: Sequence[str], *filters: str) -> AsyncIterator[Heard]:
    """A mosquitto_sub that may or may not get in."""
    topics = [part for one in filters for part in ("-t", one)]
    process = await asyncio.create_subprocess_exec(
        *("stdbuf", "-oL", "mosquitto_sub", *way, *topics, "-v", "-d"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    heard = Heard()
    reading = asyncio.create_task(_read(process, heard))
    try:
        yield heard
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def published(way: Sequence[str], topic: str, payload: str) -> int:
    """The exit status of a mosquitto_pub."""
    process = await asyncio.create_subprocess_exec(
        *("mosquitto_pub", *way, "-t", topic, "-m", payload, "-q", "0"), stderr=subprocess.DEVNULL
    )
    try:
        return await asyncio.wait_for(process.wait(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read(process: asyncio.subprocess.Process, heard: Heard) -> None:
    assert process.stdout is not None
    async for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        if line.startswith("Subscribed ("):
            heard.subscribed = True
        elif line.startswith(("fm/", "local/", "$")):
            heard.lines.append(line)


class Wire:
    """One MQTT 3.1.1 session by hand, so that a test decides about every byte and about TLS resumption."""

    def __init__(self, stream: socket.socket, client_id: bytes, packet: bytes = b"") -> None:
        self._stream = stream
        self._buffer = b""
        self._stream.settimeout(DEADLINE_S)
        self._stream.sendall(packet or connect_packet(client_id))
        self.accepted = self._packet() == b"\x20\x02\x00\x00"

    @classmethod
    def over_tls(cls, one: Running, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> "Wire":
        plain = socket.create_connection(("127.0.0.1", one.broker.port), timeout=DEADLINE_S)
        stream = context.wrap_socket(plain, session=session)
        return cls(stream, b"anybody")

    @property
    def tls(self) -> ssl.SSLSocket:
        assert isinstance(self._stream, ssl.SSLSocket)
        return self._stream

    def subscribe(self, topic: str) -> None:
        name = topic.encode()
        self._send(0x82, b"\x00\x01" + len(name).to_bytes(2, "big") + name + b"\x00")
        assert self._packet()[:1] == b"\x90"

    def publish(self, topic: str, payload: bytes) -> None:
        name = topic.encode()
        self._send(0x30, len(name).to_bytes(2, "big") + name + payload)

    def heard_until_pong(self) -> list[tuple[str, bytes]]:
        """Everything that the broker had sent before it answered this ping."""
        self._stream.sendall(PING)
        heard = []
        while (packet := self._packet()) != PONG:
            heard.append(_published(packet))
        return heard

    def heard_until(self, last: bytes) -> list[bytes]:
        """The payloads that come, up to this one."""
        heard: list[bytes] = []
        while not heard or heard[-1] != last:
            _, payload = _published(self._packet())
            heard.append(payload)
        return heard

    def close(self) -> None:
        self._stream.close()

    def _send(self, head: int, body: bytes) -> None:
        self._stream.sendall(bytes((head,)) + _varint(len(body)) + body)

    def _packet(self) -> bytes:
        while True:
            if len(self._buffer) >= 2:
                length, used = _remaining(self._buffer)
                total = 1 + used + length
                if used and len(self._buffer) >= total:
                    packet, self._buffer = self._buffer[:total], self._buffer[total:]
                    return packet
            data = self._stream.recv(65_536)
            if not data:
                raise ConnectionResetError("the broker hung up")
            self._buffer += data


def connect_packet(client_id: bytes) -> bytes:
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2, "big") + client_id
    return b"\x10" + _varint(len(body)) + body


def tls_context(site: Site, bundle: Bundle) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(site.root_pem)
    context.load_cert_chain(bundle.pem)
    return context


def piled_up(path: Path) -> int:
    """A process's resident memory in bytes, from its /proc/PID/status."""
    (line,) = (line for line in path.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def _published(packet: bytes) -> tuple[str, bytes]:
    assert packet[0] & 0xF0 == 0x30, packet[:20]
    body = packet[len(packet) - _remaining(packet)[0] :]
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end:]


def _varint(number: int) -> bytes:
    encoded = b""
    while True:
        number, digit = number >> 7, number & 0x7F
        if not number:
            return encoded + bytes((digit,))
        encoded += bytes((digit | 0x80,))


def _remaining(packet: bytes) -> tuple[int, int]:
    """The remaining length and the bytes it takes; (0, 0) when it is not all there."""
    length = 0
    for used, digit in enumerate(packet[1:5], start=1):
        length |= (digit & 0x7F) << (7 * (used - 1))
        if digit < 0x80:
            return length, used
    return 0, 0
