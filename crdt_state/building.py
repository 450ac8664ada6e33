"""Building: when a document is worth a new generation, who builds it, and what its header says.

Left out is only what every member that counts has acknowledged. Only those of them are listed as asked who have
followed everything up to the generation before: who was away for longer comes back as a guest.
"""

from crdt_state.document import Document
from crdt_state.dropping import droppable
from crdt_state.form import PENS_MAX
from crdt_state.headers import KIND, NUMBER_MAX, digest_of, header_of
from crdt_state.holdings import Acknowledged, Holdings
from crdt_state.item import Change
from crdt_state.record import Record, RecordError, Register
from crdt_state.state import WorldState
from mesh.hybrid import time_of
from mesh.ids import NodeId, short_of
from mesh.now import Now
from mesh.world_config import WorldConfig

NEVER_BUILT = (KIND, "evidence")  # headers and proofs are few, and must outlive what they speak of
HISTORY_BYTES_MIN = 4096  # a saving smaller than this is not worth everybody's work ...
HISTORY_SHARE = 0.5  # ... nor one of less than half of what is kept
PENS_MANY = PENS_MAX // 2  # nobody new can draw in a form that has all its pens: it is built anew long before
RECORD_FORM_BYTES = 45  # what a record costs in a form beside its own bytes
CONSIDER_RECORDS_PER_S = 200  # large documents are looked at less often: the look costs time


class Building:
    """Looks at this node's documents in turn, and builds."""

    def __init__(self, state: WorldState, holdings: Holdings, config: WorldConfig) -> None:
        self._state = state
        self._holdings = holdings
        self._config = config
        self._consider_at: dict[str, float] = {}  # by document
        self._wait_since: dict[str, float] = {}  # since when somebody should have built it

    def look(self, now: Now) -> None:
        """At the document that is overdue most, and no other: more is waiting for this loop."""
        every_s, uniform = self._config.consider_every_s, self._state.fabric.random.uniform
        due: tuple[float, Document] | None = None
        for document in self._state.library.documents():
            at = self._consider_at.get(document.name)
            if at is None:
                at = self._consider_at[document.name] = now.mono + every_s * uniform(0.3, 1.0)
            if now.mono >= at and (due is None or at < due[0]):
                due = at, document
        if due is not None:
            document = due[1]
            pause_s = every_s + len(document.records) / CONSIDER_RECORDS_PER_S
            self._consider_at[document.name] = now.mono + pause_s * uniform(0.9, 1.1)
            self._consider(document, now)

    def forget(self, name: str) -> None:
        """This document has been dropped."""
        self._consider_at.pop(name, None)
        self._wait_since.pop(name, None)

    def asked(self, document: Document, acknowledged: Acknowledged) -> list[NodeId]:
        """The members without whose word nothing was left out, in this generation and every one before it."""
        last, me = header_of(self._state, document.name), self._state.fabric.me
        mark = document.mark.hex()
        return sorted(
            node
            for node in acknowledged.counted
            if node == me
            or last is None
            or last.counts(node)
            or self._holdings.mark_at(node, document.name) == mark
        )

    # -- inside

    def _consider(self, document: Document, now: Now) -> None:
        kind = document.name.partition(":")[0]
        is_ours_to_judge = self._state.kinds.knows(kind) and kind not in NEVER_BUILT
        if (
            not is_ours_to_judge
            or self._state.library.is_owned(document.name)
            or not self._is_current(document)
        ):
            return
        acknowledged = self._holdings.acknowledged(document, now)
        before = self._acknowledged_until(document, acknowledged, now)
        gone = droppable(document.records.values(), before, self._state.kinds, self._config.retention_scale)
        kept = [record for key, record in document.records.items() if key not in gone]
        if not self._is_worth_it(document, kept):
            self._wait_since.pop(document.name, None)
            return
        since = self._wait_since.setdefault(document.name, now.mono)
        if now.mono - since >= self._rank(acknowledged) * self._config.rank_wait_s:
            self._wait_since.pop(document.name, None)
            self._build(document, kept, before, acknowledged, now)

    def _is_current(self, document: Document) -> bool:
        """Whether we have followed the last generation to its end; to build on an older one would never end."""
        last = header_of(self._state, document.name)
        return document.is_whole and document.mark == (last.mark if last else b"")

    def _acknowledged_until(self, document: Document, acknowledged: Acknowledged, now: Now) -> int:
        """The hybrid time before which everything that we hold is held by everybody who counts."""
        open_times = [
            record.time
            for key, record in document.records.items()
            if document.revision_of(key) > acknowledged.revision
        ]
        return min([time_of(self._state.ms(now)), *(time - 1 for time in open_times)])

    def _is_worth_it(self, document: Document, kept: list[Record]) -> bool:
        if not kept:
            return bool(document.records)
        fresh = sum(len(record.blob) + RECORD_FORM_BYTES for record in kept)
        saving = len(document.state()) - fresh
        return document.pens > PENS_MANY or saving >= max(HISTORY_BYTES_MIN, fresh * HISTORY_SHARE)

    def _rank(self, acknowledged: Acknowledged) -> int:
        """How many members should build before us: those who are here, in the order of their ids."""
        fabric = self._state.fabric
        here = (each for each in fabric.membership.here() if each in acknowledged.counted)
        return sum(1 for each in here if each < fabric.me)

    def _build(
        self, document: Document, kept: list[Record], before: int, acknowledged: Acknowledged, now: Now
    ) -> None:
        """Write the header; following it is everybody's business, ours too."""
        last = header_of(self._state, document.name)
        body = {
            "number": min(last.number + 1 if last else 1, NUMBER_MAX),
            "context": document.context.of(lambda author: self._is_known(author)).plain(),
            "digest": digest_of(kept).hex(),
            "records": len(kept),
            "dropped": not kept,
            "before": max(before, 0),
            "counted": [short_of(node).hex() for node in self.asked(document, acknowledged)],
            "base": document.mark.hex(),
            "why": "history" if kept else "done",
        }
        try:
            self._state.write([Change(Register(KIND, document.name), body)], now)
        except RecordError as error:
            self._state.fabric.count(error.reason)
            return
        self._state.fabric.count("generation-built")

    def _is_known(self, author: NodeId) -> bool:
        """Whether a record of this author could be taken at all; others' need not be remembered."""
        return self._state.fabric.roster.identity(author) is not None
