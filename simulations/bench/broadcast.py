"""A broadcast between two nodes, beside a bare message over the same broker, in short blocks that take turns."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from simulations.bench.homes import make_pair
from simulations.bench.stations import Stations, linked_pair
from simulations.bench.turns import Samples, taking_turns

WARM_UP_BLOCK = 20  # messages of each kind that do not count: first uses of code and caches


class Kind(StrEnum):
    """What a block consists of."""

    CAST = "cast"  # a broadcast by the node whose broker carries it
    BARE = "bare"
    BACK = "back"  # a broadcast by the node that dialled: the same two legs, the other way


KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class BroadcastPlan:
    """How much is sent: so many blocks of each kind, of so many messages, at one rate."""

    blocks: int
    messages: int
    rate_hz: float

    @property
    def lasts_s(self) -> float:
        return self.blocks * len(KINDS) * self.messages / self.rate_hz


async def measure_broadcasts(
    folder: Path, plan: BroadcastPlan, passed: Callable[[float], None]
) -> Samples[Kind]:
    """Plays the plan between two node processes of a site of their own. `passed` hears of seconds done."""
    found = Samples(KINDS)
    async with linked_pair(make_pair(folder), folder) as stations:
        for number, kind in enumerate(KINDS):
            await _block(stations, kind, number, WARM_UP_BLOCK, plan.rate_hz)
        for number, kind in enumerate(taking_turns(KINDS, plan.blocks), start=len(KINDS)):
            latencies_ns = await _block(stations, kind, number, plan.messages, plan.rate_hz)
            found.add(kind, plan.messages, latencies_ns)
            passed(plan.messages / plan.rate_hz)
    return found


async def _block(stations: Stations, kind: Kind, number: int, count: int, rate_hz: float) -> list[int]:
    order = "send_bare" if kind == Kind.BARE else "send_casts"
    return await stations.block(order, number, count, rate_hz, back=kind == Kind.BACK)
