"""What of the world goes on: watching it change, and taking all of it out."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from crdt_state.freshness import Source
from crdt_state.queries import Query, is_match, row_of
from crdt_state.record import Record
from crdt_state.shapes import is_at, shape_of
from mesh.events import News, RecordsChanged
from mesh.hybrid import ms_of
from node.desk import Desk, Result

PENDING_MAX = 10_000  # changed items that a slow watcher has not been told of; then it must look at all anew
QUIET_S = 20.0  # after so long without a change a watcher is told that there was none
BATCH = 100  # records told in one go: some milliseconds ...
BATCH_BYTES = 262_144  # ... also when they are large


async def watched(desk: Desk, query: Query, has_snapshot: bool) -> AsyncIterator[Result]:
    """Listens before it looks, so that nothing falls between. A change tells how the item stands when it is told."""
    pending: dict[tuple[str, str], None] = {}
    filled = asyncio.Event()
    is_to_be_shown = has_snapshot

    def listen(news: News) -> None:
        nonlocal is_to_be_shown
        if isinstance(news, RecordsChanged):
            pending.update(dict.fromkeys((kind, item) for kind, item, _ in news.registers))
            if len(pending) > PENDING_MAX:
                pending.clear()
                is_to_be_shown = True
            filled.set()

    with desk.news.listening(listen):
        while True:
            filled.clear()
            if is_to_be_shown:
                is_to_be_shown = False
                pending.clear()  # what has changed so far is in what is shown now
                async for row in _snapshot(desk, query):
                    yield row
            while pending and not is_to_be_shown:
                told = _change(desk, query, *_taken(pending))
                if told is not None:
                    yield told
                await asyncio.sleep(0)  # a watcher that keeps up would keep everything else from running
            if not is_to_be_shown and not await _within(filled, QUIET_S):
                yield {"change": "quiet", "at_ms": desk.now_ms()}


async def exported(desk: Desk, kinds: tuple[str, ...]) -> AsyncIterator[Result]:
    """Records in batches, document by document; each document as it is when its turn comes."""
    library = desk.core.world.state.library
    for name in sorted(document.name for document in library.documents()):
        document = library.get(name)
        records = [] if document is None else [document.records[key] for key in sorted(document.records)]
        for batch in _batches(each for each in records if not kinds or each.register.kind in kinds):
            yield {"records": [_exported(desk, name, each) for each in batch]}
            await asyncio.sleep(0)  # a reader that keeps up would keep everything else from running


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.blob)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _exported(desk: Desk, document: str, record: Record) -> dict[str, Any]:
    """A record as it can be read, and as it was signed."""
    kind, item, facet = record.register
    return {
        "document": document,
        "kind": kind,
        "item": item,
        "facet": facet,
        "by": record.author,
        "on": desk.name(record.author),
        "dot": str(record.dot),
        "time": record.time,
        "at_ms": ms_of(record.time),
        "over": [str(dot) for dot in record.over],
        "body": None if record.is_deletion else msgspec.to_builtins(record.body),
        "waiting": record.key in desk.core.world.state.waiting,
        "blob": b64encode(record.blob).decode(),
    }


async def _snapshot(desk: Desk, query: Query) -> AsyncIterator[Result]:
    sources: list[Source] = []
    limit = 1 << 62  # all of it: it is told slice by slice
    async for found in desk.slices(replace(query, standing_only=True), limit=limit):
        sources.extend(found.sources)
        for row in found.rows:
            yield {"change": "is", **row, "on": desk.name(row["by"])}
    yield {"change": "all-told", "at_ms": desk.now_ms(), "freshness": desk.freshness(sources)}


def _change(desk: Desk, query: Query, kind: str, name: str) -> Result | None:
    """What has become of an item; None when nobody asked."""
    if query.kinds and kind not in query.kinds:
        return None
    item = desk.view.item(kind, name)
    if item is None:
        shape = shape_of(kind)
        if shape.is_named_by_place and not is_at(name, query.path):
            return None
        return {"change": "gone", "kind": kind, "item": name, "at_ms": desk.now_ms()}
    now_ms = desk.now_ms()
    if not is_match(item, query, now_ms):
        return None
    row = row_of(item, now_ms)
    return {"change": "is", **row, "on": desk.name(row["by"])}


def _taken(pending: dict[tuple[str, str], None]) -> tuple[str, str]:
    """The first that changed of those that are still to be told."""
    first = next(iter(pending))
    del pending[first]
    return first


async def _within(filled: asyncio.Event, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            await filled.wait()
    except TimeoutError:
        return False
    return True
