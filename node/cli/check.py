"""`fieldmesh check`: the doctor. What is wrong between this node and the others, and what cures it."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.control import call
from node.exits import Exit


@click.command()
@home_option
@json_option
def check(home: Path, as_json: bool) -> None:
    """Examine this node and its peers; each finding comes with its cure. Exits 20 on an error."""
    result = call(home, "check", timeout_s=20)
    emit(result, as_json, lambda: _show(result))
    if not result["healthy"]:
        raise SystemExit(int(Exit.UNHEALTHY))


def _show(result: dict[str, Any]) -> None:
    click.echo(f"asked {result['peers_asked']} linked peers, {result['peers_answered']} answered")
    for finding in result["findings"]:
        colour = "red" if finding["level"] == "error" else "yellow"
        click.secho(f"{finding['level']:<8}", fg=colour, nl=False)
        click.echo(f"{finding['what']}  [{finding['code']}]")
        click.echo(f"        cure: {finding['cure']}")
    if not result["findings"]:
        click.secho("all is well", fg="green")
