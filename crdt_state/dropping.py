"""What of a document needs to be kept no longer. A function of its records and a time alone, so that all agree."""

from collections.abc import Iterable

from crdt_state.item import Versions, items_of
from crdt_state.kind import Kind, Kinds, never
from crdt_state.record import Record, Register
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
            others = [each for each in versions if each.register.facet not in kind.merged_facets]
            keys.update(
                _replaced(others, before)
            )  # where the kind merges, each author's version says something
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
    facets = item.facets.values()
    ends = versions if kind.each_observes else [head for facet in facets for head in facet.heads()]
    return all(end.is_deletion for end in ends) or (may_be_closed and kind.is_closed(item, ms_of(before)))


def _replaced(versions: list[Record], before: int) -> list[str]:
    by_register: dict[Register, Versions] = {}
    for record in versions:
        by_register.setdefault(record.register, Versions(record.register)).put(record)
    return [
        one.key
        for each in by_register.values()
        if len(each.by_author) > 1
        for one in _not_heads(each)
        if any(other.time <= before and other.replaces(one) for other in each.by_author.values())
    ]


def _not_heads(versions: Versions) -> list[Record]:
    heads = versions.heads()
    return [record for record in versions.by_author.values() if record not in heads]
