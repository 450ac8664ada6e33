"""How fast one node writes: durable frames with all that belongs to a node, and shared records in the core alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from simulations.bench.homes import make_one
from simulations.bench.stations import working

WARM_UP = 500  # of each that do not count: first uses of code and caches
SLOWEST_PER_S = 500  # of a machine that needs patience, not of one that passes


@dataclass(frozen=True, slots=True)
class WritingPlan:
    """How many frames, and how many shared records."""

    frames: int
    writes: int

    @property
    def lasts_s(self) -> float:
        return self.frames / 4000 + self.writes / 8000


class Writing(NamedTuple):
    """What one node does."""

    frames_per_s: float
    ack_p99_ms: float  # from asking for a frame until it was known to be durable, among many
    write_p50_ms: float
    write_p99_ms: float


async def measure_writing(folder: Path, plan: WritingPlan) -> Writing:
    """One node alone."""
    async with working(folder, make_one(folder)) as (child,):
        await child.ask("write_frames", takes_s=WARM_UP / SLOWEST_PER_S, count=WARM_UP)
        frames = await child.ask("write_frames", takes_s=plan.frames / SLOWEST_PER_S, count=plan.frames)
        await child.ask("time_writes", takes_s=WARM_UP / SLOWEST_PER_S, count=WARM_UP)
        writes = await child.ask("time_writes", takes_s=plan.writes / SLOWEST_PER_S, count=plan.writes)
    return Writing(frames["frames_per_s"], frames["p99_ms"], writes["p50_ms"], writes["p99_ms"])
