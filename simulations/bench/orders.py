"""The measured process's side of its pipe: one JSON order a line comes in, one JSON answer a line goes out."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

Handlers = Mapping[str, Callable[..., Awaitable[Any]]]


async def obey(handlers: Handlers) -> None:
    """Carries out orders one after the other, until standard input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
    )
    while line := await lines.readline():
        order = msgspec.json.decode(line, type=dict[str, Any])
        answer = await handlers[order.pop("verb")](**order)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
