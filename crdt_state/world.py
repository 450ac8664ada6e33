"""The world on one node: every shared document, behind the calls that anti-entropy, people and agents use."""

from collections.abc import Mapping, Sequence

from crdt_state.document import Document, Merged, Stroke
from crdt_state.item import Change
from crdt_state.kind import Kinds
from crdt_state.record import Record, RecordError, Register
from crdt_state.state import WorldState, blobs_of, body_of
from mesh.events import WriteDone, WriteRefused, WriteRequested
from mesh.exchange import Exchange
from mesh.ids import NodeId
from mesh.now import Now
from mesh.ranges import Fingerprints
from mesh.replicas import Fresh
from mesh.state import FabricState
from mesh.wire import Entry

MEND_EVERY_S = 1.0
MEND_OWN_AFTER_S = 1.0  # once the peers have been heard, what is ours and astray is drawn again ...
MEND_OTHERS_AFTER_S = (3.0, 6.0)  # ... and what is not, if its author has not done it by then
SAVE_EVERY_S = 60.0
FORM_RECORDS = 1000  # changes after which a form is worth saving again
DIVERGED_AFTER_S = (
    2.0  # heads equal and contents not for so long: a record that was under way has arrived by then
)


class World:
    """Implements `mesh.replicas.Shelf`; owns the exchange that keeps it equal to the peers'."""

    def __init__(self, fabric: FabricState, kinds: Kinds, saved: Mapping[str, Mapping[str, bytes]]) -> None:
        self.state = WorldState(fabric, kinds, saved)
        self.exchange = Exchange(fabric, self)
        self._fabric = fabric
        self._roster_digest = fabric.roster.digest
        self._strange: dict[str, None] = {}  # documents that hold records of authors we do not know
        self._astray_since: dict[str, float] = {}
        self._diverged_since: dict[tuple[str, NodeId], float] = {}
        self._mend_at = float("inf")
        self._save_at = float("inf")

    # -- life

    def start(self, now: Now) -> None:
        self.state.show_all(now)
        self._mend_at = now.mono + MEND_EVERY_S
        self._save_at = now.mono + SAVE_EVERY_S * self._fabric.random.uniform(0.5, 1.0)
        self.state.save_rows()

    def stop(self) -> None:
        """Save what would otherwise have to be fetched again."""
        self.state.save_lazily()
        self.state.save_forms(1)

    def settle(self, now: Now) -> None:
        """After every event."""
        if self._fabric.roster.digest != self._roster_digest:
            self._roster_digest = self._fabric.roster.digest
            self._roster_changed(now)
        self.state.save_rows()
        self.exchange.flush(now)
        self.state.tell_changes()

    def tick(self, now: Now) -> None:
        self.exchange.tick(now)
        if now.mono >= self._mend_at:
            self._mend_at = now.mono + MEND_EVERY_S
            self.state.release_waiting(now)
            for document in list(self.state.library.documents()):
                self._mend(document, now)
        if now.mono >= self._save_at:
            self._save_at = now.mono + SAVE_EVERY_S
            self.state.save_lazily()
            self.state.save_forms(FORM_RECORDS)

    def wake_at(self) -> float:
        return min(self._mend_at, self._save_at, self.exchange.wake_at())

    # -- writing

    def request(self, request: WriteRequested, now: Now) -> None:
        """Write all of these, or nothing."""
        if self._fabric.halted:
            self._fabric.add(WriteRefused(request.token, "write-halted"))
            return
        try:
            changes = [
                Change(Register(kind, item, facet), body_of(data))
                for kind, item, facet, data in request.changes
            ]
            records = self.state.write(changes, now)
        except RecordError as error:
            self._fabric.add(WriteRefused(request.token, error.reason))
            return
        self.state.save_rows()
        self._fabric.add(WriteDone(request.token, tuple(str(record.dot) for record in records)))

    # -- the shelf

    def digests(self) -> tuple[bytes, ...]:
        return self.state.library.digests()

    def entries(self, theirs: Sequence[bytes]) -> tuple[Entry, ...]:
        library, ours = self.state.library, self.digests()
        differing = [index >= len(theirs) or theirs[index] != ours[index] for index in range(len(ours))]
        names = (name for name in library.names() if differing[library.is_owned(name)])
        entries = (self.entry(name) for name in names)
        return tuple(entry for entry in entries if entry is not None)

    def entry(self, name: str) -> Entry | None:
        document = self.state.library.get(name)
        if document is None:
            return None
        return Entry(name, document.mark, document.digest, document.is_whole and not document.astray)

    def summary(self, name: str, mark: bytes) -> bytes | None:
        document = self.state.library.open(name)
        return document.summary() if document and document.mark == mark else None

    def delta_since(self, name: str, mark: bytes, have: bytes) -> bytes | None:
        document = self._document(name, mark)
        if document is None or not document.is_whole:
            return None
        try:
            return document.delta_since(have)
        except ValueError:
            return None

    def lacks(self, name: str, mark: bytes, have: bytes) -> bool:
        document = self._document(name, mark)
        return document is not None and document.lacks(have)

    def has_fresh(self) -> bool:
        return self.state.library.has_drawn()

    def take_fresh(self) -> list[Fresh]:
        fresh = []
        for document in self.state.library.take_drawn():
            stroke = document.take_stroke()
            if stroke is not None:
                fresh.append(
                    Fresh(document.name, document.mark, stroke.pen, stroke.start, stroke.stop, stroke.updates)
                )
        return fresh

    def fits(self, name: str, mark: bytes, pen: int, start: int, stop: int) -> str:
        document = self.state.library.open(name)
        if document is None or document.mark != mark:
            return "other"
        return document.fits(Stroke(pen, start, stop, ()))

    def merge(self, sender: NodeId, name: str, mark: bytes, updates: Sequence[bytes], now: Now) -> bool:
        document = self._document(name, mark)
        if document is None:
            return False
        merged = self.state.merge(document, sender, updates, now)
        self._took(document, sender, merged, now)
        return merged.is_changed

    def fetched(self, sender: NodeId, name: str, now: Now) -> None:
        document = self.state.library.get(name)
        if document is not None and not document.is_whole:
            document.is_whole = True
            document.find_astray()

    def fingerprints(self, name: str, mark: bytes) -> Fingerprints | None:
        document = self._document(name, mark)
        if document is None:
            return None
        return Fingerprints((key, record.hash) for key, record in document.records.items())

    def diverged(self, sender: NodeId, name: str, now: Now) -> None:
        document = self.state.library.get(name)
        since = self._diverged_since.setdefault((name, sender), now.mono)
        if document is not None and not document.astray and now.mono - since >= DIVERGED_AFTER_S:
            self._diverged_since[name, sender] = float("inf")
            peer = self._fabric.roster.name(sender)
            self.state.trouble("document-diverged", name, sender, f"equal heads, other content than {peer}")

    def records(self, name: str, mark: bytes, keys: Sequence[str]) -> list[bytes]:
        document = self._document(name, mark)
        return blobs_of(document, keys) if document else []

    def take_loose(self, sender: NodeId, name: str, mark: bytes, blobs: Sequence[bytes], now: Now) -> None:
        document = self._document(name, mark)
        if document is None:
            return
        for blob in blobs:
            self._took(document, sender, self.state.take_loose(document, sender, blob, now), now)
        self.state.save_rows()

    # -- inside

    def _document(self, name: str, mark: bytes) -> Document | None:
        document = self.state.library.get(name)
        return document if document is not None and document.mark == mark else None

    def _took(self, document: Document, sender: NodeId, merged: Merged, now: Now) -> None:
        self.state.save_rows()
        if "record-stranger" in merged.refused:
            self._strange[document.name] = None
        for first, second in merged.equivocal:
            self._equivocated(document, sender, first, second)

    def _equivocated(self, document: Document, sender: NodeId, first: Record, second: Record) -> None:
        detail = f"two contents under {first.dot} in {first.register}"
        self.state.trouble("author-equivocates", document.name, first.author, detail)

    def _roster_changed(self, now: Now) -> None:
        """Take what strangers wrote who are members now; let go of what the removed wrote after their removal."""
        strange, self._strange = self._strange, {}
        for name in strange:
            document = self.state.library.get(name)
            if document is not None:
                self.state.recheck(document, now)
        if self._fabric.roster.removed():
            for document in list(self.state.library.documents()):
                out = [key for key, record in document.records.items() if self.state.gate.is_shut_out(record)]
                for key in out:
                    self.state.hide(document, key)

    def _mend(self, document: Document, now: Now) -> None:
        """Make the form agree with the records, ours first."""
        if not document.astray:
            self._astray_since.pop(document.name, None)
            return
        if not document.is_whole:
            if self._fabric.links.peers():
                return  # a peer will fill it
            document.is_whole = True
        since = self._astray_since.setdefault(document.name, now.mono)
        patience_s = self._fabric.random.uniform(*MEND_OTHERS_AFTER_S)
        is_late = now.mono - since >= patience_s
        me = self._fabric.me
        keys = [
            key
            for key in document.astray
            if is_late or (key in document.records and document.records[key].author == me)
        ]
        if now.mono - since >= MEND_OWN_AFTER_S and keys:
            document.mend(keys)
            self.state.library.drew(document)
            self._fabric.count("document-mended")
