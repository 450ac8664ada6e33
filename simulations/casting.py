"""S7, L4 and L5: casts are accepted at once, do not loop, and arrive exactly once."""

from dataclasses import dataclass, field

from mesh.events import CastDelivered, CastRequested, Counted, Effect, Event, News
from mesh.wire import Cast, Frame
from simulations.host import Host, Process
from simulations.watch import Watcher
from simulations.world import World

COPIES_PER_LINK_MAX = 3  # one each way, and one repair
HOPS_MAX = 16

Key = tuple[str, int, int]


@dataclass(eq=False, slots=True)
class _Requested:
    """A cast that a driver asked for."""

    origin: Process
    at_s: float
    content: tuple[str, bytes]
    running: list[Process]  # who was there to hear it
    delivered: dict[Process, int] = field(default_factory=dict)


class CastChecker(Watcher):
    """L4: a local request is never refused. L5: one delivery to each. S7: copies bounded by links, hops by a limit."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._requested: dict[tuple[str, bytes], _Requested] = {}
        self._copies: dict[Key, int] = {}
        self._links: dict[tuple[Host, Host], None] = {}
        self._is_lossy = False

    def on_event(self, process: Process, event: Event) -> None:
        if isinstance(event, CastRequested):
            content = (event.topic, event.payload)
            running = (host.process for host in self.world.hosts)
            listeners = [one for one in running if one is not None and one is not process]
            self._requested[content] = _Requested(process, self.world.clock.now_s, content, listeners)

    def on_handled(self, process: Process, event: Event, effects: list[Effect]) -> None:
        if isinstance(event, CastRequested) and not self._may_refuse(process):
            for effect in effects:
                if isinstance(effect, Counted) and effect.name.startswith("cast-"):
                    self.world.violate("L4", f"{process.host.name} refused a local cast: {effect.name}")

    def on_news(self, process: Process, news: News) -> None:
        if not isinstance(news, CastDelivered):
            return
        requested = self._requested.get((news.topic, news.payload))
        if requested is None or requested.origin.host.node != news.origin:
            self.world.violate("S3", f"{process.host.name} delivers a cast that {news.origin} never made")
            return
        times = requested.delivered[process] = requested.delivered.get(process, 0) + 1
        if times > 1:
            self.world.violate(
                "L5", f"{process.host.name} delivers cast {news.sequence} of {news.origin} again"
            )

    def on_copy(self, process: Process, target: Host, frame: Frame) -> None:
        self._links[(process.host, target)] = None
        for message in frame.messages:
            if isinstance(message, Cast):
                key = (message.origin, message.incarnation, message.sequence)
                self._copies[key] = self._copies.get(key, 0) + 1
                if message.hops > HOPS_MAX:
                    self.world.violate("S7", f"a cast of {message.origin} went {message.hops} hops")

    def on_change(self) -> None:
        self._is_lossy = self._is_lossy or self.world.network.shape.loss > 0

    def on_end(self) -> None:
        for requested in self._requested.values():
            self._check_delivered(requested)
        self._is_lossy = self._is_lossy or self.world.network.shape.loss > 0
        most = len(self._links) * COPIES_PER_LINK_MAX
        for key, copies in self._copies.items():
            if copies > most and not self._is_lossy:
                self.world.violate("S7", f"{copies} copies of cast {key} over {len(self._links)} links")

    def _check_delivered(self, requested: _Requested) -> None:
        origin = requested.origin
        for process in requested.running:
            owed = process.alive and origin.alive and self.world.truth.together(origin.host, process.host)
            if owed and process not in requested.delivered:
                where = f"the cast of {origin.host.name} at {requested.at_s:.3f}"
                self.world.violate("L5", f"{process.host.name} never got {where}")

    def _may_refuse(self, process: Process) -> bool:
        return process.host.rival or self.world.truth.has_ended(process.host.node)
