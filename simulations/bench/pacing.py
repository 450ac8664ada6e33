"""Sending at an even pace, whatever each sending takes."""

import asyncio
from collections.abc import AsyncIterator


async def paced(count: int, rate_hz: float) -> AsyncIterator[int]:
    """Numbers from 0, each at its own time; one that is late does not delay the next."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / rate_hz - loop.time()))
        yield number
