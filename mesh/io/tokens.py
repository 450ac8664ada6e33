"""A limit on how often something may happen."""


class TokenBucket:
    """Lets `burst` through at once and `per_s` in the long run. Time comes from the caller."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at_s = 0.0
        self.refused_in_a_row = 0  # the first of a row is the one worth telling

    def take(self, now_s: float) -> bool:
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens < 1.0:
            self.refused_in_a_row += 1
            return False
        self._tokens -= 1.0
        self.refused_in_a_row = 0
        return True
