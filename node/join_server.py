"""The steward's door for strangers: a bounded TLS listener on which holders of a token become members."""

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from mesh.events import Counted, MemberAdmitted
from mesh.ids import NodeId, short_of
from mesh.trust import LEAF_DAYS
from mesh.wire import Endpoint
from node.database import StoreError
from node.errors import FieldmeshError
from node.exits import Exit
from node.founding import authority_of, certify_steward, serial
from node.guesses import Guesses
from node.home import Home
from node.joining import (
    LENGTH_BYTES,
    VERSION,
    VERSION_OLDEST,
    AdmitRequest,
    Admitted,
    Introduction,
    JoinMessage,
    JoinRequest,
    MalformedError,
    Refused,
    Repeat,
    Taken,
    encode_answer,
    is_guess,
    issue,
    judge,
    knowledge_parts,
    length_of,
    pack,
    unpack,
)
from node.server_credentials import ServerCredentials
from node.token_book import TokenBook

CONNECTIONS_MAX = 16  # joining takes a tenth of a second; a site does not grow faster than that
CONVERSATION_S = 10.0
BACKLOG = 64
NONCE_BYTES = 16
RECENT_S = 60.0  # by then the node's roster knows whom we have admitted
DETAIL_CHARS_MAX = 200  # as many as the joiner shows
ACCEPT_PAUSE_S = 0.5  # when the process is out of file descriptors

log = structlog.get_logger()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class JoinServer:
    """Admits joiners: persists each admission, then tells the node (MemberAdmitted), then answers.

    `taken`, `roster`, `endpoints`, `clock_trusted` and `halted` (why the node takes no part, or empty) are asked at
    each request; `deliver` takes MemberAdmitted and counters. `bind` first, then `serve` in a task; cancelling that
    ends every conversation.
    """

    def __init__(
        self,
        home: Home,
        *,
        taken: Taken,
        deliver: Callable[[MemberAdmitted | Counted], None],
        roster: Callable[[], Sequence[bytes]],
        endpoints: Callable[[], Sequence[tuple[NodeId, tuple[Endpoint, ...]]]],
        clock_trusted: Callable[[], bool] = lambda: True,
        halted: Callable[[], str] = lambda: "",
        wall_ms: Callable[[], int] = _wall_ms,
        certificate_days: float = LEAF_DAYS,
    ) -> None:
        keys = home.load_keys()
        self._home = home
        self._root = keys.root
        self._authority = authority_of(keys)
        self._book = TokenBook(home.database)
        self._credentials = ServerCredentials(home.tls)
        self._deliver = deliver
        self._roster = roster
        self._endpoints = endpoints
        self._clock_trusted = clock_trusted
        self._halted = halted
        self._wall_ms = wall_ms
        self._days = certificate_days
        self._guesses = Guesses()
        self._recent = _Recent(taken)
        self._turn = asyncio.Lock()  # one admission at a time: a name is given once
        self._busy = 0
        self._listener: socket.socket | None = None

    def bind(self, host: str = "", port: int = 0) -> int:
        """Starts to listen (on every interface when `host` is empty); the port it got, or FieldmeshError."""
        try:
            self._listener = _listen(host, port)
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            raise FieldmeshError(
                f"cannot listen for joiners on port {port}: {os.strerror(error.errno or 0)}",
                f"stop what uses that port (`ss -ltnp 'sport = :{port}'` names it), "
                f"or choose another [fabric] join_port in {self._home.config.resolve()}",
                Exit.TEMPORARY if is_taken else Exit.CONFIGURATION,
            ) from None
        return int(self._listener.getsockname()[1])

    async def serve(self) -> None:
        """Until cancelled."""
        assert self._listener is not None, "bind first"
        try:
            async with asyncio.TaskGroup() as conversations:
                await self._accept(self._listener, conversations)
        finally:
            self.close()

    def close(self) -> None:
        """Idempotent; for when `serve` never ran."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self, listener: socket.socket, conversations: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("join-accept-failed", reason=str(error))
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if self._busy >= CONNECTIONS_MAX:
                connection.close()
                self._deliver(Counted("join-full"))
                continue
            self._busy += 1
            task = conversations.create_task(
                self._converse(connection, str(address[0])), name="join-conversation"
            )
            task.add_done_callback(lambda _: self._one_less())

    def _one_less(self) -> None:
        self._busy -= 1

    async def _converse(self, connection: socket.socket, address: str) -> None:
        """One joiner, from handshake to answer. What goes wrong is its fault and a counter, never our end."""
        try:
            async with asyncio.timeout(CONVERSATION_S):
                await self._admit_over(connection, address)
        except TimeoutError:
            self._deliver(Counted("join-timeout", address))
        except MalformedError as error:
            self._deliver(Counted(error.reason, address))
        except ssl.SSLError:
            self._deliver(Counted("join-tls-failed", address))
        except (OSError, EOFError):
            self._deliver(Counted("join-cut-short", address))
        except Exception:
            log.exception("join-failed", address=address)
            self._deliver(Counted("join-failed", address))
        finally:
            connection.close()

    async def _admit_over(self, connection: socket.socket, address: str) -> None:
        context, chain = self._credentials.current()
        reader, writer = await _secured(connection, context)
        try:
            nonce = secrets.token_bytes(NONCE_BYTES)
            writer.write(pack(self._introduction(chain, nonce)))
            for message in await self._answers(await _read(reader), chain[0], nonce, address):
                writer.write(pack(message))
                await writer.drain()
            await _finish(reader, writer)
        except MalformedError:
            writer.write(pack(Refused("malformed", self._wall_ms())))
            await _finish(reader, writer)
            raise
        finally:
            writer.transport.abort()

    def _introduction(self, chain: tuple[bytes, ...], nonce: bytes) -> Introduction:
        return Introduction(
            VERSION_OLDEST,
            VERSION,
            nonce,
            chain[1],
            self._root.certificate,
            self._wall_ms(),
            self._clock_trusted(),
        )

    async def _answers(
        self, request: JoinMessage, leaf: bytes, nonce: bytes, address: str
    ) -> list[JoinMessage]:
        if not isinstance(request, JoinRequest):
            raise MalformedError("join-malformed")
        refusal = self._refused_unheard(address)
        if refusal is not None:
            return [refusal]
        async with self._turn:
            try:
                return await self._decided(request, leaf, nonce, address)
            except StoreError as error:
                log.error("join-not-saved", reason=error.reason, message=error.message)
                self._deliver(Counted("join-not-saved", address))
                return [Refused("cannot-save", self._wall_ms())]

    def _refused_unheard(self, address: str) -> Refused | None:
        if self._guesses.is_blocked(address, time.monotonic()):
            self._deliver(Counted("join-too-many-attempts", address))
            return Refused("too-many-attempts", self._wall_ms())
        if halted := self._halted():
            self._deliver(Counted("join-steward-halted", address))
            return Refused("steward-halted", self._wall_ms(), halted[:DETAIL_CHARS_MAX])
        if not self._clock_trusted():
            self._deliver(Counted("join-clock-distrusted", address))
            return Refused("clock-distrusted", self._wall_ms())
        return None

    async def _decided(
        self, request: JoinRequest, leaf: bytes, nonce: bytes, address: str
    ) -> list[JoinMessage]:
        row = await asyncio.to_thread(self._book.find, request.token_id)
        verdict = judge(request, leaf, nonce, row, self._recent.taken, self._wall_ms())
        if isinstance(verdict, AdmitRequest):
            verdict = await self._issued(verdict, request.token_id)
        if isinstance(verdict, Refused):
            return [self._noted(verdict, request, address)]
        return self._told(verdict)

    async def _issued(self, wanted: AdmitRequest, token_id: bytes) -> Repeat | Refused:
        now_ms, authority = self._wall_ms(), b""
        if wanted.steward_public:
            try:
                authority = certify_steward(
                    self._home, self._root, wanted.node, wanted.steward_public, now_ms
                )
            except FieldmeshError:
                return Refused("root-key-absent", now_ms)
        answer = issue(wanted, self._authority, authority, now_ms, serial(), self._days)
        redeem = self._book.redeem
        if not await asyncio.to_thread(
            redeem, token_id, wanted.node, wanted.name, encode_answer(answer), now_ms
        ):
            return Refused("token-revoked", now_ms)  # in the moment since we looked
        self._recent.add(wanted.name, wanted.node)
        log.info("member-admitted", node=wanted.node, name=wanted.name, steward=bool(authority))
        return Repeat(wanted, answer)

    def _told(self, admission: Repeat) -> list[JoinMessage]:
        """Tells the node of its new member, again if need be, and what the member is to hear."""
        self._deliver(MemberAdmitted(admission.answer.chain, admission.request.identity))
        parts = knowledge_parts(self._roster(), self._endpoints())
        answer = Admitted(admission.answer.chain, admission.answer.authority, self._wall_ms(), len(parts))
        return [answer, *parts]

    def _noted(self, refusal: Refused, request: JoinRequest, address: str) -> Refused:
        if is_guess(refusal):
            self._guesses.wrong(address, time.monotonic())
        log.warning("join-refused", reason=refusal.code, token=request.token_id.hex(), address=address)
        self._deliver(Counted(f"join-{refusal.code}", address))
        return refusal


class _Recent:
    """Names given so lately that the node's roster may not know of them yet."""

    def __init__(self, taken: Taken) -> None:
        self._asked = taken
        self._given: deque[tuple[float, str, NodeId]] = deque(maxlen=1024)  # RECENT_S of admissions

    def add(self, name: str, node: NodeId) -> None:
        self._given.append((time.monotonic(), name, node))

    def taken(self, name: str, short: bytes) -> str | None:
        holder = self._asked(name, short)
        while self._given and time.monotonic() - self._given[0][0] > RECENT_S:
            self._given.popleft()
        fits = (node for _, given, node in self._given if given == name or short_of(node) == short)
        return holder if holder is not None else next(fits, None)


def _listen(host: str, port: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    elif socket.has_dualstack_ipv6():
        listener = socket.create_server(
            ("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
        )
    else:
        listener = socket.create_server(("", port), backlog=BACKLOG)
    listener.setblocking(False)
    return listener


async def _secured(
    connection: socket.socket, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connection, ssl=context, ssl_handshake_timeout=CONVERSATION_S
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _read(reader: asyncio.StreamReader) -> JoinMessage:
    return unpack(await reader.readexactly(length_of(await reader.readexactly(LENGTH_BYTES))))


async def _finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits until the joiner has what we wrote and hangs up; an abort before that could take it away again."""
    with contextlib.suppress(OSError, EOFError):
        await writer.drain()
        await reader.read(1)
