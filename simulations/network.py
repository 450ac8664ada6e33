"""Packets between hosts: how long they take, and what becomes of those that do not arrive."""

import random
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from simulations.clock import Act, Clock

Rate = Annotated[float, Meta(ge=0.0, le=1.0)]
Millis = Annotated[float, Meta(ge=0.0, le=60_000.0)]

HELD_MAX = 200_000  # packets kept by `hold`; a scenario that keeps more forgot its release


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every path does to packets. The defaults are a quiet factory LAN."""

    latency_ms: Millis = 0.4
    jitter_ms: Millis = 0.6
    loss: Rate = 0.0
    duplicate: Rate = 0.0
    reorder: Rate = 0.0
    reorder_ms: Millis = 20.0


class Lane:
    """One direction of one session: packets keep their order unless the network reorders one."""

    __slots__ = ("last_s",)

    def __init__(self) -> None:
        self.last_s = 0.0


class Network:
    """Every ordered pair of hosts has a path. A path is up unless groups differ or it is cut."""

    def __init__(self, clock: Clock, shape: Shape, chance: random.Random, hosts: int) -> None:
        self.shape = shape
        self.carried = 0
        self.lost = 0
        self._clock = clock
        self._chance = chance
        self._group = [0] * hosts
        self._cuts: dict[tuple[int, int], None] = {}
        self._holding = False
        self._held: list[tuple[int, int, Act, tuple[Any, ...]]] = []

    def add_host(self) -> None:
        self._group.append(0)

    def up(self, source: int, target: int) -> bool:
        """Whether a packet can pass from one host to another at this moment."""
        return self._group[source] == self._group[target] and (source, target) not in self._cuts

    def both_up(self, one: int, other: int) -> bool:
        """Whether a session can live between two hosts: packets pass both ways, and now."""
        return not self._holding and self.up(one, other) and self.up(other, one)

    def carry(self, source: int, target: int, lane: Lane | None, act: Act, *args: Any) -> None:
        """Run the act when the packet arrives: never, once, or twice."""
        self.carried += 1
        shape = self.shape
        if not self.up(source, target) or (shape.loss and self._chance.random() < shape.loss):
            self.lost += 1
            return
        if self._holding:
            self._hold(source, target, act, args)
            return
        self._launch(source, target, lane, act, args)
        if shape.duplicate and self._chance.random() < shape.duplicate:
            self._launch(source, target, None, act, args)

    def partition(self, groups: Sequence[Sequence[int]]) -> None:
        """Hosts hear only their own group; those named nowhere form a group together."""
        self._group = [0] * len(self._group)
        for number, group in enumerate(groups, start=1):
            for host in group:
                self._group[host] = number

    def cut(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Paths go down, each in the one direction named."""
        self._cuts.update(dict.fromkeys(pairs))

    def mend(self, pairs: Iterable[tuple[int, int]]) -> None:
        for pair in pairs:
            self._cuts.pop(pair, None)

    def heal(self) -> None:
        """Every path is up again."""
        self._group = [0] * len(self._group)
        self._cuts.clear()

    def hold(self) -> None:
        """Packets are kept from now on: late, not lost."""
        self._holding = True

    def release(self) -> None:
        """What was held goes on its way, in its old order."""
        self._holding = False
        held, self._held = self._held, []
        lanes: dict[tuple[int, int], Lane] = {}
        for source, target, act, args in held:
            self._launch(source, target, lanes.setdefault((source, target), Lane()), act, args)

    def _hold(self, source: int, target: int, act: Act, args: tuple[Any, ...]) -> None:
        if len(self._held) < HELD_MAX:
            self._held.append((source, target, act, args))
        else:
            self.lost += 1

    def _launch(self, source: int, target: int, lane: Lane | None, act: Act, args: tuple[Any, ...]) -> None:
        shape, chance = self.shape, self._chance
        at_s = self._clock.now_s + (shape.latency_ms + shape.jitter_ms * chance.random()) / 1000
        if shape.reorder and chance.random() < shape.reorder:
            at_s += shape.reorder_ms * chance.random() / 1000
        elif lane is not None:
            at_s = lane.last_s = max(at_s, lane.last_s)
        self._clock.at(at_s, self._arrive, source, target, act, args)

    def _arrive(self, source: int, target: int, act: Act, args: tuple[Any, ...]) -> None:
        if self.up(source, target):
            act(*args)
        else:
            self.lost += 1
