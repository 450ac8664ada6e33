"""The chronicle of a run: every version that was ever shown anywhere, and which writes were acknowledged.

The nodes forget (that is what collection is for); the chronicle does not. So it can say of a record that is missing
somewhere whether it was replaced or done with, and of one that is shown again that it should not be.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from crdt_state.headers import Header
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
        self._items: dict[tuple[str, str], dict[str, list[Record]]] = {}  # by facet: every version, in order
        self._floors: dict[Register, Floor] = {}
        self._seen_by: dict[Dot, dict[NodeId, None]] = {}
        self._collected: dict[str, Dot] = {}  # by key: the newest that was let go with good reason

    def shown(self, records: Iterable[Record], node: NodeId) -> None:
        """These are in this node's view."""
        for record in records:
            seen_by = self._seen_by.setdefault(record.dot, {})
            is_new = not seen_by
            seen_by[node] = None
            if is_new:
                kind, name, facet = record.register
                self._items.setdefault((kind, name), {}).setdefault(facet, []).append(record)
                self._floors.setdefault(record.register, Floor()).note(record)

    def told(self, record: Record) -> None:
        """Its author has been told that it is safe."""
        self.writes += 1
        known = self.acknowledged.get(record.key)
        if known is None or known.dot[1:] < record.dot[1:]:
            self.acknowledged[record.key] = record

    def collected(self, record: Record) -> None:
        """Some node let it go, with good reason: nobody needs to have it."""
        known = self._collected.get(record.key)
        if known is None or known[1:] < record.dot[1:]:
            self._collected[record.key] = record.dot

    def is_needless(self, record: Record) -> bool:
        """Whether a later version has replaced this one, or it was let go with good reason."""
        floor = self._floors.get(record.register)
        return (floor is not None and floor.is_under(record.dot)) or self.is_collected(record)

    def is_collected(self, record: Record) -> bool:
        """Whether it, or a later one by its author, was let go with good reason."""
        collected = self._collected.get(record.key)
        return collected is not None and record.dot[1:] <= collected[1:]

    def is_done(self, record: Record, header: Header, kinds: Kinds, retention_scale: float) -> bool:
        """Whether the item was deleted, or closed for long enough, by all that any member that counts had seen."""
        before = header.body.before
        item, by_then = self._item(record, header), ms_of(before)
        if not item.facets or record.time > before:
            return False
        if all(head.is_deletion for versions in item.facets.values() for head in versions.heads()):
            return True
        kind = kinds.get(item.kind)
        is_old = ms_of(item.latest) <= by_then - kind.retention_ms * retention_scale
        return is_old and kind.is_closed(item, by_then)

    def _item(self, record: Record, header: Header) -> Item:
        """The item as it was by then, had every member that counts seen what any of them had."""
        kind, name, _ = record.register
        item = Item(kind, name)
        for facet, records in self._items.get((kind, name), {}).items():
            counted = [each for each in records if self._counts(each, header)]
            floor, versions = Floor(), Versions(Register(kind, name, facet))
            for each in counted:
                floor.note(each)
            for each in counted:
                if not floor.is_under(each.dot):
                    versions.put(each)
            if versions:
                item.facets[facet] = versions
        return item

    def _counts(self, record: Record, header: Header) -> bool:
        return record.time <= header.body.before and any(map(header.counts, self._seen_by[record.dot]))
