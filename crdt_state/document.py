"""One shared document: a pycrdt map that carries records between nodes, and the records that are held for sure.

The records are the truth: for each key the version with the author's highest (run, number). They only ever grow
newer. The pycrdt document is their form: it knows what another replica lacks. Whatever a delta does to the form
(an older value put back, a key deleted, rubbish), the records stand, and `mend` makes the form agree with them.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from crdt_state.context import Context
from crdt_state.form import PEN_BITS, Form, FormError
from crdt_state.record import KEY_CHARS, Record, RecordError, decode_record
from crdt_state.varint import clocks_of

DIGEST_BYTES = 16
REVISIONS_MAX = 4096  # digests remembered: a member's report is some seconds old when it arrives
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
        self.context = (
            Context()
        )  # which writes have been here, also those that are gone, as builders claim too
        self.seen = Context()  # of them those that we have held ourselves
        self.revision = 0
        self.bytes_held = 0  # of the records; the form is about as much again
        self._revision_of: dict[str, int] = {}
        self._revisions: OrderedDict[int, int] = OrderedDict()  # digest -> revision
        self._digest = 0
        self._form = Form(pen)
        self._strokes: list[bytes] = []
        self._stroke_start = 0
        self._note_digest()

    # -- what it holds

    @property
    def digest(self) -> bytes:
        """Equal on two replicas exactly when their records are."""
        return self._digest.to_bytes(DIGEST_BYTES, "big")

    @property
    def pen(self) -> int:
        return self._form.pen

    @property
    def pens(self) -> int:
        """How many pens have drawn in the form."""
        return len(self._form.clocks())

    def summary(self) -> bytes:
        """The form's state vector."""
        return self._form.summary()

    def delta_since(self, summary: bytes) -> bytes:
        """What a replica with this state vector lacks. ValueError when that is no state vector."""
        return self._form.delta_since(summary)

    def lacks(self, summary: bytes) -> bool:
        """Whether the holder of this state vector has something that the form does not. False when it is none."""
        try:
            theirs, ours = clocks_of(summary), self._form.clocks()
        except ValueError:
            return False
        return any(clock > ours.get(pen, 0) for pen, clock in theirs.items())

    def state(self) -> bytes:
        """The whole form, to be saved."""
        return self._form.state()

    def is_drawn(self, key: str) -> bool:
        """Whether the form has something under this key, be it older or newer than what is held."""
        return key in self._form

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
        if self._form.get(record.key) != record.blob:
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
        stop = self._form.clock()
        stroke = Stroke(self.pen, self._stroke_start, stop, tuple(self._strokes))
        self._strokes, self._stroke_start = [], stop
        return stroke

    # -- merging

    def fits(self, stroke: Stroke) -> str:
        """How a pen's stroke fits: `known`, `next`, or `gap` when earlier ones are missing."""
        clock = self._form.clocks().get(stroke.pen, 0)
        if clock >= stroke.stop:
            return "known"
        return "next" if clock >= stroke.start else "gap"

    def merge(self, updates: Sequence[bytes], check: Check) -> Merged:
        """Apply deltas; every record in them is checked on its own. What is no good is refused and set astray."""
        before = self._form.clocks()
        fault = self._apply(updates)
        found = _Found([fault] if fault else [])
        touched = self._form.take_touched()
        for key in sorted(touched):
            self._look(key, touched[key], check, found)
        after = self._form.clocks()
        if after.get(self.pen, 0) > before.get(self.pen, 0):
            found.refused.append(PEN_TAKEN)
        return found.merged(is_changed=bool(touched) or after != before)

    def take_loose(self, blob: bytes, check: Check) -> Merged:
        """A record that came by itself, by reconciliation."""
        found = _Found([])
        try:
            record = decode_record(blob)
            if self._take(record, check, found):
                self.astray[record.key] = None
        except RecordError as error:
            found.refused.append(error.reason)
        return found.merged()

    def recheck(self, check: Check) -> Merged:
        """Look again at what the form has and we do not hold: its author may have become a member, our row be lost."""
        found = _Found([])
        for key in self._form:
            if key not in self.records or key in self.astray:
                self._look(key, self._form.get(key), check, found)
        return found.merged()

    def has_unheld(self) -> bool:
        """Whether the form may have something that is newer than what is held."""
        return bool(self.astray) or len(self._form) != len(self.records)

    # -- opening

    def restart(self, mark: bytes, pen: int, state: bytes = b"") -> bool:
        """Begin anew from this form; the records stay, and those that it lacks are astray. False: it was unreadable."""
        self.mark = mark
        self._open(pen)
        is_readable = not state or not self._apply((state,))
        drawn = self._form.take_touched()  # reading each key again would cost as much as all the rest
        self.is_whole = self.is_whole and is_readable
        self.astray = {key: None for key, record in self.records.items() if drawn.get(key) != record.blob}
        return is_readable

    def find_astray(self) -> None:
        """Compare form and records, key by key."""
        self.astray = {
            key: None for key, record in self.records.items() if self._form.get(key) != record.blob
        }

    # -- inside

    def _open(self, pen: int) -> None:
        self._form = Form(pen)
        self._strokes, self._stroke_start = [], 0

    def _apply(self, updates: Sequence[bytes]) -> str:
        """Apply deltas; what was wrong with the first that was not applied."""
        try:
            return self._form.apply(updates)
        except FormError:
            self._open(self.pen + 1 if self.pen + 1 < 2**PEN_BITS else 1)
            self.is_whole = False  # a peer will fill it
            self.find_astray()
            return "delta-malformed"

    def _draw(self, values: dict[str, bytes | None]) -> None:
        if not values:
            return
        if not self._strokes:
            self._stroke_start = self._form.clock()
        drawn = self._form.draw(values)
        if drawn:
            self._strokes.append(drawn)

    def _look(self, key: str, value: object, check: Check, found: "_Found") -> None:
        """One key of the form has changed: hold its record, or say why not; what we hold stays, and is then astray."""
        held = self.records.get(key)
        self.astray.pop(key, None)
        if value == (held.blob if held else None):
            return  # mended, or rubbish that was rubbed out
        try:
            is_astray = not self._take(_read(key, value), check, found)
        except RecordError as error:
            found.refused.append(error.reason)
            is_astray = held is not None or error.reason in _RUBBISH
        if is_astray:
            self.astray[key] = None

    def _take(self, record: Record, check: Check, found: "_Found") -> bool:
        """Whether this record is held from now on; RecordError says why it may not be."""
        held = self.records.get(record.key)
        if held is not None and held.blob == record.blob:
            return False
        if held is not None and record.dot[1:] < held.dot[1:]:
            raise RecordError("record-rolled-back")
        check(record)
        if held is not None and held.dot == record.dot:
            found.equivocal.append((held, record))
        if not self._join(record):
            return False
        found.accepted.append(record)
        return True

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
        self.seen.note(record.dot)
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


@dataclass(frozen=True, slots=True)
class _Found:
    """What one merge has come to so far."""

    refused: list[str]
    accepted: list[Record] = field(default_factory=list)
    equivocal: list[tuple[Record, Record]] = field(default_factory=list)

    def merged(self, is_changed: bool = False) -> Merged:
        return Merged(tuple(self.accepted), tuple(self.refused), tuple(self.equivocal), is_changed)


def _read(key: str, value: object) -> Record:
    if value is None:
        raise RecordError("record-rubbed-out")
    if len(key) != KEY_CHARS or not isinstance(value, bytes | bytearray):
        raise RecordError("record-malformed")
    record = decode_record(bytes(value))
    if record.key != key:
        raise RecordError("record-misplaced")
    return record


_RUBBISH = ("record-malformed", "record-misplaced", "record-oversized", "record-forged")
"""What nobody will ever accept; other refusals depend on the roster or the date, and are left as they are."""
