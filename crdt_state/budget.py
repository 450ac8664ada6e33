"""The growth budget: what the shared state weighs, who makes it grow, and when it will be full."""

import msgspec

from crdt_state.document import Document
from crdt_state.state import DOCUMENT_BYTES_MAX, WorldState
from mesh.now import Now

DAY_S = 86_400.0
FORECAST_AFTER_S = 600.0  # a forecast from less than ten minutes would be guesswork


class DocumentWeight(msgspec.Struct, frozen=True):
    """One document."""

    name: str
    records: int
    record_bytes: int
    form_bytes: int
    history_bytes: int  # of the form: what a new generation would save
    limit_bytes: int
    bytes_per_day: float | None
    days_left: float | None


class WriterWeight(msgspec.Struct, frozen=True):
    """What one author wrote of one kind since this node came up."""

    kind: str
    author: str
    name: str
    writes: int
    bytes: int
    bytes_per_write: float
    bytes_per_day: float | None


class Budget(msgspec.Struct, frozen=True):
    """Everything, heaviest first."""

    seconds: float
    record_bytes: int
    form_bytes: int
    documents: list[DocumentWeight]
    writers: list[WriterWeight]


class Growth:
    """Remembers what the documents weighed when this run began."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._began = 0.0
        self._first: dict[str, int] = {}

    def start(self, now: Now) -> None:
        self._began = now.mono
        self._first = {document.name: document.bytes_held for document in self._state.library.documents()}

    def budget(self, now: Now) -> Budget:
        """As of now. Measures every form, which takes a millisecond for ten thousand records."""
        seconds = max(now.mono - self._began, 0.0)
        documents = [self._document(each, seconds) for each in self._state.library.documents()]
        documents.sort(key=lambda each: (-each.form_bytes, each.name))
        return Budget(
            seconds,
            sum(each.record_bytes for each in documents),
            sum(each.form_bytes for each in documents),
            documents,
            self._writers(seconds),
        )

    def _document(self, document: Document, seconds: float) -> DocumentWeight:
        form_bytes = len(document.state())
        fresh = document.bytes_held + 45 * len(document.records)
        grown = document.bytes_held - self._first.get(document.name, 0)
        per_day = _per_day(max(grown, 0), seconds)
        left = (DOCUMENT_BYTES_MAX - document.bytes_held) / per_day if per_day else None
        return DocumentWeight(
            document.name,
            len(document.records),
            document.bytes_held,
            form_bytes,
            max(form_bytes - fresh, 0),
            DOCUMENT_BYTES_MAX,
            per_day,
            left,
        )

    def _writers(self, seconds: float) -> list[WriterWeight]:
        name = self._state.fabric.roster.name
        weights = [
            WriterWeight(kind, author, name(author), writes, size, size / writes, _per_day(size, seconds))
            for (kind, author), (writes, size) in sorted(self._state.written.items())
        ]
        return sorted(weights, key=lambda each: (-each.bytes, each.kind, each.author))


def _per_day(size: int, seconds: float) -> float | None:
    return size / seconds * DAY_S if seconds >= FORECAST_AFTER_S else None
