"""A shared record from one node to another, beside a bare message over the same broker, in blocks that take turns."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from simulations.bench.homes import make_pair
from simulations.bench.stations import linked_pair
from simulations.bench.turns import Samples, taking_turns

WARM_UP_BLOCK = 20  # messages of each kind that do not count: first uses of code and caches


class Kind(StrEnum):
    """What a block consists of."""

    WRITE = "write"  # an alarm's condition, written on the node whose broker carries it
    BARE = "bare"


KINDS = tuple(Kind)
ORDERS = {Kind.WRITE: "send_writes", Kind.BARE: "send_bare"}


@dataclass(frozen=True, slots=True)
class PropagationPlan:
    """How much is sent: so many blocks of each kind, of so many messages, at one rate."""

    blocks: int
    messages: int
    rate_hz: float

    @property
    def lasts_s(self) -> float:
        return self.blocks * len(KINDS) * self.messages / self.rate_hz


async def measure_propagation(
    folder: Path, plan: PropagationPlan, passed: Callable[[float], None]
) -> Samples[Kind]:
    """Plays the plan between two node processes of a site of their own. `passed` hears of seconds done."""
    found = Samples(KINDS)
    async with linked_pair(make_pair(folder), folder) as stations:
        for number, kind in enumerate(KINDS):
            await stations.block(ORDERS[kind], number, WARM_UP_BLOCK, plan.rate_hz)
        for number, kind in enumerate(taking_turns(KINDS, plan.blocks), start=len(KINDS)):
            found.add(
                kind, plan.messages, await stations.block(ORDERS[kind], number, plan.messages, plan.rate_hz)
            )
            passed(plan.messages / plan.rate_hz)
    return found
