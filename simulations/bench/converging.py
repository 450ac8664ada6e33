"""Two replicas that grew apart become equal: how long that takes from the moment when one is told of the other."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import FieldmeshError
from node.exits import Exit
from simulations.bench.child import Child
from simulations.bench.homes import make_pair
from simulations.bench.latency import NS_PER_S
from simulations.bench.stations import working

EQUAL_WITHIN_S = 60.0  # late is measured; later than this something is wrong
LOOK_EVERY_S = 0.02
SLOWEST_PER_S = 500  # records a second, when they are written


@dataclass(frozen=True, slots=True)
class ConvergingPlan:
    """How many records each of the two holds that the other lacks."""

    records: int

    @property
    def lasts_s(self) -> float:
        return 3.0 + self.records / 2000


async def measure_converging(folder: Path, plan: ConvergingPlan) -> float:
    """Seconds until both hold the same records on their disks: dial, greeting and all."""
    pair = make_pair(folder, apart=True)
    async with working(folder, pair.host, pair.dialler) as children:
        takes_s = plan.records / SLOWEST_PER_S
        for area, child in zip(("north", "south"), children, strict=True):
            await child.ask("fill", takes_s=takes_s, area=area, count=plan.records)
        met_ns: int = await children[1].ask("meet", endpoint=str(pair.broker))
        return (await _equal(children, 2 * plan.records) - met_ns) / NS_PER_S


async def _equal(children: list[Child], records: int) -> int:
    """The nanosecond at which both were seen to hold at least so many records, the same ones."""
    deadline = time.monotonic() + EQUAL_WITHIN_S
    while time.monotonic() < deadline:
        contents = [await child.ask("content") for child in children]
        if _is_equal(contents, records):
            return max(int(each["at_ns"]) for each in contents)
        await asyncio.sleep(LOOK_EVERY_S)
    raise FieldmeshError(
        f"the two replicas were not equal within {EQUAL_WITHIN_S:.0f} s",
        "run it again on a quieter machine; fieldmesh world verify on a real node tells what differs",
        Exit.TEMPORARY,
    )


def _is_equal(contents: list[dict[str, Any]], records: int) -> bool:
    first, second = contents
    is_there = all(each["records"] >= records and each["is_durable"] for each in contents)
    return is_there and bool(first["documents"] == second["documents"])
