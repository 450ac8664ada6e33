"""One client that follows one document: what it lacks is worked out when it can be sent, never queued."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol
from urllib.parse import parse_qsl

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from node.live_protocol import (
    HEARTBEAT,
    NO_UPDATE,
    Asked,
    MalformedMessageError,
    Offered,
    read_message,
    shared_part,
    step2_message,
    update_message,
)

COALESCE_S = (
    0.05  # between two messages to one client: faster than people see, slower than a storm of changes
)
HEARTBEAT_S = (
    10.0  # y-websocket gives a connection up after 30 s without a message; pings do not count for it
)
SEND_TIMEOUT_S = 20.0  # for one message; a client that takes longer is not following
CLOSE_TIMEOUT_S = 1.0  # for a client to read why it is sent away
MESSAGE_BYTES_MAX = 32 * 1024 * 1024  # ten times the largest document that the growth budget allows
LOAD_BYTES_MAX = 64 * 1024 * 1024  # on their way to all clients together: two of the largest messages
FIELDS_MAX = 8  # of a query; ours has two

WRITE_REFUSED, NO_DOCUMENT, OTHER_GENERATION = 4403, 4404, 4410


class LiveDocuments(Protocol):
    """The documents of a node, as a follower sees them. All calls are made on the loop, and take no time."""

    def names(self) -> Sequence[str]: ...

    def mark(self, name: str) -> bytes | None:
        """Which generation the document is; None when there is no such document."""

    def summary(self, name: str) -> bytes:
        """Its state vector."""

    def state(self, name: str, since: bytes) -> bytes:
        """The Yjs update with all that a holder of this state vector lacks."""

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """`changed` is called, on the loop, with a document's name after each change; returns what ends that."""


class PartingError(Exception):
    """The connection is to be closed with this code and reason, and this counted."""

    def __init__(self, code: int, reason: str, counter: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.counter = counter


class Load:
    """How many bytes are on their way to all clients together."""

    def __init__(self) -> None:
        self._bytes = 0

    @contextlib.contextmanager
    def carrying(self, size: int) -> Iterator[None]:
        """While the body runs; PartingError when it would be too much at once."""
        if size > MESSAGE_BYTES_MAX:
            raise PartingError(1009, "the document is too large to be followed", "live-too-large")
        if self._bytes + size > LOAD_BYTES_MAX:
            raise PartingError(1013, "too many bytes are on their way; try again later", "api-busy")
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size


class Follower:
    """`run` until the client goes or is sent away (PartingError); `wake` it when the document has changed."""

    def __init__(
        self,
        connection: ServerConnection,
        documents: LiveDocuments,
        name: str,
        query: str,
        load: Load,
        count: Callable[[str], None],
    ) -> None:
        self.name = name
        self._connection = connection
        self._documents = documents
        self._load = load
        self._count = count
        self._mark = documents.mark(name)
        self._asked: bytes | None = None  # the state vector of a step 1 that waits for its answer
        self._sent: bytes | None = (
            None  # the state vector of what the client has been sent; None: it never asked
        )
        self._last_update = NO_UPDATE
        self._woken = asyncio.Event()
        if self._mark is None:
            raise PartingError(NO_DOCUMENT, "there is no such document")
        if _mark_in(query) not in ("", self._mark.hex()):
            raise _other_generation()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Ends with PartingError or ConnectionClosed; cancelling it leaves the connection open."""
        ends: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(), name="live-hear")
                tasks.create_task(self._tell(), name="live-tell")
        except* (PartingError, ConnectionClosed) as group:
            ends.extend(_leaves(group))
        raise min(
            ends, key=lambda end: isinstance(end, ConnectionClosed)
        )  # what we know rather than what we saw

    # -- what the client says

    async def _hear(self) -> None:
        while True:
            data = await self._connection.recv()
            try:
                if isinstance(data, str):
                    raise MalformedMessageError("text")
                message = read_message(data)
            except MalformedMessageError:
                raise PartingError(1007, "no message of y-websocket", "live-malformed") from None
            if isinstance(message, Asked):
                self._asked = message.vector  # of several at once the last counts
                self.wake()
            elif isinstance(message, Offered) and not message.is_empty:
                raise PartingError(WRITE_REFUSED, "documents can only be read here", "live-write-refused")

    # -- what it is told

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        while True:
            is_woken = await self._is_woken_before(silent_since + HEARTBEAT_S)
            message = self._news() if is_woken else HEARTBEAT
            if message is not None:
                await self._send(message)
                silent_since = loop.time()
            await asyncio.sleep(COALESCE_S)

    async def _is_woken_before(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout_at(deadline):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def _news(self) -> bytes | None:
        """The next message: all that the client lacks at this moment. None: nothing, or it has not asked yet."""
        mark = self._documents.mark(self.name)
        if mark is None:
            raise PartingError(NO_DOCUMENT, "the document is no more")
        if mark != self._mark:
            raise _other_generation()
        asked, self._asked = self._asked, None
        if asked is not None:
            return step2_message(self._update_since(asked))
        if self._sent is None:
            return None
        last_sent, last_update = self._sent, self._last_update
        update = self._update_since(last_sent)
        is_known = update == NO_UPDATE or (self._sent == last_sent and update == last_update)
        return None if is_known else update_message(update)

    def _update_since(self, vector: bytes) -> bytes:
        """PartingError when the client holds what the document does not: an older generation, or its own writing."""
        ours = self._documents.summary(self.name)
        try:
            since = shared_part(vector, ours)
        except MalformedMessageError:
            raise PartingError(1007, "no state vector", "live-malformed") from None
        if since is None:
            raise _other_generation()
        self._sent, self._last_update = ours, self._documents.state(self.name, since)
        return self._last_update

    async def _send(self, message: bytes) -> None:
        with self._load.carrying(len(message)):
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._connection.send(message)
            except TimeoutError:
                self._connection.transport.abort()  # a word of farewell would wait behind the message
                raise PartingError(1013, "too slow", "live-slow") from None


async def dismiss(connection: ServerConnection, code: int, reason: str) -> None:
    """Close with a word, or without when the client does not listen."""
    try:
        async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
            await connection.close(code, reason)
    except TimeoutError:
        connection.transport.abort()


def _other_generation() -> PartingError:
    return PartingError(OTHER_GENERATION, "another generation: follow again with a new Y.Doc")


def _mark_in(query: str) -> str:
    """The mark that the client believes to follow; empty when it does not say."""
    with contextlib.suppress(ValueError):  # too many fields
        return dict(parse_qsl(query, max_num_fields=FIELDS_MAX)).get("mark", "")
    return ""


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
