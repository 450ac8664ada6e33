"""Who is listed by multicast DNS at the moment, bounded, and what of it is news."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from mesh.events import Counted, EndpointFound, EndpointLost, Source
from mesh.ids import NodeId
from mesh.io.advert import Heard
from mesh.wire import ENDPOINTS_MAX, PEERS_MAX, Endpoint

INSTANCES_MAX = 4  # of one node: its own, one under a new certificate, and a clone or two
REPEAT_S = 5.0  # a node heard again after this long is worth another try: its cable may be back in

News = EndpointFound | EndpointLost | Counted


@dataclass(frozen=True, slots=True)
class Sighting:
    """A node as multicast DNS shows it. Times are monotonic seconds."""

    node: NodeId
    name: str
    boot: int
    endpoints: tuple[Endpoint, ...]
    interfaces: tuple[str, ...]
    since_s: float
    heard_s: float


@dataclass(slots=True)
class _Entry:
    sighting: Sighting
    told_s: float | None  # when its endpoints were last news; None: tell at the next hearing


class Sightings:
    """Instances by label; the one not heard of for longest goes when there are too many."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._labels: dict[NodeId, list[str]] = {}

    def __contains__(self, label: str) -> bool:
        return label in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def heard(self, heard: Heard, interfaces: tuple[str, ...], now_s: float) -> list[News]:
        news: list[News] = []
        entry = self._entries.get(heard.label)
        if entry is not None and entry.sighting.node != heard.node:
            news += self.gone(heard.label)
            entry = None
        if entry is None:
            news += self._make_room(heard.node)
            entry = self._entries[heard.label] = _Entry(_sighting(heard, interfaces, now_s, now_s), None)
            self._labels.setdefault(heard.node, []).append(heard.label)
        return news + self._update(entry, heard, interfaces, now_s)

    def gone(self, label: str) -> list[News]:
        """The instance is listed no more; its node is lost only if no other instance of it is left."""
        entry = self._entries.pop(label, None)
        if entry is None:
            return []
        node = entry.sighting.node
        self._labels[node].remove(label)
        if self._labels[node]:
            return []
        del self._labels[node]
        return [EndpointLost(node, Source.MDNS)]

    def tell_again(self) -> None:
        """Whoever is heard from now on is news: a path may have healed."""
        for entry in self._entries.values():
            entry.told_s = None

    def by_node(self) -> dict[NodeId, Sighting]:
        return {
            node: _merged([self._entries[label].sighting for label in labels])
            for node, labels in self._labels.items()
        }

    def _update(self, entry: _Entry, heard: Heard, interfaces: tuple[str, ...], now_s: float) -> list[News]:
        self._entries.move_to_end(heard.label)
        before = entry.sighting
        entry.sighting = _sighting(heard, interfaces, before.since_s, now_s)
        is_same = (before.endpoints, before.boot) == (heard.endpoints, heard.boot)
        if is_same and entry.told_s is not None and now_s - entry.told_s < REPEAT_S:
            return []
        entry.told_s = now_s
        return [EndpointFound(endpoint, heard.node, Source.MDNS) for endpoint in heard.endpoints]

    def _make_room(self, node: NodeId) -> list[News]:
        labels = self._labels.get(node, [])
        if len(labels) >= INSTANCES_MAX:
            return [*self.gone(labels[0]), Counted("mdns_too_many_instances", node)]
        if len(self._entries) >= PEERS_MAX:
            return [*self.gone(next(iter(self._entries))), Counted("mdns_full")]
        return []


def _sighting(heard: Heard, interfaces: tuple[str, ...], since_s: float, now_s: float) -> Sighting:
    return Sighting(heard.node, heard.name, heard.boot, heard.endpoints, interfaces, since_s, now_s)


def _merged(sightings: list[Sighting]) -> Sighting:
    newest = max(sightings, key=lambda sighting: sighting.heard_s)
    return replace(
        newest,
        endpoints=tuple(dict.fromkeys(e for s in sightings for e in s.endpoints))[:ENDPOINTS_MAX],
        interfaces=tuple(sorted({name for s in sightings for name in s.interfaces})),
        since_s=min(sighting.since_s for sighting in sightings),
    )
