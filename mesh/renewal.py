"""Renewal: a new certificate from any steward at two thirds of the old one's life, with no link dropped."""

from collections.abc import Sequence
from random import Random

from mesh.ids import NodeId

LIFE_FRACTION = 2 / 3
JITTER_FRACTION = 0.05  # a site's nodes joined on one day do not all come back in one minute
RETRY_S = 15.0
CHECK_S = 30.0
AGAIN_S = 60.0  # a member that asks on and on gets the same certificate for so long ...
AGAIN_FRACTION = 1 / 3  # ... or for this part of its life, so that short ones are renewed in time
ISSUED_MAX = 2048  # as many as there may be members


class Issuing:
    """A steward's side: to whom it gave a new certificate lately. Each is saved by, and told to, everybody."""

    def __init__(self, certificate_days: float) -> None:
        self._again_s = min(AGAIN_S, certificate_days * 86_400 * AGAIN_FRACTION)
        self._issued_at: dict[NodeId, float] = {}

    def issued(self, node: NodeId, now: float) -> None:
        self._issued_at.pop(node, None)
        if len(self._issued_at) >= ISSUED_MAX:
            del self._issued_at[next(iter(self._issued_at))]
        self._issued_at[node] = now

    def is_fresh(self, node: NodeId, now: float) -> bool:
        """Whether this node's certificate was renewed only just now."""
        return now - self._issued_at.get(node, float("-inf")) < self._again_s


class Renewal:
    """When to ask, and whom."""

    def __init__(self, random: Random) -> None:
        self._fraction = LIFE_FRACTION - random.uniform(0, JITTER_FRACTION)
        self._asked_at = float("-inf")
        self._turn = 0
        self._is_refused = False
        self._refusals = 0  # in this round
        self.wanted = False  # by hand, whatever the date

    def due_ms(self, not_before_ms: int, not_after_ms: int) -> int:
        return not_before_ms + int((not_after_ms - not_before_ms) * self._fraction)

    def is_due(self, not_before_ms: int, not_after_ms: int, wall_ms: int) -> bool:
        return self.wanted or wall_ms >= self.due_ms(not_before_ms, not_after_ms)

    def ask(self, stewards: Sequence[NodeId], now: float) -> NodeId | None:
        """The steward to ask now, each in its turn; None while an answer may still come or nobody is there."""
        if not stewards:
            return None
        if now - self._asked_at >= RETRY_S:
            self._refusals = 0  # a new round
        elif not self._is_refused or self._refusals >= len(stewards):
            return None
        self._is_refused = False
        self._asked_at = now
        self._turn += 1
        return stewards[self._turn % len(stewards)]

    def ask_again(self) -> None:
        """The last answer was no use: the next steward may be asked at once, until all have been."""
        self._is_refused = True
        self._refusals += 1

    def done(self) -> None:
        self.wanted = self._is_refused = False
        self._refusals = 0
        self._asked_at = float("-inf")
