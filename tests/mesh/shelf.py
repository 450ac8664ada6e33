"""An in-memory twin of the world: replicas that are sets of words, so that anti-entropy can be read in its tests.

A replica's summary says how many words of each pen it has, its delta is the words that follow, its records are its
words by name. It keeps the promises of `mesh.replicas.Shelf`, and the acceptance tests run against it and the world.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import msgspec

from mesh.ids import NodeId
from mesh.now import Now
from mesh.ranges import Fingerprints
from mesh.replicas import Fresh
from mesh.wire import Entry

Word = tuple[int, int, str]  # pen, its clock, what it wrote

_decode = msgspec.msgpack.Decoder(list[Word]).decode


@dataclass
class Replica:
    """The words that are held (content), and how far each pen has been heard (heads)."""

    mark: bytes = b""
    words: dict[str, Word] = field(default_factory=dict)
    heads: dict[int, int] = field(default_factory=dict)
    fresh: list[Word] = field(default_factory=list)

    def digest(self) -> bytes:
        hashes = (_hash(word) for word in self.words.values())
        return (sum(hashes) % 2**128).to_bytes(16, "big")

    def take(self, word: Word) -> bool:
        pen, clock, name = word
        self.heads[pen] = max(self.heads.get(pen, 0), clock)
        is_new = name not in self.words
        self.words[name] = word
        return is_new


class MemoryShelf:
    """Replicas by name; `calls` tells what anti-entropy has asked of it."""

    def __init__(self, pen: int) -> None:
        self.pen = pen
        self.replicas: dict[str, Replica] = {}
        self.calls: list[tuple[str, ...]] = []
        self.ignored: set[NodeId] = set()
        self.is_servable = True  # False: what is held is not all, so nothing is given away

    def write(self, name: str, *words: str) -> None:
        replica = self.replicas.setdefault(name, Replica())
        for word in words:
            made = (self.pen, replica.heads.get(self.pen, 0) + 1, word)
            replica.take(made)
            replica.fresh.append(made)

    def words(self, name: str) -> list[str]:
        return sorted(self.replicas[name].words) if name in self.replicas else []

    def lose(self, name: str, word: str) -> None:
        """The failure that heads do not show."""
        del self.replicas[name].words[word]

    # -- the shelf

    def digests(self) -> tuple[bytes, ...]:
        held = sorted((name, each.mark, each.digest()) for name, each in self.replicas.items() if each.words)
        return (hashlib.blake2b(repr(held).encode(), digest_size=8).digest(),)

    def entries(self, theirs: Sequence[bytes]) -> tuple[Entry, ...]:
        if tuple(theirs) == self.digests():
            return ()
        found = (self.entry(name) for name in sorted(self.replicas))
        return tuple(entry for entry in found if entry)

    def entry(self, name: str) -> Entry | None:
        replica = self.replicas.get(name)
        return Entry(name, replica.mark, replica.digest()) if replica else None

    def summary(self, name: str, mark: bytes) -> bytes | None:
        replica = self.replicas.get(name, Replica())
        return msgspec.msgpack.encode(sorted(replica.heads.items())) if replica.mark == mark else None

    def delta_since(self, name: str, mark: bytes, have: bytes) -> bytes | None:
        replica, heads = self._replica(name, mark), _heads(have)
        if replica is None or heads is None or not self.is_servable:
            return None
        self.calls.append(("delta", name))
        lacking = sorted(word for word in replica.words.values() if word[1] > heads.get(word[0], 0))
        return msgspec.msgpack.encode(lacking) if lacking else b""

    def lacks(self, name: str, mark: bytes, have: bytes) -> bool:
        replica, heads = self._replica(name, mark), _heads(have)
        return bool(replica and heads) and any(
            clock > replica.heads.get(pen, 0) for pen, clock in (heads or {}).items() if replica
        )

    def take_fresh(self) -> list[Fresh]:
        fresh = []
        for name, replica in sorted(self.replicas.items()):
            if replica.fresh:
                words, replica.fresh = replica.fresh, []
                updates = tuple(msgspec.msgpack.encode([word]) for word in words)
                start, stop = words[0][1] - 1, words[-1][1]
                fresh.append(Fresh(name, replica.mark, self.pen, start, stop, updates))
        return fresh

    def has_fresh(self) -> bool:
        return any(replica.fresh for replica in self.replicas.values())

    def fits(self, name: str, mark: bytes, pen: int, start: int, stop: int) -> str:
        replica = self.replicas.get(name, Replica())
        if replica.mark != mark:
            return "other"
        clock = replica.heads.get(pen, 0)
        return "known" if clock >= stop else "next" if clock >= start else "gap"

    def listens_to(self, peer: NodeId, now: Now) -> bool:
        return peer not in self.ignored

    def merge(
        self,
        sender: NodeId,
        name: str,
        mark: bytes,
        updates: Sequence[bytes],
        now: Now,
        pushed_by: int | None = None,
    ) -> bool:
        replica = self.replicas.setdefault(name, Replica())
        self.calls.append(("merge", name, "pulled" if pushed_by is None else "pushed"))
        if replica.mark != mark:
            return False
        try:
            words = [word for update in updates for word in _decode(update)]
        except msgspec.DecodeError:
            return False
        return sum(replica.take(word) for word in words) > 0

    def fetched(self, sender: NodeId, name: str, now: Now) -> None:
        self.calls.append(("fetched", name))

    def fingerprints(self, name: str, mark: bytes) -> Fingerprints | None:
        replica = self._replica(name, mark)
        self.calls.append(("fingerprints", name))
        return Fingerprints((word, _hash(each)) for word, each in replica.words.items()) if replica else None

    def diverged(self, sender: NodeId, name: str, now: Now) -> None:
        self.calls.append(("diverged", name))

    def records(self, name: str, mark: bytes, keys: Sequence[str]) -> list[bytes]:
        replica = self._replica(name, mark)
        words = replica.words if replica else {}
        return [msgspec.msgpack.encode([words[key]]) for key in keys if key in words]

    def take_loose(self, sender: NodeId, name: str, mark: bytes, blobs: Sequence[bytes], now: Now) -> None:
        self.calls.append(("loose", name, str(len(blobs))))
        self.merge(sender, name, mark, blobs, now)

    def _replica(self, name: str, mark: bytes) -> Replica | None:
        replica = self.replicas.get(name)
        return replica if replica is not None and replica.mark == mark else None


def _heads(have: bytes) -> dict[int, int] | None:
    try:
        return dict(msgspec.msgpack.decode(have, type=list[tuple[int, int]]))
    except msgspec.DecodeError:
        return None


@cache
def _hash(word: Word) -> int:
    return int.from_bytes(hashlib.blake2b(repr(word).encode(), digest_size=16).digest(), "big")
