"""What of a document needs to be kept no longer. A function of its records and a time alone, so that all agree."""

from collections.abc import Iterable

from crdt_state.item import items_of
from crdt_state.kind import Kind, Kinds, never
from crdt_state.record import Record
from mesh.hybrid import ms_of


def droppable(records: Iterable[Record], before: int, kinds: Kinds, retention_scale: float) -> set[str]:
    """Keys of versions that were replaced by this time, and of items that were done with long enough before it."""
    by_thing: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_thing.setdefault(record.register[:2], []).append(record)
    keys: set[str] = set()
    for (name, _), versions in by_thing.items():
        kind = kinds.get(name)
        if _is_done(versions, before, kind, retention_scale):
            keys.update(record.key for record in versions)
        elif len(versions) > 1 and not kind.each_observes:
            keys.update(_replaced(versions, before))
    return keys


def _is_done(versions: list[Record], before: int, kind: Kind, retention_scale: float) -> bool:
    """Whether the item was deleted, or closed for as long as the kind is kept to be looked at."""
    latest = max(record.time for record in versions)
    if latest > before:
        return False
    is_old = ms_of(latest) <= ms_of(before) - kind.retention_ms * retention_scale
    may_be_closed = is_old and kind.is_closed is not never
    if not may_be_closed and not any(record.is_deletion for record in versions):
        return False  # most are this: open, and nobody has to look closer
    (item,) = items_of(versions).values()
    heads = (head for facet in item.facets.values() for head in facet.heads())
    return all(head.is_deletion for head in heads) or (may_be_closed and kind.is_closed(item, ms_of(before)))


def _replaced(versions: list[Record], before: int) -> list[str]:
    return [
        one.key
        for one in versions
        if any(
            other.time <= before and other.register == one.register and other.is_over(one.dot)
            for other in versions
            if other is not one
        )
    ]
