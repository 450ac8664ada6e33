"""The conflict ledger: what lost against a concurrent write is written down, with both authors, times and the cause."""

import hashlib

from crdt_state.item import Change
from crdt_state.kind import day_name
from crdt_state.record import Record, RecordError, Register
from crdt_state.state import WorldState
from mesh.hybrid import ms_of
from mesh.now import Now

KIND = "conflict"
WRITE_AFTER_S = (0.5, 3.0)  # somebody else may write the same entry first
PENDING_MAX = 4096  # conflicts noticed at once: one heal of a long cut
LOSERS_MAX = 8
LOSERS_BYTES_MAX = 24_000  # of blobs in an entry, which is a record itself
UNLEDGERED = ("conflict", "generation", "holding", "frame", "evidence")


class Ledger:
    """Notices registers with several heads, and sees to it that one entry about each gets written."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._pending: dict[
            Register, tuple[float, list[Record]]
        ] = {}  # when to write, and the heads as noticed

    def start(self, now: Now) -> None:
        """What was noticed before a crash, and not written down, is noticed again."""
        for kind in self._state.view.kinds():
            for item in self._state.view.items(kind):
                for versions in item.facets.values():
                    if len(versions.by_author) > 1:
                        self.changed(versions.register, now)

    def changed(self, register: Register, now: Now) -> None:
        """The versions of this register have changed."""
        heads = self._conflicting(register)
        if heads and len(self._pending) >= PENDING_MAX and register not in self._pending:
            self._state.fabric.count("conflicts-overflow")
        elif heads:
            wait_s = self._state.fabric.random.uniform(*WRITE_AFTER_S)
            at, _ = self._pending.get(register, (now.mono + wait_s, heads))
            self._pending[register] = at, heads

    def tick(self, now: Now) -> None:
        if not self._pending or self._state.fabric.halted:
            return
        for register, (at, heads) in list(self._pending.items()):
            if now.mono >= at:
                del self._pending[register]
                self._write(register, heads, now)

    def wake_at(self) -> float:
        return min((at for at, _ in self._pending.values()), default=float("inf"))

    # -- inside

    def _conflicting(self, register: Register) -> list[Record]:
        """The heads, winner first, when they say different things and the kind has no better way to merge them."""
        kind = self._state.kinds.get(register.kind)
        if register.kind in UNLEDGERED or kind.each_observes or register.facet in kind.merged_facets:
            return []
        versions = self._state.view.versions(register)
        if len(versions.by_author) < 2:
            return []
        heads = versions.heads()
        return heads if len({head.body_bytes for head in heads}) > 1 else []

    def _write(self, register: Register, heads: list[Record], now: Now) -> None:
        """Also when it has been overwritten meanwhile: a machine that writes on has not looked at what lost."""
        name = _entry_name(heads)
        if self._state.view.item(KIND, name) is not None:
            return
        body = {
            "register": list(register),
            "winner": heads[0].blob,
            "losers": _fitting(heads[1:]),
            "cause": self._cause(heads),
            "found_ms": self._state.ms(now),
        }
        try:
            self._state.write([Change(Register(KIND, name), body)], now)
        except RecordError as error:
            self._state.fabric.count(error.reason)
            return
        self._state.fabric.count("conflict-found", heads[0].author)

    def _cause(self, heads: list[Record]) -> str:
        names = " and ".join(self._state.fabric.roster.name(head.author) for head in heads[:4])
        return f"{names} wrote without having seen each other's value"


def _entry_name(heads: list[Record]) -> str:
    """The same at every node that sees the same heads."""
    dots = " ".join(sorted(str(head.dot) for head in heads))
    number = hashlib.blake2b(dots.encode(), digest_size=6).hexdigest()
    return day_name(min(ms_of(head.time) for head in heads), number)


def _fitting(losers: list[Record]) -> list[bytes]:
    blobs: list[bytes] = []
    for loser in losers[:LOSERS_MAX]:
        if sum(map(len, blobs)) + len(loser.blob) <= LOSERS_BYTES_MAX:
            blobs.append(loser.blob)
    return blobs
