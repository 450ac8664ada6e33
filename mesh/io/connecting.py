"""Connected sockets without a blocking call: cancelling leaves neither a socket nor, for addresses, a thread."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh.io.dial_error import DialError, network_failure
from mesh.io.tls import handshake_failure
from mesh.wire import Endpoint

ADDRESSES_MAX = 4  # of one name; the next dial may find others
ADDRESS_TRY_S = 0.3  # per address while there is another one to try
SEND_BUFFER_BYTES = 131_072  # what an urgent message may have to wait behind; a LAN needs no more
UNACKNOWLEDGED_MS_MAX = 10_000  # a path that acknowledges nothing for so long is gone
LOOKUPS_MAX = 4  # a resolver that hangs holds a thread for as long as it likes

_lookups = threading.BoundedSemaphore(LOOKUPS_MAX)
_Address = tuple[int, Any]  # family, and what that family calls an address
_Found = list[tuple[Any, ...]]  # what getaddrinfo gives


async def connect_tcp(endpoint: Endpoint) -> socket.socket:
    """A connected, non-blocking socket, or DialError. The caller sets the deadline."""
    addresses = await _addresses(endpoint)
    for address in addresses[:-1]:
        try:
            async with asyncio.timeout(ADDRESS_TRY_S):
                return await _connect(*address)
        except (DialError, TimeoutError):
            continue
    return await _connect(*addresses[-1])


async def connect_unix(path: Path) -> socket.socket:
    """A connected, non-blocking socket, or DialError."""
    return await _connect(socket.AF_UNIX, str(path))


async def handshake(plain: socket.socket, context: ssl.SSLContext, host: str | None = None) -> ssl.SSLSocket:
    """The same connection under TLS, or DialError. The plain socket is used up, whatever comes."""
    try:
        stream = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    except OSError as error:  # the other side has hung up already
        plain.close()
        raise _tls_failure(error) from None
    try:
        await _shake_hands(stream)
    except OSError as error:
        stream.close()
        raise _tls_failure(error) from None
    except BaseException:
        stream.close()
        raise
    return stream


async def _shake_hands(stream: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            stream.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(stream.fileno(), loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(stream.fileno(), loop.add_writer, loop.remove_writer)
        else:
            return


async def _ready(fd: int, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
    ready = asyncio.get_running_loop().create_future()
    add(fd, _settle, ready)
    try:
        await ready
    finally:
        remove(fd)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _connect(family: int, address: Any) -> socket.socket:
    try:
        plain = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise network_failure(error) from None
    try:
        plain.setblocking(False)
        _tune(plain)
        await asyncio.get_running_loop().sock_connect(plain, address)
    except OSError as error:
        plain.close()
        raise network_failure(error) from None
    except BaseException:
        plain.close()
        raise
    return plain


def _tune(plain: socket.socket) -> None:
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if plain.family != socket.AF_UNIX:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)


def _tls_failure(error: OSError) -> DialError:
    if isinstance(error, ssl.SSLError):
        return handshake_failure(error)
    if isinstance(error, ConnectionError):
        return DialError("other", "the other side hung up during the TLS handshake")
    return network_failure(error)


async def _addresses(endpoint: Endpoint) -> list[_Address]:
    """Addresses at once; names by a thread of their own, because the system's resolver blocks."""
    found: _Found
    try:
        found = list(
            socket.getaddrinfo(endpoint.host, endpoint.port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
        )
    except (OSError, UnicodeError):
        found = await _look_up(endpoint)
    return [(each[0], each[4]) for each in found[:ADDRESSES_MAX]]


async def _look_up(endpoint: Endpoint) -> _Found:
    if not _lookups.acquire(blocking=False):
        raise DialError("other", "busy: earlier name lookups are still waiting for the resolver")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_Found] = loop.create_future()
    threading.Thread(target=_resolve, args=(endpoint, loop, answer), name="name-lookup", daemon=True).start()
    try:
        return await answer
    except (OSError, UnicodeError) as error:
        raise network_failure(error if isinstance(error, OSError) else OSError(str(error))) from None


def _resolve(endpoint: Endpoint, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[_Found]") -> None:
    found: _Found | Exception
    try:
        found = list(socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        found = error
    finally:
        _lookups.release()
    if not loop.is_closed():
        loop.call_soon_threadsafe(_answer, answer, found)


def _answer(answer: "asyncio.Future[_Found]", found: "_Found | Exception") -> None:
    if answer.done():
        return  # the dial has timed out
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
