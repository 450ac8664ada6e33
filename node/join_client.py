"""The joiner's side: finds the steward of a token, proves who it is, asks to be admitted, settles in."""

import asyncio
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mesh.ids import NodeId, SiteId
from mesh.roster import Roster
from mesh.trust import LEAF_DAYS, Authority, Root
from mesh.wire import Endpoint
from node.founding import own_chain, require_name
from node.home import Home
from node.join_errors import JoinError, RefusedError, WrongMachineError, cut_short, expired, not_found
from node.joining import (
    LENGTH_BYTES,
    Admitted,
    Introduction,
    JoinMessage,
    Knowledge,
    MalformedError,
    check_answer,
    check_introduction,
    length_of,
    pack,
    request_of,
    unpack,
)
from node.pending import Pending
from node.settling import Belongings, abandon, require_config, require_vacant, settle
from node.tokens import Token

TIMEOUT_S = 15.0
CONNECT_S = 1.5  # to one address; a LAN answers in milliseconds, and a token may name several
CONVERSATION_S = 10.0
RETRY_S = 1.0
LOOK_S = 4.0  # by multicast, before the seeds get another try
EXPIRED_TIMEOUT_S = 3.0  # for a token that is past its date by our clock: only to hear which clock is wrong
NONCE_BYTES = 16


class Door(Protocol):
    """What multicast DNS says of a steward; nothing of it is proven."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def node(self) -> NodeId: ...


Finder = Callable[[SiteId, float], AsyncIterator[Door]]


@dataclass(frozen=True, slots=True)
class Joined:
    """What has come about."""

    node: NodeId
    name: str
    site: SiteId
    site_name: str
    steward: NodeId
    is_steward: bool
    members: int
    not_after_ms: int


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def join(
    home: Home,
    token: Token,
    name: str,
    *,
    seeds: Sequence[Endpoint] = (),
    find: Finder | None = None,
    timeout_s: float = TIMEOUT_S,
    wall_ms: Callable[[], int] = _wall_ms,
    config: Mapping[str, Any] | None = None,
) -> Joined:
    """Makes `home` the home of a new member, or FieldmeshError and no trace of it.

    The exception: once the steward has been asked and its answer was lost, the keys stay, so that the same
    command can be run again and gets the same answer. The same holds when this is cancelled.
    """
    require_name(name)
    require_vacant(home)
    require_config(home, config or {})
    with Pending(home, token) as pending:
        try:
            attempt = _Attempt(token, name, pending, wall_ms)
            root, admitted, known = await _reach(attempt, seeds, find, timeout_s)
        except RefusedError:
            if pending.is_for(token):
                abandon(home)
            raise
        return _settle_in(home, token, pending, root, admitted, known, config or {})


class _Attempt:
    """One application, tried at one address after another until a steward has decided."""

    def __init__(self, token: Token, name: str, pending: Pending, wall_ms: Callable[[], int]) -> None:
        self.token = token
        self.applicant = pending.applicant(name)
        self.wall_ms = wall_ms
        self.unreached: dict[str, str] = {}  # by address; at most SEEDS_MAX and what multicast showed
        self.failures: dict[str, JoinError] = {}
        self._pending = pending

    async def at(self, host: str, port: int) -> tuple[Root, Admitted, list[Knowledge]] | None:
        """The admission; None if this address leads nowhere; JoinError if the steward has decided otherwise."""
        where = str(Endpoint(host, port))
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            self.unreached[where] = f"{where} {_reason(error)}"
            return None
        try:
            async with asyncio.timeout(CONVERSATION_S):
                return await self._converse(reader, writer)
        except WrongMachineError as error:
            self.failures[where] = error
        except (OSError, TimeoutError, EOFError, MalformedError) as error:
            self.failures[where] = cut_short(f"{where} {_reason(error)}", self._pending.is_saved)
        finally:
            writer.transport.abort()
        return None

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Root, Admitted, list[Knowledge]]:
        await writer.start_tls(_context())
        leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        said = await _read(reader)
        if not isinstance(said, Introduction):
            raise MalformedError("it is not a steward's join port")
        root = check_introduction(self.token, leaf, said, self.wall_ms())
        self._pending.save()  # from here on the steward may count the token as used
        request = request_of(self.applicant, self.token, leaf, said, secrets.token_bytes(NONCE_BYTES))
        writer.write(pack(request))
        admitted = check_answer(await _read(reader), root, self.token, self.applicant, self.wall_ms())
        return root, admitted, [await _knowledge(reader) for _ in range(admitted.parts)]

    def verdict(self, timeout_s: float) -> JoinError:
        """The most telling of what went wrong."""
        failures = sorted(self.failures.values(), key=_is_passing)
        if failures:
            return failures[0]
        if self.wall_ms() > self.token.expires_ms and not self._pending.is_saved:
            return expired(self.token, self.wall_ms())
        return not_found(self.token, list(self.unreached.values()), timeout_s)


async def _reach(
    attempt: _Attempt, seeds: Sequence[Endpoint], find: Finder | None, timeout_s: float
) -> tuple[Root, Admitted, list[Knowledge]]:
    """Seeds first, then multicast unless seeds were given by hand, again and again until the time is up."""
    token, look = attempt.token, None if seeds else find
    if attempt.wall_ms() > token.expires_ms:
        timeout_s = min(timeout_s, EXPIRED_TIMEOUT_S)
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_s
    doors = tuple(seeds or token.seeds)
    while True:
        round_ends = min(deadline, clock() + (RETRY_S if look is None else LOOK_S if doors else timeout_s))
        for door in doors:
            if (found := await attempt.at(door.host, door.port)) is not None:
                return found
        if look is not None and (found := await _look(attempt, look, round_ends - clock())) is not None:
            return found
        is_hopeless = (
            look is None and not attempt.unreached and not any(map(_is_passing, attempt.failures.values()))
        )
        if is_hopeless or clock() >= deadline:
            raise attempt.verdict(timeout_s)
        await asyncio.sleep(max(0.0, round_ends - clock()))


async def _look(
    attempt: _Attempt, find: Finder, timeout_s: float
) -> tuple[Root, Admitted, list[Knowledge]] | None:
    doors = find(attempt.token.site, max(0.0, timeout_s))
    try:
        async for door in doors:
            if door.node != attempt.token.steward:
                attempt.unreached[door.node] = (
                    f"multicast DNS showed the steward {door.node}, which is another one"
                )
            elif (found := await attempt.at(door.host, door.port)) is not None:
                return found
    except OSError as error:
        attempt.unreached["mdns"] = f"multicast DNS does not work here ({_reason(error)})"
    finally:
        if (close := getattr(doors, "aclose", None)) is not None:
            await close()
    return None


def _settle_in(
    home: Home,
    token: Token,
    pending: Pending,
    root: Root,
    admitted: Admitted,
    known: Sequence[Knowledge],
    config: Mapping[str, Any],
) -> Joined:
    chain, authority_key = admitted.chain, None
    member = root.verify_chain(chain)
    if token.for_steward:
        authority_key = pending.steward_key
        authority = Authority(authority_key, admitted.authority)
        days = (member.not_after_ms - member.not_before_ms) / 86_400_000
        chain = own_chain(authority, root, chain, pending.tls_public, min(days, LEAF_DAYS))
    entries = [entry for part in known for entry in part.entries]
    endpoints = [each for part in known for each in part.endpoints]
    settle(
        home,
        Belongings(
            root,
            pending.identity_key,
            pending.tls_key,
            chain,
            admitted.authority if token.for_steward else b"",
            authority_key,
            entries=[*entries],
            endpoints=endpoints,
            config=config,
        ),
    )
    return Joined(
        member.node,
        member.name,
        root.site,
        root.site_name,
        token.steward,
        token.for_steward,
        _count_members(root, entries, member.node),
        root.verify_chain(chain).not_after_ms,
    )


def _is_passing(failure: JoinError) -> bool:
    return not isinstance(failure, WrongMachineError)


def _count_members(root: Root, entries: Sequence[bytes], node: NodeId) -> int:
    roster = Roster(root)
    roster.merge(entries)
    return len({*roster.members(), node})


def _context() -> ssl.SSLContext:
    """TLS without the system's idea of trust: `check_introduction` decides, before anything secret is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def _read(reader: asyncio.StreamReader) -> JoinMessage:
    return unpack(await reader.readexactly(length_of(await reader.readexactly(LENGTH_BYTES))))


async def _knowledge(reader: asyncio.StreamReader) -> Knowledge:
    part = await _read(reader)
    if not isinstance(part, Knowledge):
        raise MalformedError("the steward's answer is out of order")
    return part


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "did not answer"
    if isinstance(error, asyncio.IncompleteReadError | ConnectionResetError | BrokenPipeError):
        return "closed the connection"
    if isinstance(error, ConnectionRefusedError):
        return "refused the connection (nothing listens there)"
    if isinstance(error, ssl.SSLError):
        return f"does not talk TLS as a steward's join port does ({error.reason})"
    if isinstance(error, socket.gaierror):
        return "is not a known host name"
    if isinstance(error, MalformedError):
        return f"said something that makes no sense ({error.reason})"
    return str(getattr(error, "strerror", None) or error)
