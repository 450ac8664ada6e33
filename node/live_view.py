"""The live view: a read-only Yjs endpoint on the local API, for browsers and other languages.

`GET /yjs` lists the documents; `ws://HOST:PORT/yjs/NAME` lets a stock y-websocket client follow one. Nothing that a
client says reaches a document: of its messages only the state vector is used, and that is written anew first.
"""

import asyncio
import contextlib
import errno
import ipaddress
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from node.api_token import hide_api, new_token, opens, shown_api
from node.live_follower import (
    CLOSE_TIMEOUT_S,
    Follower,
    LiveDocuments,
    Load,
    PartingError,
    dismiss,
)

PATH = "/yjs"
FOLLOWERS_MAX = 32  # people and programs of one plant; each costs at most one message of memory
CONNECTIONS_MAX = 2 * FOLLOWERS_MAX  # with those that still shake hands, or read why they may not follow
MESSAGE_IN_BYTES_MAX = 65_536  # a state vector of seven thousand pens; a follower says nothing longer
QUEUE_IN_MAX = 4  # messages read ahead; a follower says one or two
OPEN_TIMEOUT_S = 5.0  # on one host a handshake takes milliseconds
PING_PERIOD_S = 20.0  # a client that is gone without a word is noticed within two of them
LISTEN_AGAIN_S = 30.0  # after the port was found taken; its holder may be ending

TOKEN_REFUSED = 4401
"""Close codes are those of y-websocket's convention: it takes 44xx as final, everything else as passing."""

log = structlog.get_logger(__name__)
_library_log = logging.getLogger(f"{__name__}.websockets")
_library_log.setLevel(
    logging.CRITICAL
)  # a client's faults are counted, ours logged here; its paths hold tokens


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """[api] of the configuration."""

    enabled: bool = True
    bind: str = "127.0.0.1"
    port: int = 8765  # 0: any free one
    origins: tuple[str, ...] = ()  # of web pages that may read, besides those of this machine


async def serve_live_view(
    config: ApiConfig, documents: LiveDocuments, folder: Path, count: Callable[[str], None]
) -> None:
    """A service: runs until cancelled, and leaves no connection, no port and no file in the run folder behind.

    A port that is taken is told and counted once, and tried again now and then; the node goes on without.
    """
    hide_api(folder)
    is_told = False
    while config.enabled:
        try:
            with _listen(config) as listener:
                await _serve(listener, config, documents, folder, count)
        except OSError as error:
            if not is_told:
                _tell_closed(config, error, count)
            is_told = True
            await asyncio.sleep(LISTEN_AGAIN_S)
    await asyncio.Event().wait()  # switched off: a service ends only when cancelled


@contextlib.asynccontextmanager
async def live_view(
    listener: socket.socket,
    config: ApiConfig,
    documents: LiveDocuments,
    token: str,
    count: Callable[[str], None],
) -> AsyncIterator[None]:
    """Followers are served while the body runs; leaving it, also by cancelling, ends them and the listener."""
    view = _LiveView(config, documents, token, count)
    unsubscribe = documents.subscribe(view.changed)
    try:
        server = await serve(
            view.connection,
            sock=listener,
            process_request=view.door,
            create_connection=view.admit,  # type: ignore[arg-type]  # a factory will do, its documentation says
            compression=None,
            max_size=MESSAGE_IN_BYTES_MAX,
            max_queue=QUEUE_IN_MAX,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_PERIOD_S,
            ping_timeout=PING_PERIOD_S,
            close_timeout=CLOSE_TIMEOUT_S,
            server_header=None,
            logger=_library_log,
        )
        try:
            yield
        finally:
            await view.close(server)
    finally:
        unsubscribe()


class _LiveView:
    def __init__(
        self, config: ApiConfig, documents: LiveDocuments, token: str, count: Callable[[str], None]
    ) -> None:
        self._config = config
        self._documents = documents
        self._token = token
        self._count = count
        self._load = Load()
        self._followers: dict[str, list[Follower]] = {}  # by document
        self._connections: list[_Connection] = []  # bounded by CONNECTIONS_MAX

    def changed(self, name: str) -> None:
        """Called by the documents, on the loop."""
        for follower in self._followers.get(name, ()):
            follower.wake()

    def admit(self, *args: Any, **settings: Any) -> ServerConnection:
        return _Connection(self._connections, *args, **settings)

    def door(self, connection: ServerConnection, request: Request) -> Response | None:
        """Before the handshake: refuse foreign web pages, answer plain requests, let followers pass."""
        origins = request.headers.get_all("Origin")
        if not all(is_welcome(origin, self._config.origins) for origin in origins):
            self._count("api-origin-refused")
            return _answer(HTTPStatus.FORBIDDEN, "this page's origin is not listed in [api] origins\n")
        path, _, query = request.path.partition("?")
        if path.startswith(f"{PATH}/"):
            return None
        if path != PATH:
            return _answer(HTTPStatus.NOT_FOUND, f"there is {PATH}, and {PATH}/NAME for WebSockets\n")
        if not self._is_known(request, query):
            self._count("api-token-refused")
            return _answer(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong\n")
        return _answer(HTTPStatus.OK, self._list(), *origins)

    async def connection(self, connection: ServerConnection) -> None:
        """Serve one WebSocket until either side ends it."""
        try:
            with self._following(connection) as follower:
                await follower.run()
        except PartingError as parting:
            if parting.counter:
                self._count(parting.counter)
            await dismiss(connection, parting.code, parting.reason)
        except ConnectionClosed:
            pass
        except Exception:  # our mistake, or the documents': logged; the node and the other followers go on
            log.exception("live-view-failed")
            await dismiss(connection, 1011, "the node failed; see its log")

    async def close(self, server: Server) -> None:
        """End everybody: kindly those who listen, at once those who do not."""
        for connection in list(self._connections):
            if connection.state is State.CONNECTING:
                connection.transport.abort()
        server.close()
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await server.wait_closed()
        except TimeoutError:
            for connection in list(self._connections):
                connection.transport.abort()
            await server.wait_closed()

    @contextlib.contextmanager
    def _following(self, connection: ServerConnection) -> Iterator[Follower]:
        follower = self._follower(connection)
        beside = self._followers.setdefault(follower.name, [])
        beside.append(follower)
        try:
            yield follower
        finally:
            beside.remove(follower)
            if not beside:
                del self._followers[follower.name]

    def _follower(self, connection: ServerConnection) -> Follower:
        request = connection.request
        assert request is not None  # the handshake is over
        path, _, query = request.path.partition("?")
        if not self._is_known(request, query):
            raise PartingError(TOKEN_REFUSED, "the token is missing or wrong", "api-token-refused")
        if sum(map(len, self._followers.values())) >= FOLLOWERS_MAX:
            raise PartingError(1013, "too many followers; try again later", "api-busy")
        name = unquote(path.removeprefix(f"{PATH}/"))
        return Follower(connection, self._documents, name, query, self._load, self._count)

    def _is_known(self, request: Request, query: str) -> bool:
        return opens(self._token, query, request.headers.get_all("Authorization"))

    def _list(self) -> str:
        marks = ((name, self._documents.mark(name)) for name in self._documents.names())
        return json.dumps([{"name": name, "mark": mark.hex()} for name, mark in marks if mark is not None])


class _Connection(ServerConnection):
    """Counted from the first byte on; one too many is cut off at once."""

    def __init__(self, connections: list["_Connection"], *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.append(self)
        if len(self._connections) > CONNECTIONS_MAX:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        super().connection_lost(exc)


def is_welcome(origin: str, listed: tuple[str, ...]) -> bool:
    """Whether web pages of this origin may read: those served by this machine itself, and the listed ones."""
    if origin in listed:
        return True
    try:
        url = urlsplit(origin)
        host = url.hostname or ""
        if url.scheme not in ("http", "https") or origin != f"{url.scheme}://{url.netloc}" or "@" in origin:
            return False
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _serve(
    listener: socket.socket,
    config: ApiConfig,
    documents: LiveDocuments,
    folder: Path,
    count: Callable[[str], None],
) -> None:
    token = new_token()
    host, port = listener.getsockname()[:2]
    async with live_view(listener, config, documents, token, count):
        with shown_api(folder, token, host, port):
            log.info("api-listening", address=f"{host}:{port}")
            await asyncio.Event().wait()


def _tell_closed(config: ApiConfig, error: OSError, count: Callable[[str], None]) -> None:
    address = f"{config.bind}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        cure = "set another [api] listen_port, or end the program that has this one"
        log.warning("api-port-taken", address=address, cure=cure)
        count("api-port-taken")
    else:
        cure = "is [api] listen an address of this machine, and can the run folder be written?"
        log.warning("api-not-open", address=address, error=str(error), cure=cure)
        count("api-not-open")


def _listen(config: ApiConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.bind else socket.AF_INET
    listener = socket.create_server((config.bind, config.port), family=family)
    listener.setblocking(False)
    return listener


def _answer(status: HTTPStatus, body: str, *origins: str) -> Response:
    kind = "application/json" if status is HTTPStatus.OK else "text/plain"
    data = body.encode()
    headers = Headers(
        {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(data)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "Vary": "Origin",
        }
    )
    for origin in origins:  # the door has let them in
        headers["Access-Control-Allow-Origin"] = origin
    return Response(status.value, status.phrase, headers, data)
