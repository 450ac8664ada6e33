"""Asking a node over its control socket, one question after the other, without keeping the lab waiting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from node.errors import FieldmeshError
from simulations.lab.watching import ANSWER_WITHIN_S

ANSWER_BYTES_MAX = 16_777_216  # as the node's own limit: an export comes in long lines


class Line:
    """An open connection. Whatever ends it is a ConnectionError; an answer that is an error is raised as such."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The one result of a verb."""
        found = await self.ask_all(verb, **arguments)
        return found[0]

    async def ask_all(self, verb: str, **arguments: Any) -> list[dict[str, Any]]:
        """All results of a verb that goes on for a while, and ends."""
        results = []
        self._writer.write(msgspec.json.encode({**arguments, "verb": verb}) + b"\n")
        while True:
            answer = await self._answer()
            if not answer.get("ok"):
                raise FieldmeshError.from_json(answer.get("error") or {})
            if "result" in answer:
                results.append(answer["result"])
            if not answer.get("more"):
                return results

    async def _answer(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                line = await self._reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, TimeoutError, OSError) as error:
            raise ConnectionError(str(error)) from None
        return msgspec.json.decode(line, type=dict[str, Any])


@contextlib.asynccontextmanager
async def line_to(socket: Path) -> AsyncIterator[Line]:
    """A connection with the node that listens here, or ConnectionError."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket, limit=ANSWER_BYTES_MAX)
    except OSError as error:
        raise ConnectionError(str(error)) from None
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
