"""The view: every item of the world as it stands, by kind and name."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from crdt_state.item import Item, Versions
from crdt_state.record import Record, Register


class View:
    """Indexes the records that count. Order is by name, so that a prefix is a slice."""

    def __init__(self) -> None:
        self._items: dict[str, dict[str, Item]] = {}
        self._names: dict[str, list[str] | None] = {}  # sorted, None while it must be made anew

    def put(self, record: Record) -> None:
        """This version counts from now on; its author's older one no longer does."""
        kind, name, facet = record.register
        items = self._items.setdefault(kind, {})
        item = items.get(name)
        if item is None:
            item = items[name] = Item(kind, name)
            self._names[kind] = None
        versions = item.facets.get(facet)
        if versions is None:
            versions = item.facets[facet] = Versions(record.register)
        versions.put(record)

    def take_out(self, record: Record) -> None:
        """This version does not count any more."""
        kind, name, facet = record.register
        item = self._items.get(kind, {}).get(name)
        versions = item.facets.get(facet) if item else None
        if item is None or versions is None:
            return
        versions.take_out(record)
        if not versions:
            del item.facets[facet]
        if not item.facets:
            del self._items[kind][name]
            self._names[kind] = None

    def item(self, kind: str, name: str) -> Item | None:
        return self._items.get(kind, {}).get(name)

    def versions(self, register: Register) -> Versions:
        """The versions of a register; empty when nobody has written it."""
        item = self.item(register.kind, register.item)
        return item.facet(register.facet) if item else Versions(register)

    def items(self, kind: str, prefix: str = "", after: str = "") -> Iterator[Item]:
        """The items of a kind whose names begin with this, by name, from after a name; deleted ones too."""
        items = self._items.get(kind, {})
        names = self._names.get(kind)
        if names is None:
            names = self._names[kind] = sorted(items)
        for name in names[max(bisect_left(names, prefix), bisect_right(names, after)) :]:
            if not name.startswith(prefix):
                return
            yield items[name]

    def kinds(self) -> list[str]:
        return sorted(kind for kind, items in self._items.items() if items)

    def __len__(self) -> int:
        return sum(len(items) for items in self._items.values())
