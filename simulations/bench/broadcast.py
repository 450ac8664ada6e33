"""A broadcast between two nodes, beside a bare message over the same broker, in short blocks that take turns.

The order of the blocks is mirrored every other time (a b c, c b a), so that what slows the machine down for a
moment, or more and more, slows all kinds alike.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from node.errors import FieldmeshError
from node.exits import Exit
from simulations.bench import worker
from simulations.bench.child import Child
from simulations.bench.homes import Pair, make_pair

LINKED_WITHIN_S = 20.0  # a mosquitto starts in a tenth of a second, but on a busy machine
LOOK_EVERY_S = 0.1
ARRIVED_WITHIN_S = 3.0  # a cast that was lost comes again after a second
WARM_UP_BLOCK = 20  # messages of each kind that do not count: first uses of code and caches


class Kind(StrEnum):
    """What a block consists of."""

    CAST = "cast"  # a broadcast by the node whose broker carries it
    BARE = "bare"
    BACK = "back"  # a broadcast by the node that dialled: the same two legs, the other way


@dataclass(frozen=True, slots=True)
class BroadcastPlan:
    """How much is sent: so many blocks of each kind, of so many messages, at one rate."""

    blocks: int
    messages: int
    rate_hz: float

    @property
    def lasts_s(self) -> float:
        return self.blocks * len(Kind) * self.messages / self.rate_hz


@dataclass(slots=True)
class Broadcasts:
    """What was measured, by kind."""

    latencies_ns: dict[Kind, list[int]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    sent: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))

    def add(self, kind: Kind, sent: int, latencies_ns: list[int]) -> None:
        self.latencies_ns[kind] += latencies_ns
        self.sent[kind] += sent

    def lost(self, kind: Kind) -> int:
        return self.sent[kind] - len(self.latencies_ns[kind])


async def measure_broadcasts(
    folder: Path, plan: BroadcastPlan, passed: Callable[[float], None]
) -> Broadcasts:
    """Plays the plan between two node processes of a site of their own. `passed` hears of seconds done."""
    found = Broadcasts()
    async with _linked_pair(make_pair(folder), folder) as stations:
        for number, kind in enumerate(Kind):
            await stations.block(kind, number, WARM_UP_BLOCK, plan.rate_hz)
        for number, kind in enumerate(taking_turns(plan.blocks), start=len(Kind)):
            latencies_ns = await stations.block(kind, number, plan.messages, plan.rate_hz)
            found.add(kind, plan.messages, latencies_ns)
            passed(plan.messages / plan.rate_hz)
    return found


def taking_turns(blocks: int) -> Iterator[Kind]:
    """So many blocks of each kind, in mirrored order."""
    for number in range(blocks):
        yield from Kind if number % 2 == 0 else reversed(Kind)


@dataclass(frozen=True, slots=True)
class _Stations:
    """The two processes, linked and with the bare path open."""

    host: Child
    dialler: Child

    async def block(self, kind: Kind, number: int, count: int, rate_hz: float) -> list[int]:
        """Sends one block and returns the latencies of what arrived, or FieldmeshError when nothing did."""
        sender, receiver = self.host, self.dialler
        if kind == Kind.BACK:
            sender, receiver = receiver, sender
        order = "send_bare" if kind == Kind.BARE else "send_casts"
        await sender.ask(order, takes_s=count / rate_hz, block=number, count=count, rate_hz=rate_hz)
        latencies_ns: list[int] = await receiver.ask(
            "latencies", takes_s=ARRIVED_WITHIN_S, block=number, count=count, within_s=ARRIVED_WITHIN_S
        )
        if not latencies_ns:
            raise FieldmeshError(
                f"of {count} {kind} messages none arrived within {ARRIVED_WITHIN_S:.0f} s",
                "run it again; if it stays so, the two nodes or their broker have lost each other",
                Exit.TEMPORARY,
            )
        return latencies_ns


@asynccontextmanager
async def _linked_pair(pair: Pair, folder: Path) -> AsyncIterator[_Stations]:
    host, dialler = (_worker(home, folder) for home in (pair.host, pair.dialler))
    try:
        for child in (host, dialler):
            await child.start()
        await _until_linked(host, dialler, pair)
        path: dict[str, Any] = {"member": str(pair.bare), "owner": pair.owner, "broker": str(pair.broker)}
        await host.ask("open_sender", **path)
        await dialler.ask("open_receiver", **path)
        yield _Stations(host, dialler)
    finally:
        await asyncio.gather(host.stop(), dialler.stop())


def _worker(home: Path, folder: Path) -> Child:
    return Child(home.name, [sys.executable, "-m", worker.__name__, str(home)], folder / f"{home.name}.log")


async def _until_linked(host: Child, dialler: Child, pair: Pair) -> None:
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
