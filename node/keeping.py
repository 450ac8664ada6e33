"""Keeping: writes made durable; what the disk refuses is held, tried again, and goes before anything later."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from mesh.events import Write
from node.database import StoreError

RETRY_S = 1.0
HELD_BYTES_MAX = 64 << 20  # minutes of the busiest node's records, or the caches of all its documents once
EAGER_BYTES_MAX = 1 << 20  # more than this is not tried with every new write: the disk is busy enough failing
ROW_BYTES = 200  # what a held row takes in memory beside its own bytes

log = structlog.get_logger(__name__)


QUICK_S = 0.002  # while writes take no longer, small ones are made in the loop's own thread ...
QUICK_BYTES_MAX = 16_384  # ... small: some records, not a document


class Disk(Protocol):
    """What `write` returns from is durable, all of it; or StoreError, and none is."""

    def write(self, writes: Sequence[Write]) -> None: ...


class Keeping:
    """Stands between the core's Persist and the store. Cancelling it leaves a whole transaction or none."""

    def __init__(self, store: Disk, caught_up: Callable[[], None] = lambda: None) -> None:
        self._caught_up = caught_up  # called when all that had been held is on the disk
        self.commits = 0  # transactions that reached the disk
        self.rows = 0  # rows in them
        self.given_up = 0  # rows that were held for too long among too many, and are not saved at all
        self._store = store
        self._held: dict[tuple[str, str], Write] = {}
        self._held_bytes = 0
        self._took_s = QUICK_S  # by the last write; at first we do not know this disk
        self._reason = ""
        self._retry_at = 0.0
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
                self._hold(each)
            self._give_up_the_oldest()
            if self._has_held.is_set() and not self._is_worth_trying():
                return self._reason
            return await self._write_held()

    async def run(self) -> None:
        """Until cancelled: try again, each second, while something is held."""
        while True:
            await self._has_held.wait()
            await asyncio.sleep(RETRY_S)
            async with self._turn:
                if not await self._write_held():
                    log.info("persisted-at-last")

    def _hold(self, write: Write) -> None:
        """The latest of each row, in the order of the latest."""
        key = (write.table, write.key)
        self._held_bytes -= _size(self._held.pop(key, None))
        self._held[key] = write
        self._held_bytes += _size(write)

    def _give_up_the_oldest(self) -> None:
        given_up = self.given_up
        while self._held_bytes > HELD_BYTES_MAX and self._has_held.is_set():
            self._held_bytes -= _size(self._held.pop(next(iter(self._held))))
            self.given_up += 1
        if self.given_up > given_up == 0:
            log.error("not-persisted-given-up", bytes_max=HELD_BYTES_MAX, cure="free the disk, then restart")

    def _is_worth_trying(self) -> bool:
        return self._held_bytes <= EAGER_BYTES_MAX or asyncio.get_running_loop().time() >= self._retry_at

    async def _write_held(self) -> str:
        """In a thread if it may take long: a slow card takes 50 ms to sync; on a fast disk the hop is what costs."""
        rows = list(self._held.values())
        begun = time.perf_counter()
        try:
            if self._took_s < QUICK_S and self._held_bytes <= QUICK_BYTES_MAX:
                self._store.write(rows)
            else:
                await asyncio.to_thread(self._store.write, rows)
        except StoreError as error:
            if not self._has_held.is_set():
                log.error("not-persisted", reason=error.reason, message=error.message, cure=error.cure)
            self._reason = error.reason
            self._took_s = QUICK_S
            self._retry_at = asyncio.get_running_loop().time() + RETRY_S
            self._has_held.set()
            return error.reason
        self._took_s = time.perf_counter() - begun
        self.commits += bool(rows)
        self.rows += len(rows)
        self._held.clear()
        self._held_bytes = 0
        if self._has_held.is_set():
            self._has_held.clear()
            if (
                not self.given_up
            ):  # what was given up is held by nobody here: nothing says otherwise in this run
                self._caught_up()
        return ""


def _size(write: Write | None) -> int:
    if write is None:
        return 0
    return ROW_BYTES + len(write.table) + len(write.key) + len(write.value or b"")
