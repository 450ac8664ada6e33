"""The form of a document: the native Yjs document that says what another replica lacks, and nothing that could hurt.

Native code sees no delta that has not been read first (`update`), and none that would wait in it for another. What
pycrdt's documents keep alive through their observers is let go with the form.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pycrdt import Doc, Map, MapEvent, TransactionEvent

from crdt_state.record import Record
from crdt_state.update import ROOT, Update, UpdateError, read_update
from crdt_state.varint import clocks_of

PEN_BITS = 53  # what a JavaScript client can count to
PENS_MAX = 5_000  # as many as fit into a question: each run of each node adds one until the next generation


class FormError(Exception):
    """Native code has failed inside; nothing may be asked of this form any more."""


class Form:
    """Blobs by key, drawn with a pen that nobody else has ever used."""

    def __init__(self, pen: int) -> None:
        self.pen = pen
        self._clocks: dict[int, int] | None = None
        self._begin(b"")

    def __del__(self) -> None:
        self._deafen()

    # -- reading

    def summary(self) -> bytes:
        """The state vector."""
        return self._doc.get_state()

    def clocks(self) -> dict[int, int]:
        """The clocks of all pens, a copy. Asked some times for each delta: native code is asked once a change."""
        if self._clocks is None:
            self._clocks = clocks_of(self._doc.get_state())
        return dict(self._clocks)

    def clock(self) -> int:
        """Of our own pen."""
        return self.clocks().get(self.pen, 0)

    def delta_since(self, summary: bytes) -> bytes:
        """What a replica with this state vector lacks; empty when nothing. ValueError when it is no state vector."""
        return b"" if clocks_of(summary) == self.clocks() else self._doc.get_update(summary)

    def state(self) -> bytes:
        """All of it."""
        return self._doc.get_update()

    def get(self, key: str) -> object:
        return self._map.get(key)

    def __iter__(self) -> Iterator[str]:
        """The keys, in order."""
        return iter(sorted(self._map.keys()))

    def __len__(self) -> int:
        return len(self._map)

    def __contains__(self, key: str) -> bool:
        return key in self._map

    # -- changing

    def apply(self, updates: Sequence[bytes]) -> str:
        """Apply deltas up to the first that may not be; what was wrong with that. FormError when it cannot go on."""
        clocks = self.clocks()
        self._clocks = None
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
            raise FormError from None
        if clocks != self.clocks():  # parts that wait for each other, in a circle: they may not stay
            touched = self._ear.touched
            self._begin(self._doc.get_update())
            self._ear.touched = touched
            return "delta-malformed"
        return ""

    def take_touched(self) -> dict[str, object]:
        """What deltas have put under keys since last asked; None: they have rubbed it out."""
        touched, self._ear.touched = self._ear.touched, {}
        return touched

    def draw(self, values: Mapping[str, bytes | None]) -> bytes:
        """Put these under their keys, or rub out; the update that does the same elsewhere."""
        ear = self._ear
        ear.is_drawing = True
        self._clocks = None
        try:
            with self._doc.transaction():
                for key, value in values.items():
                    if value is not None:
                        self._map[key] = value
                    elif key in self._map:
                        del self._map[key]
        finally:
            ear.is_drawing = False
        drawn, ear.drawn = ear.drawn, b""
        return drawn

    # -- inside

    def _begin(self, state: bytes) -> None:
        self._deafen()
        self._clocks = None
        self._doc: Doc[Any] = Doc(client_id=self.pen)
        self._map: Map[Any] = self._doc.get(ROOT, type=Map)
        if state:
            self._doc.apply_update(state)
        self._ear = _Ear()
        self._map_ear = self._map.observe(self._ear.saw_keys)
        self._doc_ear = self._doc.observe(self._ear.saw_update)

    def _deafen(self) -> None:
        """An observed document refers to itself in native memory, where no collector sees it."""
        if hasattr(self, "_doc_ear"):
            self._map.unobserve(self._map_ear)
            self._doc.unobserve(self._doc_ear)


def form_from(records: Iterable[Record], pen: int) -> bytes:
    """The form of a document with these records and no history: the same bytes wherever it is made."""
    doc: Doc[Any] = Doc(client_id=pen)
    values: Map[Any] = doc.get(ROOT, type=Map)
    with doc.transaction():
        for record in sorted(records, key=lambda each: each.key):
            values[record.key] = record.blob
    return doc.get_update()


class _Ear:
    """Hears what happens in native code; refers to nothing."""

    def __init__(self) -> None:
        self.touched: dict[str, object] = {}
        self.drawn = b""
        self.is_drawing = False

    def saw_keys(self, event: MapEvent) -> None:
        if not self.is_drawing:
            for key, change in event.keys.items():  # type: ignore[attr-defined]  # pycrdt's stubs leave its events empty
                self.touched[key] = change.get("newValue")

    def saw_update(self, event: TransactionEvent) -> None:
        if self.is_drawing:
            self.drawn = event.update


def _demand_fit(update: Update, clocks: dict[int, int]) -> None:
    """UpdateError when parts of it would wait in native memory, or nobody could ask for the document any more."""
    if not update.fits(clocks):
        raise UpdateError("delta-gapped")
    if len(clocks) + len(update.stops) > PENS_MAX and len(clocks.keys() | update.stops.keys()) > PENS_MAX:
        raise UpdateError("delta-pens")


def _is_native(error: BaseException) -> bool:
    """Whether pycrdt broke: its panics are no Exception, and deep nesting ends in a RecursionError."""
    return isinstance(error, RecursionError) or type(error).__name__ == "PanicException"
