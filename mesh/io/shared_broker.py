"""One broker that a site already runs: its URL, and an open session on it."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mesh.io.connecting import connect_tcp, handshake
from mesh.io.dial_error import DialError
from mesh.io.mqtt import Login
from mesh.io.session import Session
from mesh.wire import Endpoint

OPEN_TIMEOUT_S = 5.0  # a broker behind a router may be slower than a neighbour
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class SharedSettings:
    """The brokers, the preferred first, and how to sign in."""

    urls: Sequence[str]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None  # None: the system's authorities


@dataclass(frozen=True, slots=True)
class SharedBroker:
    """Where it is and what it asks for."""

    endpoint: Endpoint
    is_tls: bool
    username: str | None
    password: str | None = field(repr=False)
    ca_file: Path | None
    bundle: Path  # our certificate, should it ask for one

    def __str__(self) -> str:
        return f"{'mqtts' if self.is_tls else 'mqtt'}://{self.endpoint}"

    async def open(
        self, identifier: str, filters: Sequence[str], on_arrival: Callable[[str, bytes], None]
    ) -> Session:
        """An open session within OPEN_TIMEOUT_S, or DialError."""
        session = None
        login = Login(identifier, self.username, self.password)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                session = Session(await self._connect(), login, filters, _nothing, on_arrival)
                await session.until_open()
        except TimeoutError:
            if session is None or not session.is_open:
                raise DialError("timeout", "no answer") from None
        finally:
            if session is not None and not session.is_open:
                session.close()
        return session

    async def _connect(self) -> socket.socket:
        context = self._context() if self.is_tls else None
        plain = await connect_tcp(self.endpoint)
        return await handshake(plain, context, self.endpoint.host) if context else plain

    def _context(self) -> ssl.SSLContext:
        """The broker is no node: an authority vouches for its host name."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
            context.load_cert_chain(self.bundle)
        except OSError as error:
            raise DialError("other", f"ca_file or our own certificate cannot be loaded: {error}") from None
        return context


def brokers_of(settings: SharedSettings, bundle: Path) -> list[SharedBroker]:
    """The brokers in order of preference. ValueError, fit to be shown, for what is no broker's URL."""
    return [
        SharedBroker(*_place_of(url), settings.username, settings.password, settings.ca_file, bundle)
        for url in settings.urls
    ]


def _place_of(url: str) -> tuple[Endpoint, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ValueError('a shared broker is written "mqtts://HOST[:PORT]" or "mqtt://HOST[:PORT]"') from None
    if parts.username is not None or not parts.hostname:
        raise ValueError(
            f"a shared broker's URL is {parts.scheme}://HOST[:PORT]; credentials have their own settings"
        )
    return Endpoint(parts.hostname, port), parts.scheme == "mqtts"


def _nothing() -> None:
    """Opening is awaited."""
