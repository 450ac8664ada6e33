"""A measured process: a real node, and beside it one end of the bare path. It does what the bench orders."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from mesh.events import CastDelivered, CastRequested, News
from mesh.ids import NodeId
from node.config import endpoint_of, load
from node.home import Home
from node.log import set_up_log
from node.services import RunningNode
from node.store import Store
from simulations.bench.arrivals import Arrivals
from simulations.bench.bare import BarePath
from simulations.bench.orders import obey
from simulations.bench.pacing import paced
from simulations.bench.payload import stamped
from simulations.bench.state_orders import StateOrders

TOPIC = "bench"


class Worker:
    """The orders, over one running node."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self._ends = AsyncExitStack()
        self._arrivals = Arrivals()
        self._state = StateOrders(node.app, self._arrivals)
        self._publish: Callable[[bytes], Awaitable[None]] | None = None

    async def run(self) -> None:
        """Obeys until there are no more orders; then the node stops too."""
        orders: tuple[Callable[..., Awaitable[Any]], ...] = (
            *(self.links, self.open_sender, self.open_receiver),
            *(self.send_casts, self.send_bare, self.latencies),
            *self._state.handlers(),
        )
        try:
            async with self._ends:
                with self._node.app.news.listening(self._hear):
                    await obey({order.__name__: order for order in orders})
        finally:
            self._node.stop()

    async def links(self) -> dict[str, str]:
        """How each peer is linked: `hosted` by our broker, or `dialled` by us."""
        app = self._node.app
        return {peer.node: peer.link for peer in app.core.peers(app.now()) if peer.linked}

    async def open_sender(self, member: str, owner: str, broker: str) -> None:
        """The bare path's sending end is here."""
        socket = self._node.app.home.run_dir() / "owner.sock"
        self._publish = await self._ends.enter_async_context(_path(member, owner, broker).sender(socket))

    async def open_receiver(self, member: str, owner: str, broker: str) -> None:
        """The bare path's receiving end is here."""
        path = _path(member, owner, broker)
        await self._ends.enter_async_context(path.receiver(self._arrivals.arrived))

    async def send_casts(self, block: int, count: int, rate_hz: float) -> None:
        """Asks the node for broadcasts, at an even pace."""
        async for _ in paced(count, rate_hz):
            self._node.app.deliver(CastRequested(TOPIC, stamped(block)))

    async def send_bare(self, block: int, count: int, rate_hz: float) -> None:
        """Publishes on the bare path, at the same pace."""
        assert self._publish is not None
        async for _ in paced(count, rate_hz):
            await self._publish(stamped(block))

    async def latencies(self, block: int, count: int, within_s: float) -> list[int]:
        """How many nanoseconds each message of a block was on its way to this process."""
        return await self._arrivals.take(block, count, within_s)

    def _hear(self, news: News) -> None:
        if isinstance(news, CastDelivered):
            self._arrivals.arrived(news.payload)


def _path(member: str, owner: str, broker: str) -> BarePath:
    return BarePath(Path(member), NodeId(owner), endpoint_of(broker))


async def _run(home: Home, store: Store) -> None:
    node = RunningNode(home, load(home.config), store)
    gc.freeze()  # as a user's node does: the collector of cycles does not look at what it has begun with
    async with asyncio.TaskGroup() as tasks:
        obeying = tasks.create_task(Worker(node).run(), name="orders")
        running = tasks.create_task(node.run(), name="node")
        running.add_done_callback(lambda _: obeying.cancel())


def main() -> None:
    home = Home(sys.argv[1])
    set_up_log(level="warning")
    with Store(home.database) as store:
        asyncio.run(_run(home, store))


if __name__ == "__main__":
    main()
