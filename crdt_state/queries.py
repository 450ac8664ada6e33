"""Queries: what of the world is asked for, found in slices, as plain values that a script can take.

A query looks at a bounded number of items, since the loop that answers also keeps the node alive; whoever asked goes
on from the mark that it is given.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from crdt_state.freshness import Source
from crdt_state.item import Item
from crdt_state.kinds import KINDS, frame
from crdt_state.kinds.refusal import RefusedError
from crdt_state.record import Record
from crdt_state.shapes import is_at, shape_of
from crdt_state.view import View
from mesh.hybrid import ms_of
from mesh.ids import NodeId

LIMIT = 200  # rows of an answer, when nobody says
LIMIT_MAX = 5_000  # at a kilobyte or two each they fit into one answer of the control socket
SCAN_MAX = 250  # items looked at in one go: some tens of milliseconds on a small computer

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """Which items. Empty: whichever."""

    kinds: tuple[str, ...] = ()
    path: str = ""
    author: str = ""  # who has written some of it, the owner included
    states: tuple[str, ...] = ()
    standing_only: bool = False  # leave out what is deleted, and what needs nobody's attention any more


@dataclass(frozen=True, slots=True)
class Slice:
    """What a query has found so far, and where to go on."""

    rows: tuple[Row, ...]
    sources: tuple[Source, ...]
    more: str  # to be given back as `after`; empty: there is no more


def find(
    view: View, query: Query, now_ms: int, after: str = "", limit: int = LIMIT, scan_max: int = SCAN_MAX
) -> Slice:
    """The next rows, by kind and name. RefusedError when `after` is no mark."""
    rows: list[Row] = []
    sources: list[Source] = []
    last: Item | None = None
    for scanned, item in enumerate(_candidates(view, query, *_unmarked(after))):
        if last is not None and (scanned >= scan_max or len(rows) >= limit):
            return Slice(tuple(rows), tuple(sources), _mark(last.kind, last.name))
        last = item
        if _is_placed(item, query):
            row = row_of(item, now_ms)
            if _is_wanted(row, query):
                rows.append(row)
                sources.extend(sources_of(item, now_ms))
    return Slice(tuple(rows), tuple(sources), "")


def scan(view: View, query: Query, after: str = "", scan_max: int = SCAN_MAX) -> tuple[list[Item], str]:
    """The next items of these kinds, authors and places, whatever their state; and where to go on, if at all."""
    items = list(islice(_candidates(view, query, *_unmarked(after)), scan_max + 1))
    more = _mark(items[scan_max - 1].kind, items[scan_max - 1].name) if len(items) > scan_max else ""
    return [item for item in items[:scan_max] if _is_placed(item, query)], more


def is_match(item: Item, query: Query, now_ms: int) -> bool:
    """Whether this item is one of those that are asked for."""
    is_kind = not query.kinds or item.kind in query.kinds
    return is_kind and _is_placed(item, query) and _is_wanted(row_of(item, now_ms), query)


def row_of(item: Item, now_ms: int) -> Row:
    """An item as plain values: what it says, and who wrote the newest of it, when."""
    shown = shape_of(item.kind).show(item, now_ms)
    newest = _newest(item)
    return {
        "kind": item.kind,
        "item": item.name,
        "state": shown.state,
        "closed": item.is_deleted or KINDS.get(item.kind).is_closed(item, now_ms),
        "fields": shown.fields,
        "by": newest.author if newest else "",
        "at_ms": ms_of(newest.time) if newest else 0,
        "dot": str(newest.dot) if newest else "",
        "conflict": shown.has_conflict,
        "readable": shown.is_readable,
    }


def facets_of(item: Item) -> list[Row]:
    """Every facet with its concurrent versions, the one that counts first; of observed facts every author's."""
    found = []
    for facet in sorted(item.facets):
        versions = item.facets[facet]
        each_observes = KINDS.get(item.kind).each_observes
        records = list(versions.by_author.values()) if each_observes else versions.heads()
        found.append({"facet": facet, "versions": [version_of(record) for record in records]})
    return found


def version_of(record: Record) -> Row:
    return {
        "by": record.author,
        "at_ms": ms_of(record.time),
        "dot": str(record.dot),
        "body": None if record.is_deletion else msgspec.to_builtins(record.body),
    }


def sources_of(item: Item, now_ms: int) -> list[Source]:
    """Of whom an item tells something, for its freshness."""
    if item.kind == frame.KIND.name:
        tags = frame.view(item, now_ms).tags.values()
        measured_ms = max((min(tag.source_ms, now_ms) for tag in tags), default=None)
        return [Source(NodeId(item.name), ms_of(item.latest), measured_ms)]
    return [
        Source(record.author, ms_of(record.time))
        for versions in item.facets.values()
        for record in versions.by_author.values()
    ]


def tags_at(view: View, path: str, now_ms: int) -> tuple[list[Row], list[Source]]:
    """The live values at a path and below, by tag; a tag that several nodes read is there once for each."""
    rows: list[Row] = []
    sources: list[Source] = []
    for item in view.items(frame.KIND.name):
        shown = frame.view(item, now_ms)
        tags = {name: tag for name, tag in shown.tags.items() if is_at(name, path)}
        rows += [
            {
                "tag": name,
                "value": tag.value,
                "quality": tag.quality.value,
                "source_ms": tag.source_ms,
                "by": shown.node,
            }
            for name, tag in tags.items()
        ]
        if tags:
            newest_ms = max(min(tag.source_ms, now_ms) for tag in tags.values())
            sources.append(Source(shown.node, shown.written_ms, newest_ms))
    return sorted(rows, key=lambda row: (row["tag"], row["by"])), sources


# ---------------------------------------------------------------- inside


def _candidates(view: View, query: Query, after_kind: str, after_name: str) -> Iterator[Item]:
    for kind in sorted(query.kinds) if query.kinds else view.kinds():
        if kind < after_kind:
            continue
        prefix = query.path if shape_of(kind).is_named_by_place else ""
        yield from view.items(kind, prefix, after_name if kind == after_kind else "")


def _is_placed(item: Item, query: Query) -> bool:
    """What can be told without reading all of the item."""
    if query.author and not any(query.author in each.by_author for each in item.facets.values()):
        return False
    return is_at(shape_of(item.kind).place(item), query.path)


def _is_wanted(row: Row, query: Query) -> bool:
    if query.standing_only and row["closed"]:
        return False
    return not query.states or row["state"] in query.states


def _newest(item: Item) -> Record | None:
    records = (record for versions in item.facets.values() for record in versions.by_author.values())
    return max(records, key=lambda record: (record.time, record.author), default=None)


def _mark(kind: str, name: str) -> str:
    return urlsafe_b64encode(f"{kind}\0{name}".encode()).decode().rstrip("=")


def _unmarked(mark: str) -> tuple[str, str]:
    if not mark:
        return "", ""
    try:
        padded = mark.encode() + b"=" * (-len(mark) % 4)
        kind, name = b64decode(padded, altchars=b"-_", validate=True).decode().split("\0", 1)
    except ValueError:
        raise RefusedError(
            f"{mark[:80]!r} is no place to go on from", "use what the last answer gave"
        ) from None
    return kind, name
