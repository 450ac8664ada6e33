"""What the machines of the world share on one node, and how a record gets in: written here, or taken from a peer."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from crdt_state.document import Document, Merged
from crdt_state.gate import Gate
from crdt_state.item import Change, Versions
from crdt_state.kind import Kinds
from crdt_state.library import FORM_TABLE, RECORD_TABLE, Library, form_of
from crdt_state.record import Dot, Record, RecordError, Register, encode_body, make_record
from crdt_state.view import View
from mesh.events import RecordsChanged, WorldTrouble, Write
from mesh.hybrid import HybridClock, is_future
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import FabricState

DOCUMENT_BYTES_MAX = (
    67_108_864  # a hundred thousand records of six hundred bytes; beyond it writes are refused
)


class WorldState:
    """Documents, view and clock of one node. Nothing here decides what to do about trouble; it only tells of it."""

    def __init__(self, fabric: FabricState, kinds: Kinds, saved: Mapping[str, Mapping[str, bytes]]) -> None:
        self.fabric = fabric
        self.kinds = kinds
        self.library = Library(kinds, fabric.random)
        self.gate = Gate(kinds, fabric.roster)
        self.view = View()
        self.clock = HybridClock()
        self.seq = 0
        self.waiting: dict[str, Record] = {}  # from the far future, by key: held, not in view
        self.written: dict[
            tuple[str, NodeId], tuple[int, int]
        ] = {}  # by kind and author: writes, bytes; this run
        self.has_forgotten = (
            fabric.birth.doubts
        )  # something that we wrote in an earlier run is not in our store
        self._rows: dict[tuple[str, str], Write] = {}
        self._lazy: dict[tuple[str, str], None] = {}  # others' frames and the like, to be saved now and then
        self._saved_revision: dict[str, int] = {}  # of each form
        self._changed: dict[str, dict[Register, None]] = {}
        damaged = self.library.load(saved)
        self.is_damaged = bool(damaged)  # what we do not hold may have been lost here, not let go
        for reason in damaged:
            fabric.count(reason)
        self._last_own = self._last_saved()

    # -- time

    def ms(self, now: Now) -> int:
        """The date by the mesh's time."""
        return self.fabric.clock.mesh_ms(now.wall_ms)

    # -- coming up

    def show_all(self, now: Now) -> None:
        """Put everything that was loaded into the view."""
        ms = self.ms(now)
        for document in self.library.documents():
            if document.has_unheld():
                self.recheck(document, now)  # its form was saved later than its rows, or a row has rotted
            self._saved_revision[document.name] = document.revision
            for record in document.records.values():
                self.clock.saw(record.time, ms)
                self._show(record, ms)
        self._changed.clear()

    def know_own(self, dot: Dot) -> None:
        """Our store knows of this write of ours."""
        self._last_own = max(self._last_own, dot[1:])

    def compare_own(self, dot: Dot) -> None:
        """Others know this write of ours: later than the last of an earlier run that we know means forgotten."""
        if dot.run >= self.fabric.birth.incarnation or dot[1:] <= self._last_own:
            return
        self._last_own = dot[1:]
        if not self.has_forgotten:
            self.has_forgotten = True
            detail = "peers hold records that this node wrote in an earlier run and has lost"
            self.trouble("world-forgotten", "", self.fabric.me, detail)

    def hide_future(self, now: Now) -> None:
        """Our idea of the date went back: what is in the far future now waits, whoever wrote it."""
        ms = self.ms(now)
        for document in self.library.documents():
            for record in document.records.values():
                if is_future(record.time, ms) and record.key not in self.waiting:
                    self.waiting[record.key] = record
                    self.view.take_out(record)
                    self._changed.setdefault(document.name, {})[record.register] = None

    # -- writing

    def write(self, changes: Sequence[Change], now: Now) -> list[Record]:
        """Sign, hold and draw new versions, all or none (RecordError); `save_rows` makes them durable."""
        seq = self.seq
        drafts: list[tuple[Document, Record]] = []
        for change in changes:
            draft = self._draft(change, seq + 1, now)
            seq += draft[1].dot.seq == seq + 1
            drafts.append(draft)
        self.seq = seq
        for document, record in drafts:
            if document.put(record):
                self.library.drew(document)
                self._accepted(document, record, now)
        return [record for _, record in drafts]

    # -- taking

    def merge(self, document: Document, sender: NodeId, updates: Sequence[bytes], now: Now) -> Merged:
        """Take a peer's deltas."""
        merged = document.merge(updates, lambda record: self.gate.check(record, document.name))
        self._took(document, sender, merged, now)
        return merged

    def take_loose(self, document: Document, sender: NodeId, blob: bytes, now: Now) -> Merged:
        """Take a single record from a peer."""
        merged = document.take_loose(blob, lambda record: self.gate.check(record, document.name))
        self._took(document, sender, merged, now)
        return merged

    def recheck(self, document: Document, now: Now) -> None:
        """Take what had been refused for a reason that may have gone."""
        merged = document.recheck(lambda record: self.gate.check(record, document.name))
        for record in merged.accepted:
            self._accepted(document, record, now)

    def hide(self, document: Document, key: str) -> None:
        """Hold a record no longer: it is not in view, not saved, and not in the digest."""
        record = document.drop(key)
        if record is not None:
            self.waiting.pop(key, None)
            self.view.take_out(record)
            self._changed.setdefault(document.name, {})[record.register] = None
            self._save(document.name, key, None)
            self.library.changed()

    def release_waiting(self, now: Now) -> list[Record]:
        """Show what is no longer in the far future."""
        ms = self.ms(now)
        ready = [record for record in self.waiting.values() if not is_future(record.time, ms)]
        for record in ready:
            del self.waiting[record.key]
            self.view.put(record)
            name = self.kinds.document_of(record.register)
            self._changed.setdefault(name or "", {})[record.register] = None
        return ready

    # -- telling and saving

    def trouble(self, code: str, document: str, node: str, detail: str) -> None:
        self.fabric.count(code, node)
        self.fabric.add(WorldTrouble(code, document, node, detail))

    def take_changes(self) -> dict[str, dict[Register, None]]:
        """The registers that have changed since last asked, by document."""
        changed, self._changed = self._changed, {}
        return changed

    def tell_changes(self, changed: Mapping[str, Mapping[Register, None]]) -> None:
        """News of what has changed, for whoever listens."""
        for name, registers in changed.items():
            self.fabric.add(RecordsChanged(name, tuple(tuple(each) for each in registers)))  # type: ignore[misc]  # a Register is the triple

    def save_lazily(self) -> None:
        """Save others' latest frames; they are no promise of ours, so a crash may lose the last minute of them."""
        writes = []
        for name, key in self._lazy:
            document = self.library.get(name)
            record = document.records.get(key) if document else None
            writes.append(Write(RECORD_TABLE + name, key, record.blob if record else None))
        self._lazy.clear()
        self.fabric.persist(writes)

    def save_forms(self, at_least: int) -> None:
        """Save the forms of documents that have changed by so many records since they were saved."""
        writes = []
        for document in self.library.documents():
            changed = document.revision - self._saved_revision.get(document.name, 0)
            is_due = changed and changed >= min(at_least, len(document.records) // 4 or 1)
            if is_due and document.is_whole:  # one that is being fetched must be fetched again after a crash
                self._saved_revision[document.name] = document.revision
                writes.append(Write(FORM_TABLE, document.name, form_of(document)))
        self.fabric.persist(writes)

    def save_generation(self, document: Document) -> None:
        """Have the form of a new generation made durable with the records that changed with it; none: closed."""
        form = form_of(document) if document.records else None
        self._rows[FORM_TABLE, document.name] = Write(FORM_TABLE, document.name, form)
        self._saved_revision[document.name] = document.revision
        if form is None:
            del self._saved_revision[document.name]
            self.library.close(document.name)

    def save_beside(self, write: Write) -> None:
        """Have a row of another table made durable together with the records."""
        self._rows[write.table, write.key] = write

    def save_rows(self) -> None:
        """Have what was written and taken since last asked made durable; before anybody is told of it."""
        self.fabric.persist(self._rows.values())
        self._rows.clear()

    # -- inside

    def _draft(self, change: Change, seq: int, now: Now) -> tuple[Document, Record]:
        """The record of a change; the one that is there when it says the same: that would cost bytes for nothing."""
        register, fabric = change.register, self.fabric
        name = self._name_of(register)
        versions = self.view.versions(register)
        mine = versions.by_author.get(fabric.me)
        if mine is not None and _is_same(mine, change) and self._is_settled(versions, mine):
            return self._opened(name), mine
        over = self._over(versions, mine)
        stamp, run = self.clock.stamp(self.ms(now)), fabric.birth.incarnation
        record = make_record(fabric.keys.identity, register, run, seq, stamp, over, change.body)
        self.gate.check_writer(record, name)
        return self._opened(name), record

    def _over(self, versions: Versions, mine: Record | None) -> tuple[Dot, ...]:
        """What a new version is over; with the first of our own, which tells a new thing from one written again."""
        kind = self.kinds.get(versions.register.kind)
        others = () if kind.each_observes else versions.dots(self.fabric.me)
        if mine is None or kind.group == "owner":
            return others
        first = next((dot for dot in mine.over if dot.author == mine.author), mine.dot)
        return (*others, first)

    def _is_settled(self, versions: Versions, mine: Record) -> bool:
        is_alone = self.kinds.get(mine.register.kind).each_observes or versions.heads() == [mine]
        return is_alone and mine.key not in self.waiting

    def _last_saved(self) -> tuple[int, int]:
        """Run and number of the last write of ours that our store knows of."""
        contexts = (document.context for document in self.library.documents())
        return max((context.last_of(self.fabric.me) for context in contexts), default=(0, 0))

    def _name_of(self, register: Register) -> str:
        """The document that a register belongs into. RecordError when there is none."""
        name = self.kinds.document_of(register)
        if name is None or not self.kinds.knows(register.kind):
            raise RecordError("record-misplaced")
        return name

    def _opened(self, name: str) -> Document:
        """The document to write into, opened now that nothing else speaks against it. RecordError when it is full."""
        document = self.library.open(name, is_ours=True)
        if document is None:
            raise RecordError("documents-full")
        if document.bytes_held > DOCUMENT_BYTES_MAX:
            raise RecordError("document-full")
        return document

    def _took(self, document: Document, sender: NodeId, merged: Merged, now: Now) -> None:
        for reason in merged.refused:
            self.fabric.count(reason, sender)
        for record in merged.accepted:
            self._accepted(document, record, now)

    def _accepted(self, document: Document, record: Record, now: Now) -> None:
        """A record is new to us: in view, unless it must wait; durable before anybody is told of it."""
        ms = self.ms(now)
        me, kind = self.fabric.me, record.register.kind
        self.library.changed()
        self.clock.saw(record.time, ms)
        if record.author == me:
            self._saw_own(record)
        writes, size = self.written.get((kind, record.author), (0, 0))
        self.written[kind, record.author] = (writes + 1, size + len(record.blob))
        if self.library.is_owned(document.name) and record.author != me:
            self._lazy[document.name, record.key] = None
        else:
            self._save(document.name, record.key, record.blob)
        self._show(record, ms)

    def _save(self, name: str, key: str, blob: bytes | None) -> None:
        self._rows[name, key] = Write(RECORD_TABLE + name, key, blob)

    def _show(self, record: Record, ms: int) -> None:
        if is_future(record.time, ms):
            self.waiting[record.key] = record
            return
        self.waiting.pop(record.key, None)
        self.view.put(record)
        name = self.kinds.document_of(record.register) or ""
        self._changed.setdefault(name, {})[record.register] = None

    def _saw_own(self, record: Record) -> None:
        """A record of our own comes from elsewhere: of this run it is a twin's, of an earlier one it was forgotten."""
        run, seq = record.dot.run, record.dot.seq
        if run == self.fabric.birth.incarnation:
            self.seq = max(self.seq, seq)
        else:
            self.compare_own(record.dot)


def body_of(data: bytes | None) -> dict[str, object] | None:
    """A body from its MessagePack. RecordError when it is none."""
    if data is None:
        return None
    try:
        return msgspec.msgpack.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RecordError("record-malformed") from None


def blobs_of(document: Document, keys: Iterable[str]) -> list[bytes]:
    return [document.records[key].blob for key in keys if key in document.records]


def _is_same(record: Record, change: Change) -> bool:
    body = None if change.body is None else encode_body(change.body)
    return record.body_bytes == body
