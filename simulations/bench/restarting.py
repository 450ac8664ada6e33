"""A node that holds many records starts again: how long until it answers, and shows them."""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from node import control
from node.errors import FieldmeshError
from node.exits import Exit
from simulations.bench.child import Child
from simulations.bench.homes import make_one
from simulations.bench.stations import working
from simulations.bench.writes import plant

READY_WITHIN_S = 60.0  # late is measured; later than this something is wrong
LOOK_EVERY_S = 0.01
SLOWEST_PER_S = 500  # records a second, when they are written
AREA = "old"


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """How many records the node holds."""

    records: int

    @property
    def lasts_s(self) -> float:
        return 5.0 + self.records / 3000


async def measure_restart(folder: Path, plan: RestartPlan) -> float:
    """Seconds from the start of the process, as a user starts it, until all records are in its view."""
    home = make_one(folder)
    async with working(folder, home) as (child,):
        await child.ask("fill", takes_s=plan.records / SLOWEST_PER_S, area=AREA, count=plan.records)
    command = [sys.executable, "-m", "node.cli.main", "run", "--home", str(home)]
    node = Child("restarted", command, folder / "restarted.log")
    begun = time.monotonic()
    try:
        await node.start()
        await _until_ready(node, home, plan.records)
        return time.monotonic() - begun
    finally:
        await node.stop()


async def _until_ready(node: Child, home: Path, records: int) -> None:
    """Waits until the node says how much it holds, and shows the last that was written."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        node.require_running()
        if await asyncio.to_thread(_shows, home, records):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise FieldmeshError(
        f"a node with {records:,} records was not ready within {READY_WITHIN_S:.0f} s",
        "run it again on a quieter machine",
        Exit.TEMPORARY,
    )


def _shows(home: Path, records: int) -> bool:
    *_, (kind, item, _, _) = plant(AREA, records)
    try:
        documents = control.call(home, "world_documents")["documents"]
        control.call(home, "world_get", kind=kind, item=item)
    except FieldmeshError:
        return False
    return sum(int(each["records"]) for each in documents) >= records
