"""What is really so, known to the simulator alone: who can reach whom, and what each should therefore say."""

from collections.abc import Callable

from mesh.ids import NodeId
from simulations.clock import Clock
from simulations.host import Host
from simulations.network import Network

Edge = Callable[[Host, Host], bool]

SNAPSHOTS_KEPT_S = 30.0  # longer than any question about the past

ALIVE = frozenset({"alive"})
BROKER_DOWN = frozenset({"broker-down"})
UNREACHABLE = frozenset({"unreachable"})
REMOVED = frozenset({"removed"})
LEFT = frozenset({"left"})


class Truth:
    """Components of the network of healthy members, now and in the recent past."""

    def __init__(self, clock: Clock, network: Network, hosts: list[Host]) -> None:
        self._clock = clock
        self._network = network
        self._hosts = hosts
        self._removed: dict[NodeId, None] = {}
        self._left: dict[NodeId, tuple[int, ...]] = {}  # and the hosts that could hear it say so
        self._snapshots: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]

    def refresh(self) -> None:
        """Something went up or down just now."""
        now_s = self._clock.now_s
        self._snapshots.append((now_s, self._components(self.linkable)))
        while len(self._snapshots) > 2 and self._snapshots[1][0] < now_s - SNAPSHOTS_KEPT_S:
            del self._snapshots[0]

    def removed(self, node: NodeId) -> None:
        self._removed[node] = None
        self.refresh()

    def left(self, host: Host) -> None:
        hearers = tuple(other.index for other in self._hosts if self.together(host, other))
        self._left[host.node] = hearers
        self.refresh()

    def is_removed(self, node: NodeId) -> bool:
        return node in self._removed

    def has_ended(self, node: NodeId) -> bool:
        """Removed, or gone for good by its own word."""
        return node in self._removed or node in self._left

    def members(self) -> list[Host]:
        """Hosts that run a healthy process of a member with an identity of its own."""
        return [host for host in self._hosts if self._counts(host)]

    def together(self, one: Host, other: Host, for_s: float = 0.0) -> bool:
        """Whether two healthy members can reach each other, relays allowed, since `for_s` ago."""
        since_s = self._clock.now_s - for_s
        for at_s, components in reversed(self._snapshots):
            if not _same(components, one.index, other.index):
                return False
            if at_s <= since_s:
                return True
        return False

    def linkable(self, one: Host, other: Host) -> bool:
        """Whether a direct link between two healthy members is possible."""
        return self._network.both_up(one.index, other.index) and (one.broker.up or other.broker.up)

    def will_link(self, one: Host, other: Host) -> bool:
        """Whether it will be, once the brokers that are starting are up."""
        return self._network.both_up(one.index, other.index) and (one.broker.wanted or other.broker.wanted)

    def will_meet(self) -> list[tuple[Host, Host]]:
        """Every ordered pair of members that will reach each other if nothing else happens."""
        labels, members = self._components(self.will_link), self.members()
        pairs = ((one, other) for one in members for other in members if one is not other)
        return [(one, other) for one, other in pairs if _same(labels, one.index, other.index)]

    def expected(self, observer: Host, subject: Host) -> frozenset[str] | None:
        """The states that `observer` may rightly report of `subject` once all is settled; None: any."""
        node = subject.node
        if subject.rival or node == observer.node:
            return None
        if node in self._removed:
            return REMOVED if self._knows_removals(observer) else REMOVED | UNREACHABLE
        if node in self._left:
            return LEFT if observer.index in self._left[node] else LEFT | UNREACHABLE
        if not self.together(observer, subject):
            return UNREACHABLE
        return ALIVE if subject.broker.up else BROKER_DOWN

    def _knows_removals(self, observer: Host) -> bool:
        stewards = [host for host in self._hosts if host.keys.authority is not None]
        return any(host is observer or self.together(observer, host) for host in stewards)

    def _counts(self, host: Host) -> bool:
        return host.healthy and not host.rival and not self.has_ended(host.node)

    def _components(self, edge: Edge) -> tuple[int, ...]:
        labels, members = [-1] * len(self._hosts), self.members()
        for start in members:
            if labels[start.index] < 0:
                _flood(start, members, edge, labels)
        return tuple(labels)


def _flood(start: Host, members: list[Host], edge: Edge, labels: list[int]) -> None:
    labels[start.index] = start.index
    frontier = [start]
    while frontier:
        here = frontier.pop()
        for there in members:
            if labels[there.index] < 0 and edge(here, there):
                labels[there.index] = start.index
                frontier.append(there)


def _same(components: tuple[int, ...], one: int, other: int) -> bool:
    return max(one, other) < len(components) and components[one] == components[other] >= 0
