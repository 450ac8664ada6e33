"""What a world is made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TextIO

from simulations.cores import MakeCore
from simulations.disk import Tables
from simulations.keys import NodeKeys
from simulations.network import Shape

FoundingTables = Callable[[Sequence[NodeKeys]], Tables]
Mdns = Literal["on", "start-only", "off"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One seed of one scenario, before anything has happened."""

    seed: int
    nodes: int
    make_core: MakeCore
    founding_tables: FoundingTables  # what the store of a node holds that knows these
    shape: Shape = field(default_factory=Shape)
    roster: Literal["everybody", "steward-only"] = "everybody"
    mdns: Mdns = "on"
    boot_spread_s: float = 1.0
    log: TextIO | None = None
    persists_last: bool = False  # an ablation: what should be durable first is made so last
