"""What of a document needs to be kept no longer. A function of its records and a time alone, so that all agree."""

from collections.abc import Iterable

from crdt_state.item import Item, Versions, items_of
from crdt_state.kind import Kinds
from crdt_state.record import Record
from mesh.hybrid import ms_of


def droppable(records: Iterable[Record], before: int, kinds: Kinds, retention_scale: float) -> set[str]:
    """Keys of versions that were replaced by this time, and of items that were done with long enough before it."""
    keys: set[str] = set()
    for item in items_of(records).values():
        if _is_done(item, before, kinds, retention_scale):
            keys.update(key for versions in item.facets.values() for key in _keys(versions))
        elif not kinds.get(item.kind).each_observes:
            for versions in item.facets.values():
                keys.update(_replaced(versions, before))
    return keys


def _is_done(item: Item, before: int, kinds: Kinds, retention_scale: float) -> bool:
    """Deleted, or closed for as long as the kind is kept to be looked at."""
    kind = kinds.get(item.kind)
    if item.latest > before:
        return False
    if all(record.is_deletion for versions in item.facets.values() for record in versions.heads()):
        return True
    ms = ms_of(before)
    return ms_of(item.latest) <= ms - kind.retention_ms * retention_scale and kind.is_closed(item, ms)


def _replaced(versions: Versions, before: int) -> list[str]:
    every = list(versions.by_author.values())
    return [
        one.key
        for one in every
        if any(other.time <= before and other.is_over(one.dot) for other in every if other is not one)
    ]


def _keys(versions: Versions) -> list[str]:
    return [record.key for record in versions.by_author.values()]
