"""What the simulator needs of a core, and the maker of the real one."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.events import Effect, Event
from mesh.ids import NodeId
from mesh.now import Now
from simulations.keys import NodeKeys


class PeerSeen(Protocol):
    """How a core describes a peer, as far as the simulator looks."""

    @property
    def node(self) -> NodeId: ...
    @property
    def state(self) -> str: ...
    @property
    def linked(self) -> bool: ...


class Core(Protocol):
    """One door in, effects out: what `node.core.NodeCore` offers."""

    @property
    def wake_at(self) -> float: ...
    def start(self, now: Now) -> list[Effect]: ...
    def handle(self, event: Event, now: Now) -> list[Effect]: ...
    def peers(self, now: Now) -> Sequence[PeerSeen]: ...


@dataclass(frozen=True, slots=True)
class Nativity:
    """What a process starts with."""

    keys: NodeKeys
    chain: tuple[bytes, ...]  # in service: the newest that was installed
    incarnation: int
    boot: int
    started_ms: int
    saved: Mapping[str, Mapping[str, bytes]]
    random: random.Random


MakeCore = Callable[[Nativity], Core]
