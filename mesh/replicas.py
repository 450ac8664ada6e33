"""Replicas: whatever is shared can say what it has, give what another lacks, and merge. One shelf holds a node's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.ids import NodeId
from mesh.now import Now
from mesh.ranges import Fingerprints
from mesh.wire import Entry


@dataclass(frozen=True, slots=True)
class Fresh:
    """What has been written here and not been pushed yet: updates that fit onto a pen's clock at `start`."""

    name: str
    mark: bytes
    pen: int
    start: int
    stop: int
    updates: tuple[bytes, ...]


class Shelf(Protocol):
    """All replicas of one node, by name and generation mark. A wrong mark is never an error: it finds nothing."""

    def digests(self) -> tuple[bytes, ...]:
        """One digest for each class of replicas; equal exactly when all of a class are."""
        ...

    def entries(self, theirs: Sequence[bytes]) -> tuple[Entry, ...]:
        """What is held of those classes whose digests differ from these, in the order in which to fetch them."""
        ...

    def entry(self, name: str) -> Entry | None: ...

    def summary(self, name: str, mark: bytes) -> bytes | None:
        """What we have of it, opening a replica that is not there yet; None when that generation is not ours."""
        ...

    def delta_since(self, name: str, mark: bytes, have: bytes) -> bytes | None:
        """What a replica with that summary lacks; empty when nothing, None when it cannot be said."""
        ...

    def lacks(self, name: str, mark: bytes, have: bytes) -> bool:
        """Whether the holder of that summary has something that we lack."""
        ...

    def take_fresh(self) -> list[Fresh]:
        """What was written here since last asked."""
        ...

    def has_fresh(self) -> bool: ...

    def fits(self, name: str, mark: bytes, pen: int, start: int, stop: int) -> str:
        """`known`, `next`, `gap`, or `other` when that generation is not ours."""
        ...

    def listens_to(self, peer: NodeId, now: Now) -> bool:
        """Whether anything is taken from this peer: not while it keeps sending what no honest node sends."""
        ...

    def merge(
        self,
        sender: NodeId,
        name: str,
        mark: bytes,
        updates: Sequence[bytes],
        now: Now,
        pushed_by: int | None = None,
    ) -> bool:
        """Take deltas from a linked peer; whether they were all good, and something is different now.

        What is pushed its sender has drawn or checked itself; else it is whatever the sender's replica has come to.
        """
        ...

    def fetched(self, sender: NodeId, name: str, now: Now) -> None:
        """All that the peer had of this replica has been merged."""
        ...

    def fingerprints(self, name: str, mark: bytes) -> Fingerprints | None:
        """The ids and hashes of its records, for reconciliation."""
        ...

    def diverged(self, sender: NodeId, name: str, now: Now) -> None:
        """Equal heads, different content: the one failure that deltas cannot see."""
        ...

    def records(self, name: str, mark: bytes, keys: Sequence[str]) -> list[bytes]: ...

    def take_loose(self, sender: NodeId, name: str, mark: bytes, blobs: Sequence[bytes], now: Now) -> None:
        """Take single records, from a linked peer."""
        ...
