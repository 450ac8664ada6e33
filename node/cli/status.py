"""`fieldmesh status`: how this node stands, at a glance."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.cli.words import ago, date
from node.control import call


@click.command()
@home_option
@json_option
def status(home: Path, as_json: bool) -> None:
    """Show how the running node stands."""
    result = call(home, "status")
    emit(result, as_json, lambda: _show(result))


def _show(result: dict[str, Any]) -> None:
    click.secho(f"{result['name']}  ", bold=True, nl=False)
    click.echo(f"of site {result['site']}, {_standing(result)}")
    for label, value in _rows(result):
        click.echo(f"  {label:<12} {value}")
    if result["counters"]:
        counters = ", ".join(f"{name} {count}" for name, count in result["counters"].items())
        click.echo(f"  counters     {counters}\n               (docs/operations.md explains them)")


def _standing(result: dict[str, Any]) -> str:
    if result["halted"]:
        return click.style(f"HALTED: {result['halted']}", fg="red")
    if result["isolated"]:
        return click.style("isolated: it hears nobody", fg="yellow")
    return click.style(f"{result['here']} of {result['members']} nodes here", fg="green")


def _rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    role = "steward" if result["steward"] else "member"
    broker = result["broker"]
    broker_text = "up" if result["broker_up"] else f"down ({broker.get('last_error') or 'starting'})"
    rows = [
        ("id", result["id"]),
        ("role", f"{role}, incarnation {result['incarnation']}, up {ago(result['up_s'])}"),
        ("release", result["release"]),
        ("links", f"{result['linked']} ({result['mode']} fabric)"),
        ("certificate", f"until {date(result['certificate_expires_ms'])}"),
    ]
    if result["mode"] == "own":
        rows.insert(3, ("broker", f"{broker_text}, {', '.join(result['endpoints']) or 'no endpoint'}"))
    if result["mode"] == "shared":
        rows.insert(3, ("broker", broker.get("url") or f"none ({broker.get('last_error') or 'looking'})"))
    if result["clock_doubt"]:
        rows.append(("clock", click.style(result["clock_doubt"], fg="red")))
    return rows
