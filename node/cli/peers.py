"""`fieldmesh peers`: every member as this node sees it, once or as it changes."""

import time
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
WATCH_EVERY_S = 0.5


@click.command()
@home_option
@json_option
@click.option("--watch", is_flag=True, help="Keep the table up to date until interrupted.")
def peers(home: Path, as_json: bool, watch: bool) -> None:
    """Show every member: its state, since when, why, the path to it."""
    result = call(home, "peers")
    if watch and not as_json:
        _watch(home)
        return
    emit(result, as_json, lambda: _print(result))


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console

    Console().print(table(result))


def _watch(home: Path) -> None:
    from rich.live import Live

    with Live(table(call(home, "peers")), refresh_per_second=4) as live:
        while True:
            time.sleep(WATCH_EVERY_S)
            live.update(table(call(home, "peers")))


def table(result: dict[str, Any]) -> Any:
    """The peers as a table for a terminal."""
    from rich.table import Table

    node = result["node"]
    isolated = " - isolated: it hears nobody" if node["isolated"] else ""
    found = Table(title=f"{node['name']} of site {node['site']}{isolated}", title_justify="left")
    for heading in ("peer", "state", "since", "path", "rtt", "clock", "certificate", "why"):
        found.add_column(heading, overflow="fold", no_wrap=heading in ("peer", "state", "since", "rtt"))
    for peer in result["peers"]:
        found.add_row(*_cells(peer))
    return found


def _cells(peer: dict[str, Any]) -> tuple[str, ...]:
    colour = COLOURS.get(peer["state"], "white")
    name = f"{peer['name']} *" if peer["steward"] else peer["name"]
    expires = peer["certificate_expires_ms"]
    return (
        name,
        f"[{colour}]{peer['state']}[/]",
        ago(peer["since_s"]),
        peer["path"],
        "" if peer["rtt_ms"] is None else f"{peer['rtt_ms']:.1f} ms",
        "" if peer["clock_offset_ms"] is None else f"{peer['clock_offset_ms'] / 1000:+.2f} s",
        "" if expires is None else date(expires)[:10],
        peer["why"],
    )
