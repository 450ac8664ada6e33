"""One shared document: a pycrdt map that carries records between nodes, and the records that are held for sure.

The records are the truth: for each key the version with the author's highest (run, number). They only ever grow
newer. The pycrdt document is their form: it knows what another replica lacks. Whatever a delta does to the form
(an older value put back, a key deleted, rubbish), the records stand, and `mend` makes the form agree with them.
Native code sees no delta that has not been read first (`update`), and none that would wait in it for another.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pycrdt import Doc, Map, MapEvent, TransactionEvent

from crdt_state.context import Context
from crdt_state.record import KEY_CHARS, Record, RecordError, decode_record
from crdt_state.update import ROOT, Update, UpdateError, read_update
from crdt_state.varint import clocks_of

DIGEST_BYTES = 16
REVISIONS_MAX = 4096  # digests remembered: a member's report is some seconds old when it arrives
PEN_BITS = 53  # what a JavaScript client can count to
PENS_MAX = 5_000  # as many as fit into a question: each run of each node adds one until the next generation
PEN_TAKEN = "delta-pen-taken"  # somebody else draws with our pen: it is to be changed before we draw again

Check = Callable[[Record], None]
"""Raises RecordError, whose reason is counted, unless the record may be taken."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What one delta did."""

    accepted: tuple[Record, ...] = ()
    refused: tuple[str, ...] = ()  # reasons, one for each record or delta that was not taken
    equivocal: tuple[tuple[Record, Record], ...] = ()  # pairs with one dot and two contents
    is_changed: bool = False  # the form has moved, even if no record has


@dataclass(frozen=True, slots=True)
class Stroke:
    """Updates that one pen has made in one go: they fit onto its clock at `start`."""

    pen: int
    start: int
    stop: int
    updates: tuple[bytes, ...]


class Document:
    """A replica of one document. `pen` must never have been used before, by anybody."""

    def __init__(self, name: str, mark: bytes, pen: int) -> None:
        self.name = name
        self.mark = mark  # which generation this is
        self.records: dict[str, Record] = {}
        self.astray: dict[str, None] = {}  # keys whose form does not agree with the record
        self.is_whole = True  # False: the form was lost; a peer's is to be fetched before ours is filled in
        self.context = Context()  # which writes have been here, also those that are gone
        self.revision = 0
        self.bytes_held = 0  # of the records; the form is about as much again
        self._revision_of: dict[str, int] = {}
        self._revisions: OrderedDict[int, int] = OrderedDict()  # digest -> revision
        self._digest = 0
        self._touched: dict[str, object] = {}  # by key: what a delta has put there
        self._strokes: list[bytes] = []
        self._stroke_start = 0
        self._open(pen)
        self._note_digest()

    # -- what it holds

    @property
    def digest(self) -> bytes:
        """Equal on two replicas exactly when their records are."""
        return self._digest.to_bytes(DIGEST_BYTES, "big")

    @property
    def pen(self) -> int:
        return self._pen

    def summary(self) -> bytes:
        """The form's state vector."""
        return self._doc.get_state()

    def delta_since(self, summary: bytes) -> bytes:
        """What a replica with this state vector lacks. ValueError when that is no state vector."""
        theirs = clocks_of(summary)
        return b"" if theirs == self._clocks() else self._doc.get_update(summary)

    def lacks(self, summary: bytes) -> bool:
        """Whether the holder of this state vector has something that the form does not. False when it is none."""
        try:
            theirs, ours = clocks_of(summary), self._clocks()
        except ValueError:
            return False
        return any(clock > ours.get(pen, 0) for pen, clock in theirs.items())

    def state(self) -> bytes:
        """The whole form, to be saved."""
        return self._doc.get_update()

    def is_drawn(self, key: str) -> bool:
        """Whether the form has something under this key, be it older or newer than what is held."""
        return key in self._map

    def revision_of(self, key: str) -> int:
        """At which revision the record under this key was taken."""
        return self._revision_of.get(key, 0)

    def revision_at(self, digest: bytes) -> int | None:
        """At which revision we had exactly this content; None when we do not remember."""
        return self._revisions.get(int.from_bytes(digest, "big"))

    # -- writing

    def put(self, record: Record) -> bool:
        """Take a record that has been checked, into the form too; False when a newer one is there already."""
        if not self._join(record):
            return False
        self._draw({record.key: record.blob})
        return True

    def hold(self, record: Record) -> bool:
        """Take a record that has been checked, or was saved, without drawing it: it is astray until `mend`."""
        if not self._join(record):
            return False
        if self._map.get(record.key) != record.blob:
            self.astray[record.key] = None
        return True

    def remember(self, record: Record) -> None:
        """Take a record that was saved; `restart` finds out how the form stands to it."""
        self._join(record)

    def mend(self, keys: Iterable[str]) -> None:
        """Draw these astray records anew, and rub out what is no record."""
        drawn: dict[str, bytes | None] = {}
        for key in keys:
            if key in self.astray:
                del self.astray[key]
                record = self.records.get(key)
                drawn[key] = record.blob if record else None
        self._draw(drawn)

    def drop(self, key: str) -> Record | None:
        """Hold this record no longer (its form stays until the next generation); for authors that are out."""
        record = self.records.pop(key, None)
        if record is not None:
            self._revision_of.pop(key, None)
            self.bytes_held -= len(record.blob)
            self._count_in(-record.hash)
        return record

    def take_stroke(self) -> Stroke | None:
        """What was drawn here since last asked."""
        if not self._strokes:
            return None
        stop = self._clocks().get(self._pen, 0)
        stroke = Stroke(self._pen, self._stroke_start, stop, tuple(self._strokes))
        self._strokes, self._stroke_start = [], stop
        return stroke

    # -- merging

    def fits(self, stroke: Stroke) -> str:
        """How a pen's stroke fits: `known`, `next`, or `gap` when earlier ones are missing."""
        clock = self._clocks().get(stroke.pen, 0)
        if clock >= stroke.stop:
            return "known"
        return "next" if clock >= stroke.start else "gap"

    def merge(self, updates: Sequence[bytes], check: Check) -> Merged:
        """Apply deltas; every record in them is checked on its own. What is no good is refused and set astray."""
        self._touched.clear()
        before = self._clocks()
        fault = self._apply(updates)
        refused = [fault] if fault else []
        accepted: list[Record] = []
        equivocal: list[tuple[Record, Record]] = []
        touched, self._touched = self._touched, {}
        for key in sorted(touched):
            self._take(key, touched[key], check, accepted, refused, equivocal)
        after = self._clocks()
        if after.get(self._pen, 0) > before.get(self._pen, 0):
            refused.append(PEN_TAKEN)
        return Merged(tuple(accepted), tuple(refused), tuple(equivocal), bool(touched) or after != before)

    def take_loose(self, blob: bytes, check: Check) -> Merged:
        """A record that came by itself, by reconciliation."""
        accepted: list[Record] = []
        refused: list[str] = []
        equivocal: list[tuple[Record, Record]] = []
        try:
            key = decode_record(blob).key
        except RecordError as error:
            return Merged(refused=(error.reason,))
        self._take(key, blob, check, accepted, refused, equivocal)
        if accepted:
            self.astray[key] = None
        return Merged(tuple(accepted), tuple(refused), tuple(equivocal))

    def recheck(self, check: Check) -> Merged:
        """Look again at what the form holds and the records do not: an author may have become known."""
        accepted: list[Record] = []
        refused: list[str] = []
        equivocal: list[tuple[Record, Record]] = []
        for key in sorted(self._map.keys()):
            if key not in self.records:
                self._take(key, self._map.get(key), check, accepted, refused, equivocal)
        return Merged(tuple(accepted), tuple(refused), tuple(equivocal))

    # -- opening

    def restart(self, mark: bytes, pen: int, state: bytes = b"") -> bool:
        """Begin anew from this form; the records stay, and those that it lacks are astray. False: it was unreadable."""
        self.mark = mark
        self._open(pen)
        is_readable = not state or not self._apply((state,))
        drawn, self._touched = self._touched, {}  # reading each key again would cost as much as all the rest
        self.is_whole = self.is_whole and is_readable
        self.astray = {key: None for key, record in self.records.items() if drawn.get(key) != record.blob}
        return is_readable

    def find_astray(self) -> None:
        """Compare form and records, key by key."""
        self.astray = {key: None for key, record in self.records.items() if self._map.get(key) != record.blob}

    def _open(self, pen: int, state: bytes = b"") -> None:
        doc: Doc[Any] = Doc(client_id=pen)
        self._pen, self._doc, self._map = pen, doc, doc.get(ROOT, type=Map)
        if state:
            doc.apply_update(state)
        self._touched = {}
        self._is_drawing = False
        self._strokes.clear()
        self._stroke_start = 0
        self._subscriptions = (self._map.observe(self._saw_keys), self._doc.observe(self._saw_update))

    def _reopen_empty(self) -> None:
        """The native document may be broken: start one with nothing in it, and have a peer fill it."""
        self._open(self._pen + 1 if self._pen + 1 < 2**PEN_BITS else 1)
        self.is_whole = False
        self.find_astray()

    # -- inside

    def _clocks(self) -> dict[int, int]:
        return clocks_of(self.summary())

    def _apply(self, updates: Sequence[bytes]) -> str:
        """Apply what may be applied, up to the first that may not; what was wrong with that."""
        clocks = self._clocks()
        try:
            for data in updates:
                update = read_update(data)
                _demand_fit(update, clocks)
                self._doc.apply_update(data)
                for pen, stop in update.stops.items():
                    clocks[pen] = max(clocks.get(pen, 0), stop)
        except UpdateError as error:
            return error.reason
        except ValueError:
            return "delta-malformed"
        except BaseException as error:
            if not _is_native(error):
                raise
            self._reopen_empty()
            return "delta-malformed"
        if clocks != self._clocks():  # parts that wait for each other, in a circle: they may not stay
            touched = self._touched
            self._open(self._pen, self._doc.get_update())
            self._touched = touched
            return "delta-malformed"
        return ""

    def _saw_keys(self, event: MapEvent) -> None:
        if self._is_drawing:
            return
        for key, change in event.keys.items():  # type: ignore[attr-defined]  # pycrdt's stubs leave its events empty
            self._touched[key] = change.get("newValue")

    def _saw_update(self, event: TransactionEvent) -> None:
        if self._is_drawing:
            self._strokes.append(event.update)

    def _draw(self, values: dict[str, bytes | None]) -> None:
        if not values:
            return
        if not self._strokes:
            self._stroke_start = self._clocks().get(self._pen, 0)
        self._is_drawing = True
        try:
            with self._doc.transaction():
                for key, value in values.items():
                    if value is not None:
                        self._map[key] = value
                    elif key in self._map:
                        del self._map[key]
        finally:
            self._is_drawing = False

    def _take(
        self,
        key: str,
        value: object,
        check: Check,
        accepted: list[Record],
        refused: list[str],
        equivocal: list[tuple[Record, Record]],
    ) -> None:
        """One key of the form has changed: hold its record, or say why not."""
        held = self.records.get(key)
        if held is not None and value == held.blob:
            self.astray.pop(key, None)
            return
        if held is None and value is None:
            self.astray.pop(key, None)  # rubbish has been rubbed out
            return
        try:
            record = self._read(key, value)
            if held is not None and record.dot[1:] < held.dot[1:]:
                raise RecordError("record-rolled-back")
            check(record)
        except RecordError as error:
            refused.append(error.reason)
            if held is not None or error.reason in _RUBBISH:
                self.astray[key] = None
            return
        if held is not None and held.dot == record.dot:
            equivocal.append((held, record))
        if self._join(record):
            accepted.append(record)
            self.astray.pop(key, None)
        else:
            self.astray[key] = None

    def _read(self, key: str, value: object) -> Record:
        if value is None:
            raise RecordError("record-rubbed-out")
        if len(key) != KEY_CHARS or not isinstance(value, bytes | bytearray):
            raise RecordError("record-malformed")
        record = decode_record(bytes(value))
        if record.key != key:
            raise RecordError("record-misplaced")
        return record

    def _join(self, record: Record) -> bool:
        held = self.records.get(record.key)
        if held is not None and (held.dot[1:], held.hash) >= (record.dot[1:], record.hash):
            return False
        if held is not None:
            self._digest -= held.hash
            self.bytes_held -= len(held.blob)
        self.bytes_held += len(record.blob)
        self.records[record.key] = record
        self.context.note(record.dot)
        self._count_in(record.hash)
        self._revision_of[record.key] = self.revision
        return True

    def _count_in(self, change: int) -> None:
        self._digest = (self._digest + change) % (1 << DIGEST_BYTES * 8)
        self.revision += 1
        self._note_digest()

    def _note_digest(self) -> None:
        self._revisions.pop(self._digest, None)
        self._revisions[self._digest] = self.revision
        if len(self._revisions) > REVISIONS_MAX:
            self._revisions.popitem(last=False)


def form_from(records: Iterable[Record], pen: int) -> bytes:
    """The form of a document with these records and no history: the same bytes wherever it is made."""
    doc: Doc[Any] = Doc(client_id=pen)
    values: Map[Any] = doc.get(ROOT, type=Map)
    with doc.transaction():
        for record in sorted(records, key=lambda each: each.key):
            values[record.key] = record.blob
    return doc.get_update()


_RUBBISH = ("record-malformed", "record-misplaced", "record-oversized", "record-forged")
"""What nobody will ever accept; other refusals depend on the roster or the date, and are left as they are."""


def _demand_fit(update: Update, clocks: dict[int, int]) -> None:
    """UpdateError when parts of it would wait in native memory, or nobody could ask for the document any more."""
    if not update.fits(clocks):
        raise UpdateError("delta-gapped")
    if len(clocks) + len(update.stops) > PENS_MAX and len(clocks.keys() | update.stops.keys()) > PENS_MAX:
        raise UpdateError("delta-pens")


def _is_native(error: BaseException) -> bool:
    """Whether pycrdt broke: its panics are no Exception, and deep nesting ends in a RecursionError."""
    return isinstance(error, RecursionError) or type(error).__name__ == "PanicException"
