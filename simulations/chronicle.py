"""The chronicle of a run: every version that was ever shown anywhere, and which writes were acknowledged.

The nodes forget (that is what collection is for); the chronicle does not. So it can say of a record that is missing
somewhere whether it was replaced or done with, and of one that is shown again that it should not be.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from crdt_state.item import Item, Versions
from crdt_state.kind import Kinds
from crdt_state.record import Dot, Record, Register
from mesh.hybrid import ms_of
from mesh.ids import NodeId


@dataclass(slots=True)
class Floor:
    """For each author the newest of its versions of one register that somebody has replaced."""

    replaced: dict[NodeId, tuple[int, int]] = field(default_factory=dict)

    def note(self, record: Record) -> None:
        for dot in record.over:
            self._raise(dot.author, dot[1:])
        run, seq = record.dot[1:]
        self._raise(record.author, (run, seq - 1))

    def is_under(self, dot: Dot) -> bool:
        return dot[1:] <= self.replaced.get(dot.author, (-1, -1))

    def _raise(self, author: NodeId, place: tuple[int, ...]) -> None:
        run, seq = place
        self.replaced[author] = max(self.replaced.get(author, (-1, -1)), (run, seq))


class Chronicle:
    """Everything that was shown, by register."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, Record] = {}  # the newest that its author was told is safe, by key
        self.writes = 0  # acknowledged
        self.refused = 0
        self._items: dict[tuple[str, str], Item] = {}
        self._floors: dict[Register, Floor] = {}

    def shown(self, records: Iterable[Record]) -> None:
        """These are in some node's view."""
        for record in records:
            versions = self._versions(record.register)
            known = versions.by_author.get(record.author)
            if known is None or known.dot[1:] < record.dot[1:]:
                versions.put(record)
                self._floors.setdefault(record.register, Floor()).note(record)

    def told(self, record: Record) -> None:
        """Its author has been told that it is safe."""
        self.writes += 1
        known = self.acknowledged.get(record.key)
        if known is None or known.dot[1:] < record.dot[1:]:
            self.acknowledged[record.key] = record

    def is_replaced(self, record: Record) -> bool:
        """Whether some later version has replaced this one."""
        floor = self._floors.get(record.register)
        return floor is not None and floor.is_under(record.dot)

    def is_done(self, record: Record, ms: int, kinds: Kinds, retention_scale: float) -> bool:
        """Whether its item was deleted, or closed for long enough, so that nobody needs to keep it."""
        item = self._items.get(record.register[:2])
        if item is None:
            return False
        if all(head.is_deletion for versions in item.facets.values() for head in versions.heads()):
            return True
        kind = kinds.get(item.kind)
        is_old = ms_of(item.latest) <= ms - kind.retention_ms * retention_scale
        return is_old and kind.is_closed(item, ms)

    def _versions(self, register: Register) -> Versions:
        kind, name, facet = register
        item = self._items.setdefault((kind, name), Item(kind, name))
        return item.facets.setdefault(facet, Versions(register))
