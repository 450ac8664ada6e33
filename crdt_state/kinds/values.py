"""What a sensor can say: a value, and how far it may be trusted."""

from enum import StrEnum
from math import isfinite

Value = bool | int | float | str | None


class Quality(StrEnum):
    """How far a value may be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"
    STALE = "stale"


def settled(value: Value, quality: Quality) -> tuple[Value, Quality]:
    """The pair as it may be shown: what is not a number is no value, and bad."""
    if isinstance(value, float) and not isfinite(value):
        return None, Quality.BAD
    return value, quality


def heard(value: Value, quality: Quality) -> tuple[Value, Quality]:
    """The same of what came as JSON, where null may have been such a number: no value is bad, or stale."""
    if value is None and quality is not Quality.STALE:
        return None, Quality.BAD
    return settled(value, quality)


def is_same(one: Value, other: Value) -> bool:
    """Whether two values say the same: 1 and 1.0 do, 1 and true do not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
