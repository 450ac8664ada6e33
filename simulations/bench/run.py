"""Both measurements, one after the other, in a folder that is gone afterwards."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.home import Home
from simulations.bench.broadcast import BroadcastPlan, measure_broadcasts
from simulations.bench.idle import IdlePlan, measure_idle
from simulations.bench.report import Report, make_report


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and for how long."""

    broadcast: BroadcastPlan
    idle: IdlePlan

    @property
    def lasts_s(self) -> float:
        return self.broadcast.lasts_s + self.idle.lasts_s


async def run(plan: Plan, passed: Callable[[str, float], None]) -> Report:
    """The report. `passed` hears what is going on, and of seconds of the plan that are done."""
    with folder_of_homes() as folder:
        passed("two nodes link", 0.0)
        broadcasts = await measure_broadcasts(
            folder, plan.broadcast, lambda s: passed("broadcasts and bare messages take turns", s)
        )
    with folder_of_homes() as folder:
        passed("three nodes form a mesh", 0.0)
        idle = await measure_idle(folder, plan.idle, lambda s: passed("three nodes are left alone", s))
    return make_report(plan.broadcast, broadcasts, plan.idle, idle)


@contextmanager
def folder_of_homes() -> Iterator[Path]:
    """For homes; their sockets' folders go with it, where long paths have put them elsewhere."""
    with tempfile.TemporaryDirectory(prefix="fieldmesh-bench-") as name:
        folder = Path(name)
        try:
            yield folder
        finally:
            for home in (each for each in folder.iterdir() if each.is_dir()):
                shutil.rmtree(Home(home).run_dir(), ignore_errors=True)
