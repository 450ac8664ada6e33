"""The two clocks a core is told about: one for durations, one for dates."""

from typing import NamedTuple


class Now(NamedTuple):
    """A moment, as the driver sees it. Durations use `mono` only; dates on records use `wall_ms` only."""

    mono: float
    wall_ms: int
