"""What a node of three costs while nothing happens, its broker included: the dearest of the three."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from node import control
from node.errors import FieldmeshError
from node.exits import Exit
from simulations.bench.child import Child
from simulations.bench.footprint import memory_of, processor_s_of
from simulations.bench.homes import make_trio

FORMED_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2
STEP_S = 0.5  # how often the progress bar moves, and whether all still run is looked at
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class IdlePlan:
    """How long the nodes are left alone first, and then watched."""

    settle_s: float
    watch_s: float

    @property
    def lasts_s(self) -> float:
        return self.settle_s + self.watch_s


class Cost(NamedTuple):
    """Of one process: memory at the end, and processor time as a percentage of one core."""

    pss_mb: float
    rss_mb: float
    cpu_percent: float


class Idle(NamedTuple):
    """Of one node and its broker."""

    node: Cost
    broker: Cost

    @property
    def total(self) -> Cost:
        return Cost(*(sum(each) for each in zip(self.node, self.broker, strict=True)))


async def measure_idle(folder: Path, plan: IdlePlan, passed: Callable[[float], None]) -> list[Idle]:
    """A figure for each node, after the mesh has formed and settled. `passed` hears of seconds done."""
    homes = make_trio(folder)
    async with _running(homes, folder) as children:
        brokers = await _until_formed(homes, children)
        await _let_pass(plan.settle_s, children, passed)
        watches = [_Watch(pid) for child in children for pid in (child.pid, brokers[child.name])]
        await _let_pass(plan.watch_s, children, passed)
        costs = [watch.cost() for watch in watches]
    return [Idle(node, broker) for node, broker in zip(costs[::2], costs[1::2], strict=True)]


class _Watch:
    """A process from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begun = time.monotonic()
        self._processor_s = processor_s_of(pid)

    def cost(self) -> Cost:
        used_s = processor_s_of(self._pid) - self._processor_s
        memory = memory_of(self._pid)
        percent = 100 * used_s / (time.monotonic() - self._begun)
        return Cost(memory.pss_bytes / MB, memory.rss_bytes / MB, percent)


@asynccontextmanager
async def _running(homes: Sequence[Path], folder: Path) -> AsyncIterator[list[Child]]:
    """The nodes of these homes as a user starts them."""
    command = (sys.executable, "-m", "node.cli.main", "run", "--home")
    children = [Child(home.name, [*command, str(home)], folder / f"{home.name}.log") for home in homes]
    try:
        for child in children:
            await child.start()
        yield children
    finally:
        await asyncio.gather(*(child.stop() for child in children))


async def _until_formed(homes: Sequence[Path], children: Sequence[Child]) -> dict[str, int]:
    """Waits until every node is linked with every other; the brokers' pids, by the node's name."""
    deadline = time.monotonic() + FORMED_WITHIN_S
    while True:
        _require_running(children)
        found = [await asyncio.to_thread(_status, home) for home in homes]
        if all(status.get("linked") == len(homes) - 1 for status in found):
            return {str(status["name"]): int(status["broker"]["pid"]) for status in found}
        if time.monotonic() >= deadline:
            raise FieldmeshError(
                f"three nodes did not form a mesh on loopback within {FORMED_WITHIN_S:.0f} s",
                "run it again on a quieter machine; fieldmesh check on a real node tells what is in the way",
                Exit.TEMPORARY,
            )
        await asyncio.sleep(LOOK_EVERY_S)


def _status(home: Path) -> dict[str, Any]:
    """Empty while the node does not answer yet."""
    try:
        return control.call(home, "status")
    except FieldmeshError:
        return {}


async def _let_pass(time_s: float, children: Sequence[Child], passed: Callable[[float], None]) -> None:
    """Disturbs nobody."""
    end = time.monotonic() + time_s
    while (left_s := end - time.monotonic()) > 0:
        step_s = min(STEP_S, left_s)
        await asyncio.sleep(step_s)
        _require_running(children)
        passed(step_s)


def _require_running(children: Sequence[Child]) -> None:
    for child in children:
        child.require_running()
