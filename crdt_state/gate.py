"""The gate: which records may be held. It decides from the record and the roster alone, so that all nodes agree."""

from functools import lru_cache

from crdt_state.kind import Kinds
from crdt_state.record import Record, RecordError, check_record
from mesh.hybrid import ms_of
from mesh.roster import Roster

PROVEN_MAX = 8192  # records whose signatures have been checked lately: each comes from several peers


class Gate:
    """Refuses, with a reason, what no honest node holds."""

    def __init__(self, kinds: Kinds, roster: Roster) -> None:
        self._kinds = kinds
        self._roster = roster

    def check(self, record: Record, document: str) -> None:
        """RecordError unless the record belongs into this document and its author has signed and may write it."""
        self.check_writer(record, document)
        identity = self._roster.identity(record.author)
        assert identity is not None  # strangers have been refused
        _prove(record, identity)

    def check_writer(self, record: Record, document: str) -> None:
        """All but the signature."""
        kind = self._kinds.get(record.register.kind)
        if not self._belongs(record, document):
            raise RecordError("record-misplaced")
        if self._roster.identity(record.author) is None:
            raise RecordError("record-stranger")
        if self.is_shut_out(record):
            raise RecordError("record-removed")
        if not kind.may_write(record, self._is_steward(record)):
            raise RecordError("record-not-allowed")

    def is_shut_out(self, record: Record) -> bool:
        """Whether it was written, by its own account, after its author was removed."""
        removal = self._roster.removal(record.author)
        return removal is not None and ms_of(record.time) > removal.at_ms

    def _belongs(self, record: Record, document: str) -> bool:
        """How records of a kind that we do not know are grouped we cannot say; their document bears its name."""
        register = record.register
        if self._kinds.knows(register.kind):
            return self._kinds.document_of(register) == document
        return document.partition(":")[0] == register.kind

    def _is_steward(self, record: Record) -> bool:
        member = self._roster.member(record.author)
        return member is not None and member.is_steward


@lru_cache(maxsize=PROVEN_MAX)
def _prove(record: Record, identity: bytes) -> None:
    """Raises what check_record raises; what has been proven once is not proven again (refusals are)."""
    check_record(record, identity)
