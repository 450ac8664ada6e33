"""Durations and dates as people say them."""

from datetime import datetime


def ago(seconds: float) -> str:
    """A duration in its two largest units: `3 h 20 min`."""
    whole = int(seconds)
    if whole < 10:
        return f"{seconds:.1f} s"
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2])


def date(ms: int) -> str:
    """A date in this machine's zone, to the minute."""
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M %Z")
