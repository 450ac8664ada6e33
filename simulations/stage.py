"""Brings a scenario's faults onto a world: casts the picks, keeps the times, jittered by the seed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from simulations.chance import chance
from simulations.faults import AnyFault
from simulations.host import Host
from simulations.keys import STEWARD
from simulations.scenario import Scenario
from simulations.world import World

OnStruck = Callable[[AnyFault], None]


class Stage:
    """What a fault works with when it strikes."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.world = world
        self.chance = chance(world.seed, "faults")
        self._numbers = 0
        self._picks = _cast(scenario, world)

    def schedule(self, scenario: Scenario, on_struck: OnStruck) -> None:
        """Every fault at its time; `on_struck` is called right after each."""
        jitters = chance(self.world.seed, "jitter")
        for fault in scenario.faults:
            at_s = scenario.warm_up_s + fault.at_s + jitters.uniform(0.0, scenario.jitter_s)
            self.world.clock.at(at_s, self._strike, fault, on_struck)

    def hosts(self, label: str) -> list[Host]:
        """The hosts that a label stands for in this run."""
        if label == "all":
            return list(self.world.hosts)
        return [self.world.hosts[index] for index in self._picks[label]]

    def after(self, delay_s: float, act: Callable[..., None], *args: Any) -> None:
        self.world.clock.after(delay_s, act, *args)

    def note(self, kind: str, text: str) -> None:
        self.world.trace.note(self.world.clock.now_s, kind, text)

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def partition(self, groups: Sequence[Sequence[Host]]) -> None:
        numbers = [[host.index for host in group] for group in groups]
        self.note("partition", repr(numbers))
        self.world.network.partition(numbers)
        self.world.changed()

    def cut(self, pairs: Iterable[tuple[Host, Host]]) -> None:
        numbers = [(one.index, other.index) for one, other in pairs if one is not other]
        self.note("cut", repr(numbers))
        self.world.network.cut(numbers)
        self.world.changed()

    def mend(self, pairs: Iterable[tuple[Host, Host]]) -> None:
        numbers = [(one.index, other.index) for one, other in pairs if one is not other]
        self.note("mend", repr(numbers))
        self.world.network.mend(numbers)
        self.world.changed()

    def _strike(self, fault: AnyFault, on_struck: OnStruck) -> None:
        fault.strike(self)
        on_struck(fault)


def _cast(scenario: Scenario, world: World) -> dict[str, list[int]]:
    """Disjoint random picks in the order of the file; `rest` is whoever was not picked."""
    free = [host.index for host in world.hosts if not (scenario.spare_steward and host.index == STEWARD)]
    chance(world.seed, "picks").shuffle(free)
    picks: dict[str, list[int]] = {"steward": [STEWARD]}
    for label, size in scenario.picks.items():
        count = len(world.hosts) // 2 if size == "half" else len(free) if size == "others" else size
        picks[label], free = sorted(free[:count]), free[count:]
    picked = {index for label in scenario.picks for index in picks[label]}
    picks["rest"] = [host.index for host in world.hosts if host.index not in picked]
    return picks
