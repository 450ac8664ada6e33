"""Writers and their replicas, cheap and always the same, for tests of what records mean."""

from collections.abc import Iterable

from crdt_state.item import Change, Item, items_of
from crdt_state.record import Body, Record, Register, make_record
from mesh.hybrid import HybridClock
from mesh.ids import NodeId
from mesh.trust import Identity
from tests.mesh.site import WALL_MS, key_of

IDENTITIES = tuple(
    sorted((Identity(key_of(f"writer {i}")) for i in range(5)), key=lambda identity: identity.node)
)
"""Writers in the order of their ids: at equal times the later one wins."""

NOW = WALL_MS
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


class Replica:
    """One author and the records that it holds: of each register and author the one of the highest run and number."""

    def __init__(self, place: int, run: int = 1) -> None:
        self.identity = IDENTITIES[place]
        self.run = run
        self.records: dict[str, Record] = {}
        self.clock = HybridClock()
        self.seq = 0

    @property
    def node(self) -> NodeId:
        return self.identity.node

    def item(self, kind: str, name: str) -> Item:
        return self.items().get((kind, name)) or Item(kind, name)

    def items(self) -> dict[tuple[str, str], Item]:
        return items_of(self.records.values())

    def apply(self, changes: Iterable[Change], now_ms: int = NOW) -> list[Record]:
        """Write what a command asks for."""
        return [self.write(change.register, change.body, now_ms) for change in changes]

    def write(self, register: Register, body: Body | None, now_ms: int = NOW) -> Record:
        over = self.item(register.kind, register.item).facet(register.facet).dots(self.node)
        time = self.clock.stamp(now_ms)
        self.seq += 1
        record = make_record(self.identity, register, self.run, self.seq, time, over, body)
        self.records[record.key] = record
        return record

    def take(self, records: Iterable[Record], now_ms: int = NOW) -> None:
        """Merge what another holds."""
        for record in records:
            held = self.records.get(record.key)
            if held is None or held.dot[1:] < record.dot[1:]:
                self.records[record.key] = record
                self.clock.saw(record.time, now_ms)


class Cut:
    """One thing of a kind, on several sides that meet only when they are healed."""

    def __init__(self, kind: str, name: str, count: int = 2) -> None:
        self.replicas = [Replica(place) for place in range(count)]
        self.nodes = tuple(replica.node for replica in self.replicas)
        self.kind = kind
        self.name = name

    def item(self, place: int = 0) -> Item:
        return self.replicas[place].item(self.kind, self.name)

    def body(self, facet: str = "", place: int = 0) -> Body:
        body = self.item(place).value(facet)
        assert body is not None
        return body

    def do(self, place: int, changes: Iterable[Change], now_ms: int = NOW) -> None:
        self.replicas[place].apply(changes, now_ms)

    def raw(self, place: int, facet: str, body: Body | None, now_ms: int = NOW) -> None:
        """What a node of another release, or a hostile one, could write."""
        self.replicas[place].write(Register(self.kind, self.name, facet), body, now_ms)

    def heal(self, now_ms: int = NOW) -> Item:
        """All sides meet; the item, which is then the same everywhere."""
        held = [record for replica in self.replicas for record in replica.records.values()]
        for replica in self.replicas:
            replica.take(held, now_ms)
        return self.item()
