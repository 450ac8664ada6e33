"""Several cores wired together in memory, under one virtual clock: the smallest network that can lie."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from mesh.events import (
    BrokerDown,
    BrokerUp,
    CertificateInstalled,
    Counted,
    Dial,
    DialFailed,
    Effect,
    EndpointFound,
    Event,
    FrameReceived,
    Hangup,
    InstallCertificate,
    LinkClosed,
    LinkOpened,
    Persist,
    Send,
    SendAll,
    Source,
    Woke,
)
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import CoreConfig, Keys
from node.core import NodeCore
from tests.mesh.cores import at, born, core_of, endpoint_of
from tests.mesh.site import Site

WIRE_S = 0.001
DIAL_S = 0.002
BLACKHOLE_S = 1.0  # how long a dial into a cut takes to fail

T = TypeVar("T")


@dataclass
class Process:
    """One running node: its core and everything it has asked for."""

    place: int
    keys: Keys
    core: NodeCore
    alive: bool = True
    broker: bool = True
    asleep_until: float = 0.0  # its loop stalls: nothing is handled before
    wakes_at: float = float("inf")
    clock_ms: int = 0  # how far its clock is ahead
    sessions: dict[int, int] = field(default_factory=dict)  # dialled link -> the place of the broker
    effects: list[tuple[float, Effect]] = field(default_factory=list)
    store: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def node(self) -> NodeId:
        return self.keys.identity.node


class Plant:
    """Processes at places 0, 1, ...; each finds the others' endpoints a moment after it boots."""

    def __init__(
        self, site: Site, count: int | None = None, seed: int = 1, config: CoreConfig | None = None
    ) -> None:
        self.site = site
        self.now = 0.0
        self.config = config
        self.processes: list[Process] = []
        self.loss = 0.0
        self.is_cut: Callable[[int, int], bool] = lambda _, __: (
            False
        )  # whether frames from here to there vanish
        self.is_lost: Callable[[bytes], bool] = lambda _: False
        self.on_event: Callable[[Process, Event], None] = lambda _, __: None
        self.on_sent: Callable[[bytes, bool], None] = lambda _, __: None  # the data, and whether at the door
        self._random = Random(seed)
        self._queue: list[tuple[float, int, Process, Event]] = []
        self._count = itertools.count()
        for keys in site.keys[:count]:
            self.boot(keys)

    # -- life and death

    def boot(
        self,
        keys: Keys,
        incarnation: int = 1,
        is_found: bool = True,
        place: int | None = None,
        clock_ms: int = 0,
    ) -> Process:
        """Start a process with these keys, in a place of its own or in that of a dead one, with its store."""
        place = len(self.processes) if place is None else place
        store = self.processes[place].store if place < len(self.processes) else self.site.saved()
        boot = 1000 + next(self._count)
        now = at(self.now)
        birth = born(incarnation, boot, now.wall_ms + clock_ms)
        core = core_of(keys, store, birth, self.config, seed=boot)
        process = Process(place, keys, core, store=store, clock_ms=clock_ms)
        self.processes[place : place + 1] = [process]
        self._obey(process, core.start(self._now_of(process)))
        self.tell(process, BrokerUp((endpoint_of(place),)))
        for other in self.processes:
            if is_found and other.node != process.node:
                self._soon(0.2, process, EndpointFound(endpoint_of(other.place), other.node, Source.MDNS))
                self._soon(0.2, other, EndpointFound(endpoint_of(place), process.node, Source.MDNS))
        return process

    def crash(self, place: int) -> None:
        """The process and its broker are gone; sessions with it break at once."""
        process = self.processes[place]
        process.alive = False
        process.sessions.clear()
        self._break_sessions_with(place, "reset")

    def kill_broker(self, place: int) -> None:
        self.processes[place].broker = False
        self._break_sessions_with(place, "reset")
        self.tell(self.processes[place], BrokerDown("killed"))

    def _break_sessions_with(self, place: int, reason: str) -> None:
        for other in self.processes:
            for link in [link for link, there in other.sessions.items() if there == place]:
                del other.sessions[link]
                self._soon(WIRE_S, other, LinkClosed(link, reason))

    # -- time

    def run(self, seconds: float) -> None:
        self._run_to(self.now + seconds, lambda: False)

    def run_until(self, is_reached: Callable[[], bool], within_s: float) -> float:
        """Run until something holds; how long it took. Fails when it does not hold in time."""
        began = self.now
        self._run_to(self.now + within_s, is_reached)
        assert is_reached(), f"not reached within {within_s} s"
        return self.now - began

    def form(self) -> "Plant":
        """Run until everybody has a link with everybody."""
        self.run_until(self.is_full, within_s=5)
        self.run(1)
        return self

    def tell(self, process: Process, event: Event) -> list[Effect]:
        """Hand an event to a process now; what it asked for."""
        self.on_event(process, event)
        effects = process.core.handle(event, self._now_of(process))
        self._obey(process, effects)
        return effects

    # -- looking

    def is_full(self) -> bool:
        living = [each for each in self.processes if each.alive]
        return all(
            each.core.state.links.is_linked(other.node) and each.core.state.membership.is_here(other.node)
            for each in living
            for other in living
            if other is not each
        )

    def state_of(self, observer: int, peer: int) -> str:
        standing = self.processes[observer].core.state.membership.standing(self.processes[peer].node)
        return standing.state.value if standing else "unknown"

    def news(self, place: int, kind: type[T], since: float = 0.0) -> list[T]:
        return [
            each for when, each in self.processes[place].effects if when >= since and isinstance(each, kind)
        ]

    def counters(self, place: int) -> Counter[str]:
        return Counter(each.name for each in self.news(place, Counted))

    # -- the wires

    def _run_to(self, until: float, is_reached: Callable[[], bool]) -> None:
        while self._queue and self._queue[0][0] <= until and not is_reached():
            when, _, process, event = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            if self.now < process.asleep_until:
                self._push(process.asleep_until, process, event)
            elif process.alive and not (isinstance(event, Woke) and process.wakes_at != when):
                self.tell(process, event)
        if not is_reached():
            self.now = until

    def _obey(self, process: Process, effects: Sequence[Effect]) -> None:
        for effect in effects:
            process.effects.append((self.now, effect))
            self._carry_out(process, effect)
        if process.core.wake_at < process.wakes_at or process.wakes_at <= self.now:
            process.wakes_at = max(
                process.core.wake_at, self.now + 1e-6
            )  # a core that spins must not stop time
            if process.wakes_at < float("inf"):
                self._push(process.wakes_at, process, Woke())

    def _carry_out(self, process: Process, effect: Effect) -> None:
        match effect:
            case Dial():
                self._dial(process, effect)
            case Hangup(link):
                process.sessions.pop(link, None)
            case Send(peer, link, _, data, door):
                self._carry(process, peer, link, data, door)
            case SendAll(links, _, data):
                for peer, link in links:
                    self._carry(process, peer, link, data, door=False)
            case Persist(writes):
                for write in writes:
                    table = process.store.setdefault(write.table, {})
                    table.pop(write.key, None)
                    if write.value is not None:
                        table[write.key] = write.value
            case InstallCertificate(chain):
                self._soon(0.01, process, CertificateInstalled(chain))

    def _dial(self, process: Process, dial: Dial) -> None:
        host = self.processes[int(dial.endpoint.host.removeprefix("host-"))]
        if self.is_cut(process.place, host.place) or self.is_cut(host.place, process.place):
            self._soon(BLACKHOLE_S, process, DialFailed(dial.link, "timeout"))
        elif not (host.alive and host.broker):
            self._soon(DIAL_S, process, DialFailed(dial.link, "refused"))
        else:
            self._take_over(process, host)
            process.sessions[dial.link] = host.place
            self._soon(DIAL_S, process, LinkOpened(dial.link, host.node))

    def _take_over(self, process: Process, host: Process) -> None:
        """A broker keeps one session per certificate: the newer ends the older."""
        for other in self.processes:
            if other is not process and other.node == process.node:
                for link in [link for link, place in other.sessions.items() if place == host.place]:
                    del other.sessions[link]
                    self._soon(WIRE_S, other, LinkClosed(link, "session taken over"))

    def _carry(self, process: Process, peer: NodeId, link: int, data: bytes, door: bool) -> None:
        self.on_sent(data, door)
        for other, over in self._ends(process, peer, link):
            if (
                self.is_cut(process.place, other.place)
                or self._random.random() < self.loss
                or self.is_lost(data)
            ):
                continue
            self._soon(WIRE_S, other, FrameReceived(over, process.node, door, data))

    def _ends(self, process: Process, peer: NodeId, link: int) -> list[tuple[Process, int]]:
        """Who reads what is sent there: the broker's owner, or whoever has a session on our broker as that peer."""
        if link:
            place = process.sessions.get(link)
            return [] if place is None else [(self.processes[place], 0)]
        readers = [each for each in self.processes if each.node == peer]
        return [
            (each, max(link for link, place in each.sessions.items() if place == process.place))
            for each in readers
            if process.place in each.sessions.values()
        ]

    def _now_of(self, process: Process) -> Now:
        right = at(self.now)
        return Now(right.mono, right.wall_ms + process.clock_ms)

    def _soon(self, delay_s: float, process: Process, event: Event) -> None:
        self._push(self.now + delay_s, process, event)

    def _push(self, when: float, process: Process, event: Event) -> None:
        heapq.heappush(self._queue, (when, next(self._count), process, event))
