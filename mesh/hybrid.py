"""Hybrid time: milliseconds of the mesh's clock and a counter, in one whole number that follows cause and effect."""

COUNTER_BITS = 16  # 65,536 writes within one millisecond before the number runs ahead of the clock
FUTURE_MS = 300_000  # as far as clocks of one site may be apart before one of them counts as wrong
FOLLOWED_MS = (
    240_000  # as far ahead as another's time is followed: what is stamped then is nobody's far future
)


def time_of(ms: int) -> int:
    """The first hybrid time of this millisecond."""
    return ms << COUNTER_BITS


def ms_of(time: int) -> int:
    """The millisecond of a hybrid time."""
    return time >> COUNTER_BITS


def is_future(time: int, now_ms: int) -> bool:
    """Whether a time is so far ahead that a clock must be wrong, its author's or ours."""
    return ms_of(time) > now_ms + FUTURE_MS


class HybridClock:
    """Stamps what this node writes: later than all it has written and seen, but never far ahead of the mesh's clock."""

    def __init__(self) -> None:
        self._last = 0

    def stamp(self, now_ms: int) -> int:
        """The time of a new write. After our clock was set back from far ahead, stamps start again at `now_ms`."""
        if is_future(self._last, now_ms):
            self._last = 0
        self._last = max(self._last + 1, time_of(now_ms))
        return self._last

    def saw(self, time: int, now_ms: int) -> None:
        """Another's time, to be later than; what lies in the far future, or nearly, is not followed."""
        if ms_of(time) <= now_ms + FOLLOWED_MS:
            self._last = max(self._last, time)
