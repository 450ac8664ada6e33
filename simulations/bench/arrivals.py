"""How long each message of a block was on its way, as the receiving process sees it."""

import asyncio
import time

from simulations.bench.payload import read


class Arrivals:
    """Holds a block's latencies until they are taken. A run has few and small blocks: they are the bound."""

    def __init__(self) -> None:
        self._latencies_ns: dict[int, list[int]] = {}
        self._news = asyncio.Event()

    def arrived(self, payload: bytes) -> None:
        """A message is here, at this moment."""
        self.seen(*read(payload))

    def seen(self, block: int, sent_ns: int) -> None:
        """What was sent then, as part of this block, is here at this moment."""
        self._latencies_ns.setdefault(block, []).append(time.monotonic_ns() - sent_ns)
        self._news.set()

    async def take(self, block: int, count: int, within_s: float) -> list[int]:
        """The block's latencies once there are so many, or those there are when the time is over."""
        try:
            async with asyncio.timeout(within_s):
                while len(self._latencies_ns.get(block, ())) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass  # what is lacking is lost, and the caller counts
        return self._latencies_ns.pop(block, [])
