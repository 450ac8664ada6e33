"""S8: everything that grows is bounded, and a control reply never causes a reply."""

from collections import deque
from types import ModuleType
from typing import Any

from mesh.events import Effect, Event, FrameReceived, Send
from mesh.wire import (
    Bye,
    Frame,
    Inquiry,
    Message,
    Probe,
    ProbeReply,
    Prune,
    Refuse,
    Renew,
    Renewed,
    RenewRefused,
    Report,
    RosterEntries,
    RosterWanted,
    Rows,
    RowsWanted,
    Welcome,
)
from simulations.host import Host, Process
from simulations.watch import Watcher
from simulations.world import World

REPLIES = (ProbeReply, Refuse, Rows, RosterEntries, Renewed, RenewRefused, Prune, Report, Bye)
SPOKEN = (*REPLIES, Welcome, Probe, RowsWanted, RosterWanted, Renew, Inquiry)
FRAMES_PER_LINK_S_MAX = 40.0  # each way, over any ten seconds: probing ten times a second is the loudest
WINDOW_S = 10.0
ITEMS_MAX = 2000  # what a core may hold whatever the site's size ...
ITEMS_PER_NODE_MAX = 100  # ... and for each node of the site
DEPTH_MAX = 8


class NoReplyToReply(Watcher):
    """A frame that holds nothing but replies makes nobody answer its sender."""

    def on_handled(self, process: Process, event: Event, effects: list[Effect]) -> None:
        if not isinstance(event, FrameReceived):
            return
        for effect in effects:
            if isinstance(effect, Send) and effect.peer == event.sender:
                self._check(process, event, effect)

    def _check(self, process: Process, event: FrameReceived, answer: Send) -> None:
        asked = self.world.audience.frame_of(event.data).messages
        if not asked or not all(isinstance(message, REPLIES) for message in asked):
            return
        spoken = self.world.audience.frame_of(answer.data).messages
        if any(isinstance(message, SPOKEN) for message in spoken) and not _is_turned_away(asked, spoken):
            names = [type(message).__name__ for message in (*asked, *spoken)]
            self.world.violate("S8", f"{process.host.name} answers a reply: {' -> '.join(names)}")


def _is_turned_away(asked: tuple[Message, ...], spoken: tuple[Message, ...]) -> bool:
    """A frame on a link that is none may be refused; a refusal may not."""
    refused = all(isinstance(message, Refuse) for message in spoken)
    return refused and not any(isinstance(message, Refuse) for message in asked)


class Bounded(Watcher):
    """Nobody sends without end, and no core holds more than its site's size warrants."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._frames: dict[tuple[Process, Host], int] = {}
        self._window_s = 0.0

    def on_copy(self, process: Process, target: Host, _: Frame) -> None:
        if self.world.clock.now_s >= self._window_s + WINDOW_S:
            self._window_s = self.world.clock.now_s
            self._frames.clear()
        key = (process, target)
        count = self._frames[key] = self._frames.get(key, 0) + 1
        if count == int(WINDOW_S * FRAMES_PER_LINK_S_MAX) + 1:
            text = f"{process.host.name} sent {target.name} over {count - 1} frames within {WINDOW_S} s"
            self.world.violate("S8", text)

    def on_end(self) -> None:
        most = ITEMS_MAX + ITEMS_PER_NODE_MAX * len(self.world.hosts)
        for host in self.world.hosts:
            held = items_held(host.process.core) if host.process is not None else 0
            if held > most:
                self.world.violate("S8", f"the core of {host.name} holds {held} items, more than {most}")


def items_held(core: object) -> int:
    """How many items are in all the growing containers that an object holds, its parts' included."""
    seen: dict[int, None] = {}
    return _count(core, seen, DEPTH_MAX)


def _count(thing: Any, seen: dict[int, None], depth: int) -> int:
    if (
        depth < 0
        or id(thing) in seen
        or isinstance(thing, str | bytes | int | float | ModuleType | type | None)
    ):
        return 0
    seen[id(thing)] = None
    if isinstance(thing, dict):
        return len(thing) + sum(_count(value, seen, depth - 1) for value in thing.values())
    if isinstance(thing, list | tuple | set | frozenset | deque):
        grows = not isinstance(thing, tuple | frozenset)
        return len(thing) * grows + sum(_count(value, seen, depth - 1) for value in thing)
    if not type(thing).__module__.startswith(("mesh.", "node.", "tests.")):
        return 0
    return sum(_count(value, seen, depth - 1) for value in _attributes(thing))


def _attributes(thing: object) -> list[Any]:
    slots = [name for base in type(thing).__mro__ for name in getattr(base, "__slots__", ())]
    values = [getattr(thing, name, None) for name in slots]
    return [*values, *getattr(thing, "__dict__", {}).values()]
