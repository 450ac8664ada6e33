"""What the words of a command line mean as values."""

import json
import math
import re
from typing import Any, NoReturn

import click

_NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)


class NegativeNumbers(click.Command):
    """A command whose arguments may be negative numbers, which are no options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args:
            numbers = [word for word in args if _NEGATIVE.match(word)]
            args = [word for word in args if word not in numbers] + (["--", *numbers] if numbers else [])
        return super().parse_args(ctx, args)


def value_of(text: str) -> Any:
    """What a word means: a number, true, false, null, a list or an object when it reads as one, else text."""
    try:
        return json_of(text)
    except ValueError:
        return text


def measured(text: str) -> Any:
    """The same of what is observed: TRUE is true as well, and what is not a number (nan, inf, 1e999) is no value."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None if _is_no_number(text) else value_of(text)


def json_of(text: str) -> Any:
    """JSON, whose numbers are numbers; ValueError when it is none."""
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _is_no_number(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
