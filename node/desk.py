"""The desk: where people's questions and wishes about the world are met, over whatever drives the node's core.

Reads look at the core between its events: one loop owns both. A write is asked for like any other event, and answered
when it is on the disk.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from crdt_state.freshness import Presence, Source, freshness
from crdt_state.item import Change, Item
from crdt_state.kinds import KINDS
from crdt_state.kinds.paths import check_path, check_thing
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.values import Value
from crdt_state.queries import LIMIT, LIMIT_MAX, Query, Row, Slice, find, scan
from crdt_state.record import RecordError, encode_body
from crdt_state.shapes import check_states
from crdt_state.view import View
from mesh.events import (
    Event,
    News,
    QuarantineDecided,
    TagsOffered,
    TagsTaken,
    WriteDone,
    WriteRefused,
    WriteRequested,
)
from mesh.ids import NodeId
from mesh.membership import HERE, PeerState
from mesh.now import Now
from mesh.roster import Roster
from node.core import NodeCore
from node.errors import FieldmeshError
from node.exits import Exit
from node.newsroom import Newsroom

DONE_WAIT_S = 10.0  # a slow card syncs in a tenth of a second; what takes longer has not worked
NAME_CHARS_MAX = 120  # of who says that it was they
NEAR_MAX = 10  # names told of those that a beginning may mean: what fits on a screen

Result = dict[str, Any]
TagOffer = tuple[str, Value, str, int]  # tag, value, quality, source time in ms


class Held(Protocol):
    """Writes that the disk has refused so far."""

    @property
    def held(self) -> int: ...


class Driver(Protocol):
    """What runs the core: the node's process, or a test's network in memory."""

    @property
    def core(self) -> NodeCore: ...
    @property
    def news(self) -> Newsroom: ...
    @property
    def keeping(self) -> Held: ...
    def now(self) -> Now: ...
    def deliver(self, event: Event) -> None: ...


class Desk:
    """Reading and writing the world of one running node."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    # -- reading

    @property
    def core(self) -> NodeCore:
        return self._driver.core

    @property
    def news(self) -> Newsroom:
        return self._driver.news

    @property
    def view(self) -> View:
        return self.core.world.state.view

    @property
    def roster(self) -> Roster:
        return self.core.state.roster

    @property
    def me(self) -> NodeId:
        return self.core.state.me

    def now(self) -> Now:
        return self._driver.now()

    def now_ms(self) -> int:
        """The date by the mesh's time."""
        return self.core.world.state.ms(self.now())

    def item(self, kind: str, name: str) -> Item:
        """The item, empty when nobody has written it."""
        return self.view.item(kind, name) or Item(kind, name)

    def known(self, kind: str, name: str, command: str) -> Item:
        """The item; FieldmeshError when there is none."""
        item = self.view.item(kind, name)
        if item is None:
            raise FieldmeshError(
                f"there is no {kind} called {name}", f"fieldmesh {command} shows them", Exit.USAGE
            )
        return item

    def known_by_beginning(self, kind: str, name: str, command: str) -> Item:
        """The item of this name, or the only one whose name, or its part after the day, begins so."""
        item = self.view.item(kind, name)
        if item is not None or not name:
            return item or self.known(kind, name, command)
        near = [each for each in self.view.items(kind) if _begins(each.name, name)]
        if len(near) == 1:
            return near[0]
        if not near:
            return self.known(kind, name, command)
        named = ", ".join(each.name for each in near[:NEAR_MAX]) + (", ..." if len(near) > NEAR_MAX else "")
        raise FieldmeshError(
            f"{len(near)} {kind}s begin with {name}: {named}", "give more of the name", Exit.USAGE
        )

    def name(self, node: str) -> str:
        """A member's name, also after its removal."""
        return self.roster.name(NodeId(node)) if node else ""

    async def slices(self, query: Query, after: str = "", limit: int = LIMIT_MAX) -> AsyncIterator[Slice]:
        """What is found, slice by slice; between two of them the node does its other work."""
        while True:
            found = find(self.view, query, self.now_ms(), after, limit)
            limit -= len(found.rows)
            yield found
            if not found.more or limit <= 0:
                return
            after = found.more
            await asyncio.sleep(0)

    async def items(self, query: Query) -> AsyncIterator[list[Item]]:
        """All items of these kinds, authors and places, some at a time, whatever their state."""
        after = ""
        while True:
            found, after = scan(self.view, query, after)
            yield found
            if not after:
                return
            await asyncio.sleep(0)

    def freshness(self, sources: Iterable[Source]) -> Result:
        """How old an answer with these sources is, as plain values."""
        presences = _presences(self.core, self.now())
        now_ms = self.now_ms()
        found = freshness(sources, presences, self.me, now_ms)
        return {"now_ms": now_ms, **msgspec.to_builtins(found)}

    def signed(self, by: str, login: str) -> str:
        """Who says so: the name that was given, else who is logged in where."""
        found = by.strip() or f"{login.strip() or 'somebody'}@{self.core.state.own.name}"
        if len(found) > NAME_CHARS_MAX or not found.isprintable():
            raise FieldmeshError(
                f"the name after --by has more than {NAME_CHARS_MAX} characters, or some that cannot be shown",
                "give a shorter one",
                Exit.USAGE,
            )
        return found

    @contextlib.contextmanager
    def kindly(self, exit_code: Exit = Exit.FAILURE) -> Iterator[None]:
        """What a command of a kind refuses becomes an error that a person gets to read, with names for ids."""
        try:
            yield
        except RefusedError as error:
            message = error.message
            for node in self.roster.members():
                message = message.replace(node, self.name(node))
            raise FieldmeshError(message, error.cure, exit_code) from None

    # -- writing

    async def write(self, changes: Sequence[Change]) -> list[str]:
        """The dots of these writes, which are durable now; FieldmeshError, and none was made."""
        if not changes:
            return []
        token = _new_token()
        seen = tuple(self.core.world.heads_at(each.register) for each in changes)  # what the caller went by
        request = WriteRequested(token, tuple((*each.register, _packed(each)) for each in changes), seen)
        answer = await self._answer(request)
        if isinstance(answer, WriteRefused):
            raise self._refusal(answer.reason, changes)
        assert isinstance(answer, WriteDone)
        return list(answer.dots)

    async def offer(self, values: Sequence[TagOffer], gone: Sequence[str]) -> tuple[str, ...]:
        """Tell the node of live values; the tags for which its frame has no room."""
        answer = await self._answer(TagsOffered(tuple(values), tuple(gone), _new_token()))
        assert isinstance(answer, TagsTaken)
        return answer.refused

    def decide(self, keys: Sequence[str], is_merged: bool) -> None:
        """Merge what was put aside, or discard it."""
        self._driver.deliver(QuarantineDecided(tuple(keys), is_merged))

    async def _answer(self, request: WriteRequested | TagsOffered) -> WriteDone | WriteRefused | TagsTaken:
        """What the core says to a request of ours; FieldmeshError when it says nothing in time."""
        outcome: asyncio.Future[WriteDone | WriteRefused | TagsTaken]
        outcome = asyncio.get_running_loop().create_future()

        def listen(news: News) -> None:
            is_answer = isinstance(news, WriteDone | WriteRefused | TagsTaken) and news.token == request.token
            if is_answer and not outcome.done():
                assert isinstance(news, WriteDone | WriteRefused | TagsTaken)
                outcome.set_result(news)

        with self.news.listening(listen):
            self._driver.deliver(request)
            try:
                async with asyncio.timeout(DONE_WAIT_S):
                    return await outcome
            except TimeoutError:
                raise self._unfinished() from None

    def _unfinished(self) -> FieldmeshError:
        if self._driver.keeping.held:
            return FieldmeshError(
                "the write is made, but it is not on this node's disk yet and would be lost by a crash",
                "make room on the disk and leave the node running: it tries again every second",
                Exit.DISK,
            )
        return FieldmeshError(
            f"the node did not do it within {DONE_WAIT_S:g} s",
            "fieldmesh status and the node's log say why",
            Exit.TEMPORARY,
        )

    def _refusal(self, reason: str, changes: Sequence[Change]) -> FieldmeshError:
        if reason == "write-halted":
            what = f"this node takes no part: {self.core.state.halted}"
            return FieldmeshError(what, "fieldmesh check tells what cures it")
        if reason == "record-not-allowed" and any(_is_for_stewards(each) for each in changes):
            return FieldmeshError(
                "this node is not a steward, and only stewards write that",
                "run the command on a steward: fieldmesh member list shows them",
                Exit.NOT_A_STEWARD,
            )
        message, cure, exit_code = REFUSALS.get(reason, _UNFORESEEN)
        return FieldmeshError(message.format(reason=reason), cure, exit_code)


REFUSALS = {
    "write-overtaken": (
        "somebody else has written the same thing at this very moment",
        "look at it again, then repeat the command if it still makes sense",
        Exit.TEMPORARY,
    ),
    "record-malformed": (
        "a value in it cannot travel",
        "whole numbers have at most 64 bits, and values nest at most 16 deep",
        Exit.USAGE,
    ),
    "record-oversized": (
        "it is larger than 65,536 bytes",
        "write less into one item, or into several items",
        Exit.USAGE,
    ),
    "record-misplaced": (
        "the item's name does not fit its kind",
        "names of tasks and advisories begin with their day: YYYYMMDD-...",
        Exit.USAGE,
    ),
    "record-not-allowed": (
        "only the node that it is about writes that",
        "name the item after this node's id: fieldmesh status",
        Exit.USAGE,
    ),
    "record-stranger": (
        "this node is not in its own roster",
        "fieldmesh check tells what cures it",
        Exit.FAILURE,
    ),
    "record-removed": (
        "this node was removed from the site",
        "fieldmesh check tells what cures it",
        Exit.FAILURE,
    ),
    "documents-full": (
        "the node holds as many documents as it can",
        "fieldmesh world documents shows which",
        Exit.FAILURE,
    ),
    "document-full": (
        "the document that it belongs into is full",
        "fieldmesh world budget shows what fills it, and who",
        Exit.FAILURE,
    ),
}
"""Why the core refuses a write: what a person is told, and what to do about it."""

_UNFORESEEN = ("the node refused it: {reason}", "docs/operations.md explains the reason", Exit.FAILURE)


def limited(limit: int) -> int:
    """A limit that is one; FieldmeshError when it is not."""
    if not 0 < limit <= LIMIT_MAX:
        raise FieldmeshError(
            f"an answer has 1 to {LIMIT_MAX} rows, not {limit}",
            "ask for less, and go on with --after",
            Exit.USAGE,
        )
    return limit


def path_of(text: str) -> str:
    """A path as it was typed, or a thing at one; FieldmeshError when there can be none. Empty: everywhere."""
    path = trimmed(text)
    try:
        if path:
            check_thing(path) if "#" in path else check_path(path)
    except RefusedError as error:
        raise FieldmeshError(error.message, error.cure, Exit.USAGE) from None
    return path


def trimmed(text: str) -> str:
    """What was typed, without the blanks and slashes around it."""
    return text.strip().strip("/")


def checked_states(kind: str, states: Sequence[str]) -> tuple[str, ...]:
    """The states themselves; FieldmeshError when items of this kind have none such. An empty kind is any."""
    try:
        check_states((kind,) if kind else (), states)
    except RefusedError as error:
        raise FieldmeshError(error.message, error.cure, Exit.USAGE) from None
    return tuple(states)


async def found_in(desk: Desk, query: Query, limit: int = LIMIT) -> tuple[list[Row], list[Source]]:
    """The first rows of a query, with their sources."""
    rows: list[Row] = []
    sources: list[Source] = []
    async for found in desk.slices(query, limit=limit):
        rows.extend(found.rows)
        sources.extend(found.sources)
    return rows, sources


# ---------------------------------------------------------------- inside


def _presences(core: NodeCore, now: Now) -> dict[NodeId, Presence]:
    """Every other current member; one that has left wrote its last before it said goodbye."""
    state = core.state
    found = {}
    for node, standing in state.membership.standings().items():
        if standing.state in (PeerState.REMOVED, PeerState.LEFT):
            continue
        away_ms = int((now.mono - standing.since) * 1000) if standing.was_here else None
        found[node] = Presence(state.roster.name(node), standing.state in HERE, away_ms)
    return found


def _packed(change: Change) -> bytes | None:
    if change.body is None:
        return None
    try:
        return encode_body(change.body)
    except RecordError as error:
        message, cure, exit_code = REFUSALS[error.reason]
        raise FieldmeshError(message, cure, exit_code) from None


def _begins(name: str, beginning: str) -> bool:
    return name.startswith(beginning) or name.partition("-")[2].startswith(beginning)


def _is_for_stewards(change: Change) -> bool:
    return KINDS.get(change.register.kind).writers == "stewards"


def _new_token() -> int:
    """Never 0: that asks for no answer."""
    return secrets.randbits(62) + 1
