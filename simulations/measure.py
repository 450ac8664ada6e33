"""How long the nodes take to notice and to heal, and what the fabric costs."""

from dataclasses import dataclass
from itertools import product

import msgspec

from mesh.events import Isolated, News, PeerChanged, Reunited
from mesh.ids import NodeId
from simulations.host import Host, Process
from simulations.scenario import Bounds
from simulations.truth import ALIVE
from simulations.watch import Watcher
from simulations.world import World

HEAL_POLL_S = 0.01  # the resolution of heal times; links are looked at, not told
NAMED_MAX = 5  # pairs named in a violation
LOSS_MAX = 0.2  # L3 is a promise up to here
GRACE_S = 3.0  # a verdict counts as false when its two nodes could reach each other for this long

Pair = tuple[Process, NodeId]


class Timed(msgspec.Struct, frozen=True):
    """How long something took, and what came last."""

    seconds: float
    last: str


class Times(msgspec.Struct):
    """The durations of one run."""

    formed: list[Timed] = []
    detect: list[Timed] = []
    heal: list[Timed] = []
    isolated: list[Timed] = []
    equal: list[Timed] = []


@dataclass(eq=False, slots=True)
class _Detection:
    """Until every node that should notice says what it should of every node that it should."""

    begun_s: float
    expected: dict[Pair, frozenset[str]]
    waiting: dict[Pair, None]


class Detections(Watcher):
    """Measures from a fault to the moment when everybody knows."""

    def __init__(self, world: World, bounds: Bounds, times: Times) -> None:
        super().__init__(world)
        self._bounds = bounds
        self._times = times
        self._open: list[_Detection] = []
        self._isolated: dict[Process, None] = {}  # those that have said so
        self._lonely: dict[Process, float] = {}  # those that should, and since when

    def begin(self) -> None:
        """A fault has struck just now."""
        expected = self._expected()
        waiting = {pair: None for pair, states in expected.items() if _view(pair) not in states}
        detection = _Detection(self.world.clock.now_s, expected, waiting)
        self._open.append(detection)
        self._close_if_done(detection, "known already")
        self.world.clock.after(self._bounds.detect_s, self._overdue, detection)
        for process in self._left_alone():
            self._lonely[process] = self.world.clock.now_s
            self.world.clock.after(self._bounds.isolated_s, self._isolation_overdue, process)

    def on_news(self, process: Process, news: News) -> None:
        if isinstance(news, Isolated):
            self._isolated[process] = None
            begun_s = self._lonely.pop(process, None)
            if begun_s is not None:
                self._times.isolated.append(Timed(self.world.clock.now_s - begun_s, process.host.name))
        elif isinstance(news, Reunited):
            self._isolated.pop(process, None)
        elif isinstance(news, PeerChanged):
            for detection in list(self._open):
                self._note(detection, process, news)

    def _note(self, detection: _Detection, process: Process, news: PeerChanged) -> None:
        pair = (process, news.node)
        states = detection.expected.get(pair)
        if states is None:
            return
        if news.state in states:
            detection.waiting.pop(pair, None)
            self._close_if_done(
                detection, f"{process.host.name} said {news.state} of {news.name}: {news.why}"
            )
        else:
            detection.waiting[pair] = None

    def _close_if_done(self, detection: _Detection, last: str) -> None:
        if not detection.waiting and detection in self._open:
            self._times.detect.append(Timed(self.world.clock.now_s - detection.begun_s, last))
            self._open.remove(detection)

    def _overdue(self, detection: _Detection) -> None:
        if detection in self._open:
            self._open.remove(detection)
            names = _named(self.world, list(detection.waiting))
            self.world.violate("L1", f"after {self._bounds.detect_s} s not known by all: {names}")

    def _isolation_overdue(self, process: Process) -> None:
        if self._lonely.pop(process, None) is not None and process.alive:
            self.world.violate("L1", f"{process.host.name} hears nobody and has not said so")

    def _expected(self) -> dict[Pair, frozenset[str]]:
        """Every pair whose right view is anything but alive."""
        truth, expected = self.world.truth, {}
        for observer, subject in product(truth.members(), self.world.hosts):
            states = truth.expected(observer, subject)
            if states is not None and states != ALIVE and observer.process is not None:
                expected[(observer.process, subject.node)] = states
        return expected

    def _left_alone(self) -> list[Process]:
        members = self.world.truth.members()
        return [
            host.process
            for host in members
            if host.process is not None
            and host.process not in self._isolated
            and not any(other is not host and self.world.truth.together(host, other) for other in members)
        ]


@dataclass(eq=False, slots=True)
class _Healing:
    what: str
    begun_s: float
    within_s: float
    into: list[Timed]
    pairs: list[tuple[Host, Host]]
    missing: str = "nothing"  # at the last look


class Healings(Watcher):
    """Measures from a repair to the moment when everybody sees everybody, and all pairs are linked."""

    def __init__(self, world: World, bounds: Bounds, times: Times, full_mesh_max: int) -> None:
        super().__init__(world)
        self._bounds = bounds
        self._times = times
        self._full_mesh_max = full_mesh_max

    def begin(self) -> None:
        """Something was repaired just now."""
        self._begin("healed", self._bounds.heal_s, self._times.heal)

    def begin_forming(self) -> None:
        """The last node has just been told to start."""
        self._begin("formed", self._bounds.formed_s, self._times.formed)

    def _begin(self, what: str, within_s: float, into: list[Timed]) -> None:
        self._poll(_Healing(what, self.world.clock.now_s, within_s, into, self.world.truth.will_meet()))

    def _poll(self, healing: "_Healing") -> None:
        taken_s = self.world.clock.now_s - healing.begun_s
        missing = self._first_missing(healing.pairs)
        if missing is None:
            healing.into.append(Timed(taken_s, healing.missing))
        elif taken_s > healing.within_s:
            self.world.violate("L1", f"not {healing.what} after {healing.within_s} s: {missing}")
        else:
            healing.missing = missing
            self.world.clock.after(HEAL_POLL_S, self._poll, healing)

    def _first_missing(self, pairs: list[tuple[Host, Host]]) -> str | None:
        for observer, subject in pairs:
            if observer.process is not None:
                state = observer.process.views.get(subject.node, "unknown")
                if state not in ("alive", "broker-down"):
                    return f"{observer.name} says {state} of {subject.name}"
        if len(self.world.truth.members()) > self._full_mesh_max:
            return None
        linked = {host: _linked(self.world, host) for host in self.world.truth.members()}
        for one, other in pairs:
            if self.world.truth.will_link(one, other) and other.node not in linked.get(
                one, {other.node: None}
            ):
                return f"{one.name} has no link with {other.name}"
        return None


class Falsehoods(Watcher):
    """Counts healthy nodes that are called unreachable by healthy nodes which could reach them."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.count = 0

    def on_news(self, process: Process, news: News) -> None:
        is_promised = self.world.network.shape.loss <= LOSS_MAX
        if not isinstance(news, PeerChanged) or news.state != "unreachable" or not is_promised:
            return
        for subject in self.world.hosts:
            if subject.node == news.node and self.world.truth.together(process.host, subject, GRACE_S):
                self.count += 1
                self.world.violate(
                    "L3", f"{process.host.name} calls healthy {subject.name} unreachable: {news.why}"
                )


class Traffic(Watcher):
    """Encoded bytes that leave each node, every copy counted, over a window."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._begun_s = 0.0
        self._begun: dict[Process, int] = {}

    def begin(self) -> None:
        """The settled window starts now."""
        self._begun_s = self.world.clock.now_s
        processes = [host.process for host in self.world.hosts if host.process is not None]
        self._begun = {process: process.bytes_sent for process in processes}

    def bytes_per_node_s(self) -> float:
        """The mean over the nodes that ran through the whole window."""
        lasted_s = self.world.clock.now_s - self._begun_s
        sent = [process.bytes_sent - before for process, before in self._begun.items() if process.alive]
        return sum(sent) / len(sent) / lasted_s if sent and lasted_s > 0 else 0.0


def idle_budget(nodes: int) -> float:
    """Bytes a node may send each second when nothing happens: 5 kB at ten nodes, 25 kB at a hundred."""
    return 5000.0 + max(0, nodes - 10) * (20_000.0 / 90.0)


def _linked(world: World, host: Host) -> dict[NodeId, None]:
    if host.process is None:
        return {}
    now = host.now(host.process, world.clock.now_s)
    return {peer.node: None for peer in host.process.core.peers(now) if peer.linked}


def _view(pair: Pair) -> str:
    process, node = pair
    return process.views.get(node, "unknown")


def _named(world: World, pairs: list[Pair]) -> str:
    texts = [
        f"{process.host.name} says {_view((process, node))} of {world.name_of(node)}"
        for process, node in pairs
    ]
    return "; ".join(texts[:NAMED_MAX]) + (
        f" and {len(texts) - NAMED_MAX} more" if len(texts) > NAMED_MAX else ""
    )
