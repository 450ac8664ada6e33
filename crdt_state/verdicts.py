"""Verdicts: what becomes of each record that a node holds and a new generation lacks. A function of what is given.

A write that the builder had not seen is new: it stays. One that it had seen and left out goes where it was replaced
or is done with. Where it is not, a member that was asked puts it back; one that was away puts it aside, also what it
has written to things that are gone since.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from crdt_state.context import Context
from crdt_state.dropping import droppable
from crdt_state.headers import Header
from crdt_state.kind import Kinds
from crdt_state.record import Record, Register

Thing = tuple[str, str]
"""Kind and item."""


class Verdict(Enum):
    KEPT = "kept"
    DROPPED = "dropped"
    PUT_BACK = "put back"  # kept, and the builder is to blame
    PUT_ASIDE = "put aside"


@dataclass(frozen=True, slots=True)
class Case:
    """A new generation, and how we stand to it."""

    header: Header
    seen: Context  # what the builder had seen
    is_guest: bool  # we were away when it was asked what may go, or have forgotten what we said
    is_known: bool = True  # False: nobody has the content, so what it lacks cannot be said

    def covers(self, record: Record) -> bool:
        """Whether the builder had seen this; what is dated later than its header it cannot have seen."""
        return record.time <= self.header.record.time and self.seen.covers(record.dot)


@dataclass(slots=True)
class _Held:
    """What we hold, by register and by thing."""

    by_register: dict[Register, list[Record]] = field(default_factory=dict)
    by_thing: dict[Thing, list[Record]] = field(default_factory=dict)


class Judge:
    """Decides on one document's records."""

    def __init__(self, case: Case, kinds: Kinds, retention_scale: float) -> None:
        self._case = case
        self._kinds = kinds
        self._scale = retention_scale
        self._held = _Held()
        self._content = _Held()
        self._former = _Held()
        self._done: set[str] = set()
        self._reborn: set[Thing] = set()

    def decide(
        self,
        held: Mapping[str, Record],
        content: Iterable[Record],
        lacking: Iterable[str],
        living: set[Thing],
        former: Iterable[Record] = (),
    ) -> dict[str, Verdict]:
        """On each of the `lacking` among what is `held`. `living`: what is in the new generation in any version.

        `former`: what we held until the content came. An author that has collected what it had replaced or deleted
        need not say so again in its next version; its former one still tells.
        """
        decided = list(lacking)
        self._former = _sorted_out(former)
        things = {held[key].register[:2] for key in decided}
        ours = [record for record in held.values() if record.register[:2] in things]
        theirs = [record for record in content if record.register[:2] in things]
        self._held, self._content = _sorted_out(ours), _sorted_out(theirs)
        covers = self._case.covers
        seen = [record for record in ours if covers(record)]
        self._done = droppable(seen, self._case.header.body.before, self._kinds, self._scale)
        self._reborn = {record.register[:2] for record in ours if not covers(record)}
        return {key: self._on(held[key], living) for key in decided}

    def _on(self, record: Record, living: set[Thing]) -> Verdict:
        if not self._case.covers(record):
            return self._on_new(record, record.register[:2] in living)
        if self._is_replaced(record):
            return Verdict.DROPPED
        if record.register in self._content.by_register and not self._case.is_guest:
            return Verdict.KEPT  # it lives, and nothing in it has replaced this: it cannot have been seen
        if record.key in self._done:
            return self._on_done(record)
        if not self._case.is_known:
            return Verdict.KEPT
        if self._case.is_guest and self._is_reborn(record):
            return Verdict.DROPPED  # what is left of its former life
        if self._case.is_guest:
            return Verdict.PUT_ASIDE
        is_ours_to_judge = self._kinds.knows(record.register.kind)  # else its builder knows when it is closed
        return Verdict.PUT_BACK if is_ours_to_judge else Verdict.DROPPED

    def _on_new(self, record: Record, is_living: bool) -> Verdict:
        is_suspect = self._case.is_guest and self._case.is_known and not is_living
        if is_suspect and self._touches_gone(record):
            return Verdict.PUT_ASIDE
        return Verdict.KEPT

    def _on_done(self, record: Record) -> Verdict:
        """Done with when it was left out; a member that has written to the thing since keeps all of it."""
        thing = record.register[:2]
        is_needed = thing in self._reborn and not self._kinds.get(record.register.kind).revives
        return Verdict.KEPT if is_needed and not self._case.is_guest else Verdict.DROPPED

    def _is_reborn(self, record: Record) -> bool:
        """Whether it belongs to a thing that may come to life again, and has."""
        kind = self._kinds.get(record.register.kind)
        return kind.revives and record.register[:2] in self._reborn

    def _is_replaced(self, record: Record) -> bool:
        register = record.register
        others = (
            *self._held.by_register.get(register, ()),
            *self._content.by_register.get(register, ()),
            *self._former.by_register.get(register, ()),
        )
        return any(other is not record and other.replaces(record) for other in others)

    def _touches_gone(self, record: Record) -> bool:
        """Whether it was written to something that the builder had seen, and that is no more."""
        if self._kinds.get(record.register.kind).revives:
            return False
        others = self._held.by_thing.get(record.register[:2], ())
        case = self._case
        return any(case.seen.covers(dot) for dot in record.over) or any(
            case.covers(other) for other in others
        )


def kept_of(records: Iterable[Record], header: Header, kinds: Kinds, retention_scale: float) -> list[Record]:
    """What of these the builder kept, if it had seen as much of them as we have."""
    seen = [record for record in records if header.covers(record)]
    gone = droppable(seen, header.body.before, kinds, retention_scale)
    return [record for record in seen if record.key not in gone]


def things_of(records: Iterable[Record]) -> set[Thing]:
    return {record.register[:2] for record in records}


def _sorted_out(records: Iterable[Record]) -> _Held:
    held = _Held()
    for record in records:
        held.by_register.setdefault(record.register, []).append(record)
        held.by_thing.setdefault(record.register[:2], []).append(record)
    return held
