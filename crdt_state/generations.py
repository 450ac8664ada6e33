"""Generations: documents built anew without their history and what is done with, and how everybody follows.

A builder leaves out only what every member that counts has acknowledged, and says in a signed header what it had
seen (the context). Who follows the header keeps what the builder had not seen: that is new. What the builder had
seen and left out is dropped where it is done with; by a member that was counted, what is not done with is put back
and the builder named; by one that was away, it is put aside for a person to look at.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from crdt_state.context import Context
from crdt_state.document import PEN_BITS, Document, form_from
from crdt_state.dropping import droppable
from crdt_state.headers import KIND, Header, header_of, number_of
from crdt_state.holdings import Acknowledged, Holdings
from crdt_state.item import Change
from crdt_state.library import FORM_TABLE, form_of
from crdt_state.quarantine import Quarantine
from crdt_state.record import Record, RecordError, Register
from crdt_state.state import WorldState
from mesh.events import Write
from mesh.hybrid import time_of
from mesh.ids import short_of
from mesh.now import Now
from mesh.world_config import WorldConfig

NEVER_BUILT = (KIND, "evidence")  # headers and proofs are few, and must outlive what they speak of
HISTORY_BYTES_MIN = 4096  # a saving smaller than this is not worth everybody's work ...
HISTORY_SHARE = 0.5  # ... nor one of less than half of what is kept
RECORD_FORM_BYTES = 45  # what a record costs in a form beside its own bytes
CONSIDER_RECORDS_PER_S = 200  # large documents are looked at less often: the look costs time
LOOK_EVERY_S = 1.0
ALONE_AFTER_S = 15.0  # nobody has the new generation's content: its builder is gone


@dataclass(slots=True)
class _Following:
    """A header whose content must be fetched."""

    header: Header
    before: dict[str, Record]
    context: Context
    since: float


class Generations:
    """Builds, and follows, new generations of this node's documents."""

    def __init__(
        self,
        state: WorldState,
        holdings: Holdings,
        quarantine: Quarantine,
        config: WorldConfig,
        want: Callable[[str], None],
    ) -> None:
        self._state = state
        self._want = want  # fetch this document from whoever is here
        self._holdings = holdings
        self._quarantine = quarantine
        self._config = config
        self._consider_at: dict[str, float] = {}  # by document
        self._wait_since: dict[str, float] = {}  # since when somebody should have built it
        self._following: dict[str, _Following] = {}
        self._look_at = float("-inf")

    # -- time

    def tick(self, now: Now) -> None:
        """Look at the next document whose turn it is; give up waiting for a content that nobody has."""
        if now.mono < self._look_at:
            return
        self._look_at = now.mono + LOOK_EVERY_S
        for name, following in list(self._following.items()):
            if now.mono - following.since >= ALONE_AFTER_S:
                self._finish(name, None, now)
        if not self._state.fabric.halted:
            self._look(now)

    def wake_at(self) -> float:
        return self._look_at

    def follow_headers(self, names: list[str], now: Now) -> None:
        """These documents' headers have changed, or we have just come up."""
        for name in names:
            header = header_of(self._state, name)
            document = self._state.library.get(name)
            if header is None or (document is not None and document.mark == header.mark):
                continue
            if document is None:
                self._state.library.open_at(name, header.mark, header.context)
            elif number_of(header.mark) >= number_of(document.mark):
                self._follow(document, header, now)

    def fetched(self, document: Document, now: Now) -> bool:
        """A peer has given us all that it has of this document; whether that was what we waited for."""
        if document.name not in self._following:
            return False
        self._finish(document.name, self._form_records(document), now)
        return True

    def mark_for(self, name: str) -> tuple[bytes, Context]:
        """With which mark a document that is not there yet begins."""
        header = header_of(self._state, name)
        return (header.mark, header.context) if header else (b"", Context())

    # -- building

    def _look(self, now: Now) -> None:
        """At one document only: others are waiting for this loop."""
        every_s, uniform = self._config.consider_every_s, self._state.fabric.random.uniform
        for document in self._state.library.documents():
            at = self._consider_at.get(document.name)
            if at is None:
                self._consider_at[document.name] = now.mono + every_s * uniform(0.3, 1.0)
            elif now.mono >= at:
                pause_s = every_s + len(document.records) / CONSIDER_RECORDS_PER_S
                self._consider_at[document.name] = now.mono + pause_s * uniform(0.9, 1.1)
                self._consider(document, now)
                return

    def _consider(self, document: Document, now: Now) -> None:
        kind = document.name.partition(":")[0]
        is_ours_to_judge = self._state.kinds.knows(kind) and kind not in NEVER_BUILT
        if not is_ours_to_judge or self._state.library.is_owned(document.name) or not document.is_whole:
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

    def _acknowledged_until(self, document: Document, acknowledged: Acknowledged, now: Now) -> int:
        """The hybrid time before which everything that we hold is held by everybody who counts."""
        open_times = [
            record.time
            for key, record in document.records.items()
            if document.revision_of(key) > acknowledged.revision
        ]
        return min([time_of(self._state.ms(now)), *(time - 1 for time in open_times)])

    def _is_worth_it(self, document: Document, kept: list[Record]) -> bool:
        fresh = sum(len(record.blob) + RECORD_FORM_BYTES for record in kept)
        saving = len(document.state()) - fresh
        is_all_done = not kept and bool(document.records)
        return is_all_done or saving >= max(HISTORY_BYTES_MIN, fresh * HISTORY_SHARE)

    def _rank(self, acknowledged: Acknowledged) -> int:
        """How many members should build before us: those who are here, in the order of their ids."""
        fabric = self._state.fabric
        here = sorted(each for each in fabric.membership.here() if each in acknowledged.counted)
        return sum(1 for each in here if each < fabric.me)

    def _build(
        self, document: Document, kept: list[Record], before: int, acknowledged: Acknowledged, now: Now
    ) -> None:
        body = {
            "number": number_of(document.mark) + 1,
            "context": document.context.plain(),
            "digest": _digest(kept).hex(),
            "records": len(kept),
            "dropped": not kept,
            "before": before,
            "counted": sorted(short_of(node).hex() for node in acknowledged.counted),
            "why": "done" if not kept else "history",
        }
        try:
            self._state.write([Change(Register(KIND, document.name), body)], now)
        except RecordError as error:
            self._state.fabric.count(error.reason)
            return
        self._state.fabric.count("generation-built")
        self.follow_headers([document.name], now)

    # -- following

    def _follow(self, document: Document, header: Header, now: Now) -> None:
        """Begin the new generation: at once when we hold its content, else with a form to be fetched."""
        self._following.pop(document.name, None)
        before, context = dict(document.records), document.context.copy()
        seen = [record for record in before.values() if header.context.covers(record.dot)]
        gone = droppable(seen, header.body.before, self._state.kinds, self._config.retention_scale)
        kept = [record for record in seen if record.key not in gone]
        if _digest(kept).hex() == header.body.digest:
            document.restart(header.mark, self._state.library.new_pen(), _base_form(header, kept))
            self._settle(document, header, before, context, {record.key: record for record in kept}, now)
            return
        document.restart(header.mark, self._state.library.new_pen())
        document.is_whole = False
        self._following[document.name] = _Following(header, before, context, now.mono)
        self._state.library.changed()
        self._want(document.name)

    def _finish(self, name: str, content: dict[str, Record] | None, now: Now) -> None:
        following, document = self._following.pop(name), self._state.library.get(name)
        if document is None or document.mark != following.header.mark:
            return
        document.is_whole = True
        self._settle(document, following.header, following.before, following.context, content or {}, now)
        document.find_astray()

    def _settle(
        self,
        document: Document,
        header: Header,
        before: dict[str, Record],
        context: Context,
        content: dict[str, Record],
        now: Now,
    ) -> None:
        """Decide on every record that we held and the new content lacks, and on those that we had let go."""
        done = droppable(
            document.records.values(), header.body.before, self._state.kinds, self._config.retention_scale
        )
        is_guest = self._state.has_forgotten or not header.counts(self._state.fabric.me)
        living = {record.register[:2] for record in content.values()}
        for key, record in before.items():
            if key in content or document.records.get(key) is not record:
                continue
            verdict = self._verdict(
                record, header, key in done, is_guest, record.register[:2] in living, before
            )
            self._carry_out(document, key, record, verdict, header, now)
        self._delete_again(before, context, content, now)
        document.context.join(header.context)
        self._state.library.changed()
        form = form_of(document) if document.records else None
        if form is None:
            self._state.library.close(document.name)
        self._state.fabric.persist([Write(FORM_TABLE, document.name, form)])
        self._state.fabric.count("generation-followed")

    def _verdict(
        self,
        record: Record,
        header: Header,
        is_done: bool,
        is_guest: bool,
        is_living: bool,
        before: dict[str, Record],
    ) -> str:
        if header.context.covers(record.dot):
            if is_done:
                return "dropped"
            return "put aside" if is_guest else "put back"
        if is_guest and not is_living and self._touches_gone(record, header, before):
            return "put aside"
        return "replayed"

    def _touches_gone(self, record: Record, header: Header, before: dict[str, Record]) -> bool:
        """Whether it was written to something that the builder had seen and that is no more."""
        kind = self._state.kinds.get(record.register.kind)
        if kind.revives:
            return False
        return any(
            other.register[:2] == record.register[:2] and header.context.covers(other.dot)
            for other in before.values()
        )

    def _carry_out(
        self, document: Document, key: str, record: Record, verdict: str, header: Header, now: Now
    ) -> None:
        if verdict == "replayed":
            return  # it is held, and astray until it is drawn
        if verdict == "put back":
            self._state.trouble(
                "generation-omits",
                document.name,
                header.record.author,
                f"left out {record.register}, which is open",
            )
            return
        self._state.hide(document, key)
        if verdict == "put aside":
            why = f"{document.name} was built anew without it while this node was away"
            self._quarantine.put(record, why, now)

    def _delete_again(
        self,
        before: dict[str, Record],
        context: Context,
        content: dict[str, Record],
        now: Now,
    ) -> None:
        """What we had seen and let go, and the other side had not: it stays gone unless somebody has written since."""
        if self._state.fabric.halted:
            return
        held = {record.register for record in before.values()}
        by_register: dict[Register, list[Record]] = {}
        for record in content.values():
            by_register.setdefault(record.register, []).append(record)
        gone = [
            register
            for register, records in sorted(by_register.items())
            if register not in held and all(context.covers(record.dot) for record in records)
        ]
        is_alive = (register for register in gone if self._state.view.versions(register).value() is not None)
        changes = [Change(register, None) for register in is_alive]
        try:
            self._state.write(changes, now)
        except RecordError as error:
            self._state.fabric.count(error.reason)

    def _form_records(self, document: Document) -> dict[str, Record]:
        return {key: document.records[key] for key in document.records if key not in document.astray}


def _digest(records: list[Record]) -> bytes:
    return (sum(record.hash for record in records) % (1 << 128)).to_bytes(16, "big")


def _base_form(header: Header, kept: list[Record]) -> bytes:
    """The same bytes at everybody who holds the same content: nothing needs to travel."""
    seed = hashlib.blake2b(header.mark + bytes.fromhex(header.body.digest), digest_size=8).digest()
    return form_from(kept, int.from_bytes(seed, "big") >> (64 - PEN_BITS) | 1)
