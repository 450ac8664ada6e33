"""`fieldmesh peers`: every member as this node sees it, once or as it changes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.cli.words import ago, date
from node.control import call

COLOURS = {
    "alive": "green",
    "suspect": "yellow",
    "broker-down": "yellow",
    "unreachable": "red",
    "left": "bright_black",
    "removed": "bright_black",
}
GONE = ("unreachable", "left", "removed")
HEADINGS = ("peer", "state", "since", "path", "rtt", "clock", "certificate", "why")
SHORT_HEADINGS = HEADINGS[:5]
WHY_COLUMNS_MIN = 24  # with less, it would be a column of single words
TABLE_GAP_COLUMNS = 3  # two blanks and a line
NAME_COLUMNS_MIN = 8
GAP_COLUMNS = 2
WATCH_EVERY_S = 0.5


@click.command()
@home_option
@json_option
@click.option("--watch", is_flag=True, help="Keep the table up to date until interrupted.")
def peers(home: Path, as_json: bool, watch: bool) -> None:
    """Show every member: its state, since when, why, the path to it."""
    if watch and as_json:
        raise click.UsageError("--watch draws a table for people and --json prints one object: choose one")
    result = call(home, "peers")
    if watch:
        _watch(home)
        return
    emit(result, as_json, lambda: _print(result))


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(picture(result, console.width))


def _watch(home: Path) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(picture(call(home, "peers"), console.width), console=console, refresh_per_second=4) as live:
        while True:
            time.sleep(WATCH_EVERY_S)
            live.update(picture(call(home, "peers"), console.width))


def picture(result: dict[str, Any], width: int) -> Any:
    """The peers for a terminal of this width: a table, or each peer on two lines where a table would be squeezed."""
    from rich.console import Group
    from rich.text import Text

    node, peers = result["node"], result["peers"]
    isolated = " - isolated: it hears nobody" if node["isolated"] else ""
    parts: list[Any] = [Text(f"{node['name']} of site {node['site']}{isolated}", "italic")]
    if not peers:
        parts.append(Text("no other members yet; to add one, on a steward: fieldmesh token create", "dim"))
    else:
        parts += [_table(peers)] if _has_room_for_table(peers, width) else _lines(peers, width)
    if any(peer["steward"] for peer in peers):
        parts.append(Text("* steward", "dim"))
    return Group(*parts)


def _has_room_for_table(peers: list[dict[str, Any]], width: int) -> bool:
    beside_why = sum(widths + TABLE_GAP_COLUMNS for widths in _widths(peers, HEADINGS[:-1]))
    return beside_why + WHY_COLUMNS_MIN + TABLE_GAP_COLUMNS + 1 <= width


def _widths(peers: list[dict[str, Any]], headings: Sequence[str]) -> list[int]:
    return [max(len(heading), *(len(_cell(peer, heading)) for peer in peers)) for heading in headings]


def _table(peers: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading != "why", overflow="ellipsis")
    for peer in peers:
        table.add_row(*(_styled(peer, heading) for heading in HEADINGS))
    return table


def _lines(peers: list[dict[str, Any]], width: int) -> list[Any]:
    """Columns of the same width for all, as far as they fit, and below each peer why it is so."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    widths = _widths(peers, SHORT_HEADINGS)
    spare = width - len(widths) * GAP_COLUMNS - sum(widths)
    for name in (SHORT_HEADINGS.index("path"), SHORT_HEADINGS.index("peer")):  # only names may be cut
        cut = min(max(0, -spare), max(0, widths[name] - NAME_COLUMNS_MIN))
        widths[name], spare = widths[name] - cut, spare + cut
    parts: list[Any] = []

    def add(cells: list[Any]) -> None:
        row = Table.grid(padding=(0, GAP_COLUMNS, 0, 0))
        for each in widths:
            row.add_column(width=each, no_wrap=True, overflow="ellipsis")
        row.add_row(*cells)
        parts.append(row)

    add([Text(heading, "bold") for heading in SHORT_HEADINGS])
    for peer in peers:
        add([_styled(peer, heading) for heading in SHORT_HEADINGS])
        parts.append(Padding(Text(peer["why"], "dim"), (0, 0, 0, GAP_COLUMNS)))
    return parts


def _styled(peer: dict[str, Any], heading: str) -> Any:
    from rich.text import Text

    return Text(_cell(peer, heading), COLOURS.get(peer["state"], "") if heading == "state" else "")


def _cell(peer: dict[str, Any], heading: str) -> str:
    """What stands in one column; measurements only of a peer that is there."""
    rtt_ms, offset_ms, expires_ms = (
        peer["rtt_ms"],
        peer["clock_offset_ms"],
        peer["certificate_expires_ms"],
    )
    is_gone = peer["state"] in GONE
    cells: dict[str, str] = {
        "peer": f"{peer['name']} *" if peer["steward"] else peer["name"],
        "state": peer["state"],
        "since": ago(peer["since_s"]),
        "path": peer["path"],
        "rtt": "" if rtt_ms is None or is_gone else f"{rtt_ms:.1f} ms",
        "clock": "" if offset_ms is None or is_gone else f"{offset_ms / 1000:+.2f} s",
        "certificate": "" if expires_ms is None else date(expires_ms)[:10],
        "why": peer["why"],
    }
    return cells[heading]
