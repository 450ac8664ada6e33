"""What a pile of latencies says."""

import math
from collections.abc import Sequence
from typing import NamedTuple

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Latency(NamedTuple):
    """The middle, and what one in a hundred exceeds."""

    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, latencies_ns: Sequence[int]) -> "Latency":
        """At least one latency is needed."""
        return cls(percentile(latencies_ns, 50) / NS_PER_MS, percentile(latencies_ns, 99) / NS_PER_MS)

    def over(self, other: "Latency") -> "Ratio":
        """How many times the other's."""
        return Ratio(self.p50_ms / other.p50_ms, self.p99_ms / other.p99_ms)


class Ratio(NamedTuple):
    """One latency in terms of another."""

    p50: float
    p99: float


def percentile(values: Sequence[int], percent: int) -> int:
    """The smallest of the values that so many per cent of them do not exceed."""
    assert values and 0 < percent <= 100
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
