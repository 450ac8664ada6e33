"""Two measured node processes, linked by the dial of one of them, with the bare path open beside their link."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import FieldmeshError
from node.exits import Exit
from simulations.bench import worker
from simulations.bench.child import Child
from simulations.bench.homes import Pair

LINKED_WITHIN_S = 20.0  # a mosquitto starts in a tenth of a second, but on a busy machine
LOOK_EVERY_S = 0.1
ARRIVED_WITHIN_S = 3.0  # a cast that was lost comes again after a second


@dataclass(frozen=True, slots=True)
class Stations:
    """The two processes."""

    host: Child
    dialler: Child

    async def block(
        self, order: str, number: int, count: int, rate_hz: float, back: bool = False
    ) -> list[int]:
        """Has a block sent, by the host unless `back`; the latencies of what arrived, FieldmeshError if nothing."""
        sender, receiver = (self.dialler, self.host) if back else (self.host, self.dialler)
        await sender.ask(order, takes_s=count / rate_hz, block=number, count=count, rate_hz=rate_hz)
        latencies_ns: list[int] = await receiver.ask(
            "latencies", takes_s=ARRIVED_WITHIN_S, block=number, count=count, within_s=ARRIVED_WITHIN_S
        )
        if not latencies_ns:
            raise FieldmeshError(
                f"of {count} messages ({order}) none arrived within {ARRIVED_WITHIN_S:.0f} s",
                "run it again; if it stays so, the two nodes or their broker have lost each other",
                Exit.TEMPORARY,
            )
        return latencies_ns


@asynccontextmanager
async def working(folder: Path, *homes: Path) -> AsyncIterator[list[Child]]:
    """A measured process for each of these homes; they have stopped when the block ends."""
    command = (sys.executable, "-m", worker.__name__)
    children = [Child(home.name, [*command, str(home)], folder / f"{home.name}.log") for home in homes]
    try:
        for child in children:
            await child.start()
        yield children
    finally:
        await asyncio.gather(*(child.stop() for child in children))


@asynccontextmanager
async def linked_pair(pair: Pair, folder: Path) -> AsyncIterator[Stations]:
    """Both run and are linked while the block runs."""
    async with working(folder, pair.host, pair.dialler) as (host, dialler):
        await until_linked(host, dialler, pair)
        path: dict[str, Any] = {"member": str(pair.bare), "owner": pair.owner, "broker": str(pair.broker)}
        await host.ask("open_sender", **path)
        await dialler.ask("open_receiver", **path)
        yield Stations(host, dialler)


async def until_linked(host: Child, dialler: Child, pair: Pair) -> None:
    """Waits until the dialler's session on the host's broker is the link."""
    deadline = time.monotonic() + LINKED_WITHIN_S
    seen: tuple[dict[str, str], dict[str, str]] = ({}, {})
    while time.monotonic() < deadline:
        seen = await host.ask("links"), await dialler.ask("links")
        if seen == ({pair.peer: "hosted"}, {pair.owner: "dialled"}):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise FieldmeshError(
        f"the two nodes did not link within {LINKED_WITHIN_S:.0f} s (host: {seen[0]}, dialler: {seen[1]})",
        "run it again on a quieter machine; fieldmesh check on a real node tells what is in the way",
        Exit.TEMPORARY,
    )
