"""Watching: asks a node every few hundredths of a second how it sees its peers, over one connection."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from simulations.lab.picture import PeerView, View

ASK_EVERY_S = 0.05  # the resolution of every time in the report
ANSWER_WITHIN_S = 5.0  # a node that keeps its own people waiting longer is not writable (L4)
ANSWER_BYTES_MAX = 1_000_000
_REQUEST = b'{"verb":"peers"}\n'


class _Node(msgspec.Struct, frozen=True):
    isolated: bool = False
    incarnation: int | None = None


class _Result(msgspec.Struct, frozen=True):
    peers: list[PeerView]
    node: _Node


class _Answer(msgspec.Struct, frozen=True):
    result: _Result | None = None  # an error's answer has none


_decoder = msgspec.json.Decoder(_Answer)


class Watcher:
    """Tells `see` each view of one node, for as long as `run` runs; `complain` when it leaves a question unanswered."""

    def __init__(
        self, node: str, socket: Path, see: Callable[[View], None], complain: Callable[[str, str], None]
    ) -> None:
        self._node = node
        self._socket = socket
        self._see = see
        self._complain = complain
        self.asked = 0
        self.slowest_answer_s = 0.0

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                async with _connected(self._socket) as (reader, writer):
                    await self._ask_on(reader, writer)
            await asyncio.sleep(ASK_EVERY_S)  # not started yet, stopped, or killed

    async def _ask_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked_at = time.monotonic()
            self.asked += 1
            writer.write(_REQUEST)
            line = await self._line(reader)
            answered_at = time.monotonic()
            self.slowest_answer_s = max(self.slowest_answer_s, answered_at - asked_at)
            self._take(line, asked_at, answered_at)
            await asyncio.sleep(max(0.0, asked_at + ASK_EVERY_S - time.monotonic()))

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await reader.readuntil(b"\n")
        except TimeoutError:
            self._complain(
                "L4", f"{self._node} did not answer its control socket within {ANSWER_WITHIN_S:.0f} s"
            )
            raise ConnectionError from None

    def _take(self, line: bytes, asked_at: float, answered_at: float) -> None:
        try:
            answer = _decoder.decode(line)
        except msgspec.DecodeError as error:
            self._complain("protocol", f"{self._node} gave an answer that is not understood: {error}")
            raise ConnectionError from None
        if answer.result is None:
            return  # it is starting or stopping
        said = answer.result
        peers = {peer.name: peer for peer in said.peers}
        self._see(View(self._node, asked_at, answered_at, said.node.isolated, said.node.incarnation, peers))


@contextlib.asynccontextmanager
async def _connected(socket: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(socket, limit=ANSWER_BYTES_MAX)
    try:
        yield reader, writer
    finally:
        writer.close()
