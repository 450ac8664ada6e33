"""Renewal: a new certificate from any steward at two thirds of the old one's life, with no link dropped."""

from collections.abc import Sequence
from random import Random

from mesh.ids import NodeId

LIFE_FRACTION = 2 / 3
JITTER_FRACTION = 0.05  # a site's nodes joined on one day do not all come back in one minute
RETRY_S = 15.0
CHECK_S = 30.0


class Renewal:
    """When to ask, and whom."""

    def __init__(self, random: Random) -> None:
        self._fraction = LIFE_FRACTION - random.uniform(0, JITTER_FRACTION)
        self._asked_at = float("-inf")
        self._turn = 0
        self.wanted = False  # by hand, whatever the date

    def due_ms(self, not_before_ms: int, not_after_ms: int) -> int:
        return not_before_ms + int((not_after_ms - not_before_ms) * self._fraction)

    def is_due(self, not_before_ms: int, not_after_ms: int, wall_ms: int) -> bool:
        return self.wanted or wall_ms >= self.due_ms(not_before_ms, not_after_ms)

    def ask(self, stewards: Sequence[NodeId], now: float) -> NodeId | None:
        """The steward to ask now, each in its turn; None while an answer may still come or nobody is there."""
        if not stewards or now - self._asked_at < RETRY_S:
            return None
        self._asked_at = now
        self._turn += 1
        return stewards[self._turn % len(stewards)]

    def ask_again(self) -> None:
        """The last answer was no use: the next steward may be asked at once."""
        self._asked_at = float("-inf")

    def done(self) -> None:
        self.wanted = False
        self._asked_at = float("-inf")
