"""Mending: forms are made to agree with the records that are held, and both are saved now and then."""

from collections.abc import Callable

from crdt_state.document import Document
from crdt_state.state import WorldState
from mesh.ids import NodeId
from mesh.now import Now

MEND_EVERY_S = 1.0
OWN_AFTER_S = 1.0  # once the peers have been heard, what is ours and astray is drawn again ...
OTHERS_AFTER_S = (2.0, 4.0)  # ... and what is not, if its author has not done it by then
ALONE_AFTER_S = 15.0  # nobody has answered
SAVE_EVERY_S = 60.0
FORM_RECORDS = 1000  # changes after which a form is worth saving again


class Mending:
    """Owns the repairs that need no peer."""

    def __init__(self, state: WorldState, is_awaited: Callable[[str], bool]) -> None:
        self._is_awaited = is_awaited  # whether a document's content is on its way, or must be waited for
        self._state = state
        self._astray_since: dict[str, float] = {}  # by document
        self._strange: dict[str, None] = {}  # documents that hold records of authors we do not know
        self._roster_digest = state.fabric.roster.digest
        self._members = state.fabric.roster.members()
        self._removals: list[tuple[NodeId, int]] = []
        self._lost_since: dict[str, float] = {}  # documents whose form is to be fetched
        self._mend_at = float("inf")
        self._save_at = float("inf")

    def start(self, now: Now) -> None:
        self._mend_at = now.mono + MEND_EVERY_S
        self._save_at = now.mono + SAVE_EVERY_S * self._state.fabric.random.uniform(0.5, 1.0)

    def stop(self) -> None:
        """Save what would otherwise have to be fetched again."""
        self._state.save_lazily()
        self._state.save_forms(1)

    def tick(self, now: Now) -> None:
        if now.mono >= self._mend_at:
            self._mend_at = now.mono + MEND_EVERY_S
            self._state.release_waiting(now)
            for document in list(self._state.library.documents()):
                self._mend(document, now)
        if now.mono >= self._save_at:
            self._save_at = now.mono + SAVE_EVERY_S
            self._state.save_lazily()
            self._state.save_forms(FORM_RECORDS)

    def wake_at(self) -> float:
        return min(self._mend_at, self._save_at)

    def strange(self, document: Document) -> None:
        """This document has records of authors that we do not know yet."""
        self._strange[document.name] = None

    def rolled_back(self, document: Document) -> None:
        """A delta has put older versions over ours: they are drawn again at once, by us alone."""
        keys = self._ours(document)
        if keys and document.is_whole:
            self._draw(document, keys)

    def look_at_roster(self, now: Now) -> None:
        """Take what strangers wrote who are members now; let go of what the removed wrote after their removal."""
        roster = self._state.fabric.roster
        if roster.digest == self._roster_digest:
            return
        self._roster_digest = roster.digest
        strange, self._strange = self._strange, {}
        for name in strange:
            document = self._state.library.get(name)
            if document is not None:
                self._state.recheck(document, now)
        removals = [(node, gone.at_ms) for node in roster.removed() if (gone := roster.removal(node))]
        if removals != self._removals:
            self._removals = removals
            undone = {node for node in self._members if roster.identity(node) is None}
            for document in list(self._state.library.documents()):
                self._shut_out(document, undone)
        self._members = roster.members()

    def _shut_out(self, document: Document, undone: set[NodeId]) -> None:
        """`undone`: those whose admission is void, as a steward signed it after its own removal."""
        is_shut_out = self._state.gate.is_shut_out
        for key, record in list(document.records.items()):
            if record.author in undone:
                self._strange[document.name] = None  # another steward may admit them
            elif not is_shut_out(record):
                continue
            self._state.hide(document, key)

    def _give_up(self, document: Document, now: Now) -> None:
        """A form that nobody has is made anew from the records."""
        if document.is_whole or self._is_awaited(document.name):
            self._lost_since.pop(document.name, None)
        elif now.mono - self._lost_since.setdefault(document.name, now.mono) >= ALONE_AFTER_S:
            document.is_whole = True
            document.find_astray()
            self._state.library.changed()
            self._state.fabric.count("form-made-anew")

    def _mend(self, document: Document, now: Now) -> None:
        """Make the form agree with the records, ours first."""
        self._give_up(document, now)
        if not document.astray or not document.is_whole:
            self._astray_since.pop(document.name, None)
            return
        fabric = self._state.fabric
        astray_s = now.mono - self._astray_since.setdefault(document.name, now.mono)
        is_late = astray_s >= fabric.random.uniform(*OTHERS_AFTER_S)
        keys = list(document.astray) if is_late else self._ours(document)
        if keys and astray_s >= OWN_AFTER_S:
            self._draw(document, keys)

    def _ours(self, document: Document) -> list[str]:
        me = self._state.fabric.me
        held = (key for key in document.astray if key in document.records)
        return [key for key in held if document.records[key].author == me]

    def _draw(self, document: Document, keys: list[str]) -> None:
        document.mend(keys)
        self._state.library.drew(document)
        self._state.fabric.count("document-mended")
