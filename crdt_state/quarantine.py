"""Quarantine: what a node that was away brings back of things that are gone since. It is kept and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from crdt_state.item import Change
from crdt_state.record import Record, RecordError, decode_record
from crdt_state.state import WorldState
from mesh.events import Write
from mesh.now import Now

TABLE = "aside"
ASIDE_MAX = 20_000  # records; what one node can hold of a plant


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    blob: bytes
    why: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Aside:
    """One record that is in no document, and why."""

    key: str
    record: Record
    why: str
    since_ms: int


class Quarantine:
    """Holds the records; a person merges or discards them."""

    def __init__(self, state: WorldState, saved: Mapping[str, bytes]) -> None:
        self._state = state
        self._aside: dict[str, Aside] = {}
        for key in sorted(saved):
            aside = _loaded(key, saved[key])
            if aside is not None:
                self._aside[key] = aside

    def listed(self) -> list[Aside]:
        """Everything that is waiting for a decision, by key."""
        return [self._aside[key] for key in sorted(self._aside)]

    def put(self, record: Record, why: str, now: Now) -> None:
        """Keep a record out of the documents."""
        if len(self._aside) >= ASIDE_MAX and record.author != self._state.fabric.me:
            self._state.fabric.count("quarantine-full")  # others' stale copies; our own writes are kept
            return
        aside = Aside(record.key, record, why, self._state.ms(now))
        self._aside[record.key] = aside
        saved = msgspec.msgpack.encode(_Saved(record.blob, why, aside.since_ms))
        self._state.save_beside(Write(TABLE, record.key, saved))
        self._state.fabric.count("record-quarantined", record.author)

    def decide(self, keys: Sequence[str], is_merged: bool, now: Now) -> None:
        """Merge: the values are written anew, as of now and by this node. Discard: they are gone."""
        if self._state.fabric.halted:
            return
        for key in keys:
            aside = self._aside.get(key)
            if aside is not None and (not is_merged or self._merge(aside.record, now)):
                del self._aside[key]
                self._state.save_beside(Write(TABLE, key, None))

    def _merge(self, record: Record, now: Now) -> bool:
        """False when it cannot be written, by us or now: it stays."""
        change = Change(record.register, None if record.is_deletion else record.body)
        try:
            self._state.write([change], now)
        except RecordError as error:
            self._state.fabric.count(error.reason)
            return False
        return True

    def __len__(self) -> int:
        return len(self._aside)


def _loaded(key: str, data: bytes) -> Aside | None:
    try:
        saved = msgspec.msgpack.decode(data, type=_Saved)
        return Aside(key, decode_record(saved.blob), saved.why, saved.since_ms)
    except (msgspec.DecodeError, RecordError):
        return None
