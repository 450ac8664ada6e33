"""What a checker or a measurement may look at, and how it says that something is wrong."""

from typing import TYPE_CHECKING

import msgspec

from mesh.events import Effect, Event, News
from mesh.wire import Frame
from simulations.host import Host, Process

if TYPE_CHECKING:
    from simulations.world import World


class Violation(msgspec.Struct, frozen=True):
    """An invariant of the design that did not hold."""

    invariant: str
    seed: int
    at_s: float
    detail: str


class Watcher:
    """Looks on. Subclasses override what they need; the world calls nothing else."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def on_start(self, process: Process) -> None:
        """A process has started and its first effects are carried out."""

    def on_event(self, process: Process, event: Event) -> None:
        """The core is about to be told this (a timer is not announced)."""

    def on_handled(self, process: Process, event: Event, effects: list[Effect]) -> None:
        """The core's answer is carried out, as far as a planned crash let it."""

    def on_copy(self, process: Process, target: Host, frame: Frame) -> None:
        """One copy of a frame leaves for one host."""

    def on_news(self, process: Process, news: News) -> None:
        """A core reported something."""

    def on_change(self) -> None:
        """A path, a process or a broker went up or down."""

    def on_end(self) -> None:
        """The run is over; every process still stands."""
