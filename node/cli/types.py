"""Kinds of arguments: durations, endpoints. Each raises click.BadParameter, which click completes."""

import re
from collections.abc import Callable

import click

from mesh.wire import Endpoint
from node.config import endpoint_of

_DURATION = re.compile(r"(\d{1,9})\s*(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration(least_s: float, most_s: float) -> Callable[[str], float]:
    """`90s`, `10m`, `2h`, `1d` as seconds, within bounds."""

    def converted(text: str) -> float:
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise click.BadParameter(f"{text!r} is no duration with its unit; write 90s, 10m, 2h or 1d")
        seconds = float(int(match[1]) * _SECONDS[match[2]])
        if not least_s <= seconds <= most_s:
            raise click.BadParameter(f"{text} is not between {_said(least_s)} and {_said(most_s)}")
        return seconds

    return converted


def _said(seconds: float) -> str:
    """In the largest unit that divides it: 7d."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0 or unit == "s")
    return f"{seconds / size:g}{unit}"


def host_port(text: str) -> Endpoint:
    """`HOST:PORT` or `[IPV6]:PORT`."""
    try:
        return endpoint_of(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not HOST:PORT") from None
