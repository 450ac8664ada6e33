"""Keeping: writes made durable; what the disk refuses is held, tried again, and goes before anything later."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from mesh.events import Write
from node.database import StoreError

RETRY_S = 1.0
HELD_MAX = 10_000  # rows: a roster and a peer book of the largest site; beyond it the oldest is given up

log = structlog.get_logger(__name__)


class Disk(Protocol):
    """What `write` returns from is durable, all of it; or StoreError, and none is."""

    def write(self, writes: Sequence[Write]) -> None: ...


class Keeping:
    """Stands between the core's Persist and the store."""

    def __init__(self, store: Disk) -> None:
        self._store = store
        self._held: dict[tuple[str, str], Write] = {}
        self._turn = asyncio.Lock()
        self._has_held = asyncio.Event()

    @property
    def held(self) -> int:
        """How many rows are not on the disk yet."""
        return len(self._held)

    async def save(self, writes: Sequence[Write]) -> str:
        """Why these are not durable yet, or empty when they are. What is not will be tried again."""
        async with self._turn:
            for each in writes:
                self._held.pop((each.table, each.key), None)
                self._held[each.table, each.key] = each
            while len(self._held) > HELD_MAX:
                del self._held[next(iter(self._held))]
            return await self._write_held()

    async def run(self) -> None:
        """Until cancelled: try again, each second, while something is held."""
        while True:
            await self._has_held.wait()
            await asyncio.sleep(RETRY_S)
            async with self._turn:
                if not await self._write_held():
                    log.info("persisted-at-last")

    async def _write_held(self) -> str:
        try:
            await asyncio.to_thread(self._store.write, list(self._held.values()))
        except StoreError as error:
            if not self._has_held.is_set():
                log.error("not-persisted", reason=error.reason, message=error.message, cure=error.cure)
            self._has_held.set()
            return error.reason
        self._held.clear()
        self._has_held.clear()
        return ""
