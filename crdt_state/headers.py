"""Headers: which generation of each document is the current one, and the mark that names it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from crdt_state.context import Context, context_of
from crdt_state.item import items_of
from crdt_state.kinds.generation import Generation
from crdt_state.kinds.generation import view as generation_view
from crdt_state.record import Record, Register
from crdt_state.state import WorldState
from mesh.ids import NodeId, short_of

KIND = "generation"
MARK_HASH_BYTES = 8
NUMBER_MAX = 2**32 - 1  # what a mark holds; whoever claims it is outdone by whoever claims it later


@dataclass(frozen=True)
class Header:
    """One generation of a document, as its builder signed it."""

    document: str
    mark: bytes
    body: Generation
    record: Record

    @property
    def number(self) -> int:
        return min(self.body.number, NUMBER_MAX)

    @cached_property
    def context(self) -> Context:
        return context_of(self.body.context)

    def covers(self, record: Record) -> bool:
        """Whether the builder had seen this record; what is dated later than its header it cannot have seen."""
        return record.time <= self.record.time and self.context.covers(record.dot)

    def counts(self, node: NodeId) -> bool:
        """Whether this member had acknowledged what was left out."""
        return short_of(node).hex() in self.body.counted


def header_of(state: WorldState, document: str) -> Header | None:
    """The current header: the highest number, then the latest, of all that were written. None before the first."""
    versions = state.view.versions(Register(KIND, document))
    best: Header | None = None
    for record in versions.by_author.values():
        header = _read(document, record)
        if header is not None and (best is None or _rank(header) > _rank(best)):
            best = header
    return best


def _read(document: str, record: Record) -> Header | None:
    if record.is_deletion:
        return None
    body, is_readable = _body_of(record)
    return Header(document, mark_of(record, body.number), body, record) if is_readable else None


def _body_of(record: Record) -> tuple[Generation, bool]:
    return generation_view(items_of([record])[record.register.kind, record.register.item], 0)


def mark_of(record: Record, number: int) -> bytes:
    """A generation's name on the wire: its number, and which of those with this number it is."""
    digest = hashlib.blake2b(str(record.dot).encode(), digest_size=MARK_HASH_BYTES).digest()
    return min(number, NUMBER_MAX).to_bytes(4, "big") + digest


def digest_of(records: Iterable[Record]) -> bytes:
    """Of a generation's content."""
    return (sum(record.hash for record in records) % (1 << 128)).to_bytes(16, "big")


def _rank(header: Header) -> tuple[int, int, NodeId]:
    return (header.number, header.record.time, header.record.author)
