"""What a measured process does with the shared state of its node, as the bench orders."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Any

from mesh.events import EndpointFound, News, RecordsChanged, Source, WriteDone, WriteRefused, WriteRequested
from node.app import NodeApp
from node.config import endpoint_of
from node.core import NodeCore
from node.core_config import core_config
from simulations.bench.arrivals import Arrivals
from simulations.bench.latency import NS_PER_S, Latency
from simulations.bench.pacing import paced
from simulations.bench.watched_core import watched
from simulations.bench.writes import Stamp, frame, plant, requests, stamp_of, stamped_alarm

OUTSTANDING_MAX = 128  # writes of one node that wait for their acknowledgement: two commits' worth
UNCOMPARED = ("holding",)  # what each node says of what it holds follows from the rest, seconds later
ITEMS_WRITTEN = 600  # registers that the timed writes are about, in turn


class StateOrders:
    """The orders, over one running node."""

    def __init__(self, app: NodeApp, arrivals: Arrivals) -> None:
        self._app = app
        self._arrivals = arrivals
        self._me = app.core.state.me
        self._seen: dict[str, Stamp] = {}  # by alarm: a block has few
        app.core = watched(app.core, self.saw)

    def handlers(self) -> list[Callable[..., Awaitable[Any]]]:
        return [
            self.write_frames,
            self.time_writes,
            self.send_writes,
            self.fill,
            self.meet,
            self.content,
        ]

    def saw(self, changed: RecordsChanged) -> None:
        """Of the alarms that others have stamped: they are in our view at this moment."""
        if changed.document != "alarm":
            return
        view = self._app.core.world.state.view
        for kind, name, facet in changed.registers:
            item = view.item(kind, name)
            winner = item.facet(facet).winner() if item else None
            if winner is not None and winner.author != self._me and "value" in winner.body:
                stamp = stamp_of(winner.body)
                if self._seen.get(name) != stamp:  # a register may be told of twice
                    self._seen[name] = stamp
                    self._arrivals.seen(*stamp)

    async def write_frames(self, count: int) -> dict[str, float]:
        """Frames of this node, each acknowledged: how many a second, and how long each took."""
        writes = (WriteRequested(number, (frame(self._me, number),)) for number in range(count))
        begun_ns = time.monotonic_ns()
        latencies_ns = await self._write_all(writes)
        took_ns = time.monotonic_ns() - begun_ns
        return {"frames_per_s": count * NS_PER_S / took_ns, "p99_ms": Latency.of(latencies_ns).p99_ms}

    async def time_writes(self, count: int) -> dict[str, float]:
        """How long a core of its own, with neither disk nor network, takes for each write."""
        app = self._app
        core = NodeCore(core_config(app.config), app.keys, app.core.state.birth, {}, Random(count))
        core.start(app.now())
        changes = [*plant("timed", ITEMS_WRITTEN)]
        latencies_ns = []
        for number in range(count):
            if number % ITEMS_WRITTEN == 0:
                await asyncio.sleep(0)  # the node that runs beside it must go on beating
            kind, item, facet, _ = changes[number % ITEMS_WRITTEN]
            _, _, _, body = stamped_alarm(number, 0)
            request = WriteRequested(number, ((kind, item, facet, body),))
            begun_ns = time.perf_counter_ns()
            core.handle(request, app.now())
            latencies_ns.append(time.perf_counter_ns() - begun_ns)
        return Latency.of(latencies_ns)._asdict()

    async def send_writes(self, block: int, count: int, rate_hz: float) -> None:
        """Has the node write stamped alarms, at an even pace."""
        async for number in paced(count, rate_hz):
            self._app.deliver(WriteRequested(number, (stamped_alarm(block, number),)))

    async def fill(self, area: str, count: int) -> None:
        """So many records of every common kind, durable when this returns."""
        await self._write_all(requests(plant(area, count)))

    async def meet(self, endpoint: str) -> int:
        """Tells the node where another is; when that was."""
        self._app.deliver(EndpointFound(endpoint_of(endpoint), None, Source.SEED))
        return time.monotonic_ns()

    async def content(self) -> dict[str, Any]:
        """How many records this node holds, each document's digest, whether all is on the disk, and when it is so."""
        state = self._app.core.world.state
        documents = {
            each.name: each.digest.hex()
            for each in state.library.documents()
            if each.records and each.name.partition(":")[0] not in UNCOMPARED
        }
        held = sum(len(each.records) for each in state.library.documents())
        is_durable = not self._app.keeping.held
        return {
            "records": held,
            "documents": documents,
            "is_durable": is_durable,
            "at_ns": time.monotonic_ns(),
        }

    async def _write_all(self, writes: Iterable[WriteRequested]) -> list[int]:
        """Some at a time; how long each waited for its acknowledgement, in nanoseconds. A refusal is an error."""
        begun_ns: dict[int, int] = {}
        latencies_ns: list[int] = []
        refused: list[str] = []
        places = asyncio.Semaphore(OUTSTANDING_MAX)

        def hear(news: News) -> None:
            if isinstance(news, WriteRefused):
                refused.append(news.reason)
            if isinstance(news, WriteDone | WriteRefused) and news.token in begun_ns:
                latencies_ns.append(time.monotonic_ns() - begun_ns.pop(news.token))
                places.release()

        with self._app.news.listening(hear):
            for write in writes:
                await places.acquire()
                begun_ns[write.token] = time.monotonic_ns()
                self._app.deliver(write)
            for _ in range(OUTSTANDING_MAX):
                await places.acquire()
        assert not refused, refused[0]
        return latencies_ns
