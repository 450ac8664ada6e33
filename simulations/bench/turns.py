"""Kinds of messages that take turns in short blocks, and what was measured of each.

The order of the blocks is mirrored every other time (a b c, c b a), so that what slows the machine down for a
moment, or more and more, slows all kinds alike.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

Kind = TypeVar("Kind", bound=StrEnum)


def taking_turns(kinds: Sequence[Kind], blocks: int) -> Iterator[Kind]:
    """So many blocks of each kind, in mirrored order."""
    for number in range(blocks):
        yield from kinds if number % 2 == 0 else reversed(kinds)


class Samples(Generic[Kind]):
    """Latencies by kind, and how many of each were sent."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.latencies_ns: dict[Kind, list[int]] = {kind: [] for kind in kinds}
        self.sent: dict[Kind, int] = dict.fromkeys(kinds, 0)

    def add(self, kind: Kind, sent: int, latencies_ns: Sequence[int]) -> None:
        self.latencies_ns[kind] += latencies_ns
        self.sent[kind] += sent

    def lost(self, kind: Kind) -> int:
        return self.sent[kind] - len(self.latencies_ns[kind])
