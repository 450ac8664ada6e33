"""S1, S4 and S9: what a node has learnt and stored about the roster stays, and an ended membership stays ended."""

from mesh.events import CastDelivered, Dial, Effect, Event, FrameReceived, News, PeerChanged, Persist
from mesh.ids import NodeId
from simulations.host import Host, Process
from simulations.watch import Watcher
from simulations.world import World

HERE = ("alive", "suspect", "broker-down")


class StoreKeepsRoster(Watcher):
    """S1: members and removals that a node knew and could store are known to it when it starts again."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._known: dict[Host, dict[NodeId, bool]] = {}  # by host: each node, and whether it was removed

    def on_start(self, process: Process) -> None:
        known = self._known.setdefault(process.host, {})
        for node, was_removed in known.items():
            state = process.views.get(node)
            if state is None:
                self._lost(process, node, "its membership")
            elif was_removed and state != "removed":
                self._lost(process, node, "its removal")
        known.update((node, state == "removed") for node, state in process.views.items())

    def on_news(self, process: Process, news: News) -> None:
        if isinstance(news, PeerChanged) and not process.host.disk.full:
            self._known.setdefault(process.host, {})[news.node] = news.state == "removed"

    def _lost(self, process: Process, node: NodeId, what: str) -> None:
        self.world.violate("S1", f"{process.host.name} restarted and lost {what}: {self.world.name_of(node)}")


class EndedStaysEnded(Watcher):
    """S4: removed is for ever; one that left is back only in a new incarnation."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._removed: dict[tuple[Host, NodeId], None] = {}
        self._left: dict[tuple[Host, NodeId], int] = {}  # and the incarnation that had left

    def on_news(self, process: Process, news: News) -> None:
        if not isinstance(news, PeerChanged):
            return
        key = (process.host, news.node)
        if news.state == "removed":
            self._removed[key] = None
        elif news.state == "left":
            self._left[key] = self.world.incarnation_of(news.node)
        elif key in self._removed:
            self._returned(process, news, "removed")
        elif news.state in HERE and self.world.incarnation_of(news.node) <= self._left.get(key, -1):
            self._returned(process, news, "gone for good")

    def _returned(self, process: Process, news: PeerChanged, was: str) -> None:
        self.world.violate(
            "S4", f"{process.host.name} says {news.state} of {news.name}, which it knew as {was}"
        )


class RemovedChangesNothing(Watcher):
    """S9: once a node knows of a removal, no frame of the removed node changes anything in it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._before: dict[NodeId, str] | None = None

    def on_event(self, process: Process, event: Event) -> None:
        is_from_removed = isinstance(event, FrameReceived) and process.views.get(event.sender) == "removed"
        self._before = dict(process.views) if is_from_removed else None

    def on_handled(self, process: Process, event: Event, effects: list[Effect]) -> None:
        if self._before is None or not isinstance(event, FrameReceived):
            return
        before, self._before = self._before, None
        acted = next((one for one in effects if isinstance(one, Persist | CastDelivered | Dial)), None)
        if acted is not None or process.views != before:
            what = type(acted).__name__ if acted is not None else "a change of view"
            self.world.violate("S9", f"a frame of removed {event.sender} made {process.host.name} do: {what}")
