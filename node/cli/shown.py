"""How answers about the world are shown to people: tables, values, moments, and the line that says how fresh it is."""

import getpass
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from node.cli.words import ago

Command = TypeVar("Command", bound=Callable[..., Any])

WRITE_S = 20.0  # longer than the node waits for its disk
LIST_S = 60.0  # a small computer looks through a hundred thousand items
VALUE_CHARS_MAX = 60
TABLE_GAP_COLUMNS = 3  # two blanks and a line

SEVERITIES = {1: "low", 2: "medium", 3: "high", 4: "critical"}
COLOURS = {1: "", 2: "yellow", 3: "bright_red", 4: "bold red"}


def by_option(command: Command) -> Command:
    """Adds `--by NAME`, passed on as `by`: who says so."""
    return click.option(
        "--by", default="", metavar="NAME", help="Who says so. [default: your login and the node's name]"
    )(command)


def under_option(command: Command) -> Command:
    """Adds `--under PATH`, passed on as `under`."""
    return click.option(
        "--under", default="", metavar="PATH", help="Only what is at this path or below, as acme/lyon/hall-1."
    )(command)


def limit_option(command: Command) -> Command:
    return click.option(
        "--limit", type=click.IntRange(1, 5000), default=200, show_default=True, help="Show at most so many."
    )(command)


def login() -> str:
    """Who is logged in; empty where that cannot be said."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def freshness_line(freshness: Mapping[str, Any]) -> str:
    """`as of 10:42:17 for what press-3 writes, unreachable since then; as of now for the rest`."""
    others = freshness["others_away"]
    parts = [_unreachable(each) for each in freshness["unreachable"]]
    if freshness["as_of_ms"] >= freshness["now_ms"]:  # else nothing comes from a member that is here
        rest = "the rest" if parts else "what members write that can be heard"
        parts.append(f"as of now for {rest}" if parts or others else "as of now")
    if others:
        whose = "another member is" if others == 1 else f"{others} other members are"
        parts.append(f"{whose} away and may know more")
    return "; ".join(parts)


def print_freshness(freshness: Mapping[str, Any]) -> None:
    click.secho(freshness_line(freshness), dim=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], styles: Sequence[str] = ()) -> None:
    """A table; where it would be squeezed, each row's first cell on a line of its own and the others below it.

    The first cell is never cut or folded: it is what the next command takes.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console()
    cells = [[Text(str(cell), _style(styles, number)) for cell in row] for number, row in enumerate(rows)]
    widths = [
        max(len(heading), *(len(row[place]) for row in cells)) + TABLE_GAP_COLUMNS
        for place, heading in enumerate(headings)
    ]
    if sum(widths) < console.width:
        console.print(_table(headings, cells))
        return
    for row in cells:
        console.print(row[0], soft_wrap=True)
        rest = [
            Text(f"{heading} ", "dim") + cell
            for heading, cell in zip(headings[1:], row[1:], strict=True)
            if cell
        ]
        console.print(Text("  ") + Text("  ").join(rest))


def print_fields(fields: Mapping[str, Any], indent: int = 2) -> None:
    """One field a line; what is empty is left out."""
    for name, value in fields.items():
        if value not in (None, "", [], {}, False):
            click.echo(f"{' ' * indent}{name.replace('_', ' ')}: {said(value, 4 * VALUE_CHARS_MAX)}")


def said(value: Any, chars_max: int = VALUE_CHARS_MAX) -> str:
    """A value in a cell."""
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "-" if value is None else text.replace("\n", " ")
    return text if len(text) <= chars_max else f"{text[: chars_max - 3]}..."


def moment(ms: int | None) -> str:
    """A time of today, or a date, in this machine's zone."""
    if not ms:
        return "-"
    at = datetime.fromtimestamp(ms / 1000).astimezone()
    is_today = at.date() == datetime.now().astimezone().date()
    return at.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M")


def age(ms: int | None, now_ms: int) -> str:
    """How long ago, by the clock of the node that answered."""
    return "-" if not ms else ago(max(0, now_ms - ms) / 1000)


def severity(number: int) -> str:
    return SEVERITIES.get(number, str(number))


def _style(styles: Sequence[str], number: int) -> str:
    return styles[number] if number < len(styles) else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    from rich.table import Table

    table = Table()
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _unreachable(each: Mapping[str, Any]) -> str:
    as_of = f"as of {moment(each['as_of_ms'])} for what {each['name']} writes"
    if each["since_ms"] is None:
        return f"{as_of}, not heard since this node started"
    since = moment(each["since_ms"])
    return f"{as_of}, unreachable since {'then' if since == moment(each['as_of_ms']) else since}"
