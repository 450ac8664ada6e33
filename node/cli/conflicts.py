"""`fieldmesh conflicts`: what was written on several sides at once, and which of it stands."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.cli.shown import (
    LIST_S,
    WRITE_S,
    by_option,
    limit_option,
    login,
    moment,
    print_freshness,
    print_table,
    said,
    under_option,
)
from node.control import call


@click.group()
def conflicts() -> None:
    """The ledger of conflicts: nothing that lost is thrown away until somebody has settled it.

    A CONFLICT may be named by any beginning that no other has.

    \b
    fieldmesh conflicts list
    fieldmesh conflicts show 20270115-3f0c7a12b4d5
    fieldmesh conflicts settle 20270115-3f0c7a12b4d5 2 --note "the fitter's value is right"
    """


@conflicts.command("list")
@under_option
@click.option("--kind", default="", help="Only of this kind.")
@click.option("--settled", is_flag=True, help="Also those that are settled.")
@limit_option
@home_option
@json_option
def list_(under: str, kind: str, settled: bool, limit: int, home: Path, as_json: bool) -> None:
    """Show what is not settled, the oldest first."""
    result = call(home, "conflicts_list", LIST_S, path=under, kind=kind, settled=settled, limit=limit)
    emit(result, as_json, lambda: _show_list(result))


@conflicts.command()
@click.argument("conflict")
@home_option
@json_option
def show(conflict: str, home: Path, as_json: bool) -> None:
    """Show the values of one CONFLICT, with their authors and times, numbered."""
    result = call(home, "conflicts_show", conflict=conflict)
    emit(result, as_json, lambda: _show(result))


@conflicts.command()
@click.argument("conflict")
@click.argument("choice")
@click.option("--note", default="", help="Why; everybody sees it.")
@click.option("--anyway", is_flag=True, help="Even if something else was written since.")
@by_option
@home_option
@json_option
def settle(conflict: str, choice: str, note: str, anyway: bool, by: str, home: Path, as_json: bool) -> None:
    """Make a value of CONFLICT stand: CHOICE is its number, or `current` to keep what stands now."""
    arguments = {"choice": choice, "note": note, "anyway": anyway, "by": by, "login": login()}
    result = call(home, "conflicts_settle", WRITE_S, conflict=conflict, **arguments)
    emit(result, as_json, lambda: _show_settled(result["conflict"]))


def _thing(row: dict[str, Any]) -> str:
    facet = f" ({row['facet']})" if row["facet"] else ""
    return f"{row['kind']} {row['item']}{facet}"


def _show_list(result: dict[str, Any]) -> None:
    if not result["conflicts"]:
        click.echo("nothing is in conflict")
    else:
        rows = [
            (
                each["conflict"],
                _thing(each),
                moment(each["found_ms"]),
                " / ".join(side["on"] for side in each["sides"]),
                each["state"],
            )
            for each in result["conflicts"]
        ]
        print_table(("conflict", "of", "found", "between", "state"), rows)
    print_freshness(result["freshness"])


def _show(row: dict[str, Any]) -> None:
    click.secho(f"{row['conflict']}: {_thing(row)}", bold=True)
    click.echo(f"  {row['cause']}; found {moment(row['found_ms'])}")
    for side in row["sides"]:
        stands = "  <- stands" if side["standing"] else ""
        click.echo(f"  {side['number']}. {_body(side)}{stands}")
        click.secho(f"     {moment(side['at_ms'])} on {side['on']}", dim=True)
    _show_later(row)
    if row["state"] == "settled":
        _show_settled(row)
    print_freshness(row["freshness"])


def _show_later(row: dict[str, Any]) -> None:
    """What stands now, when it is none of the sides."""
    current = row["current"]
    if current is not None and current["dot"] not in {side["dot"] for side in row["sides"]}:
        click.echo(f"  current: {_body(current)}")
        click.secho(f"     {moment(current['at_ms'])} on {current['on']}", dim=True)


def _show_settled(row: dict[str, Any]) -> None:
    note = f": {row['note']}" if row["note"] else ""
    click.echo(f"settled by {row['settled_by']}{note}")


def _body(side: dict[str, Any]) -> str:
    return "(deleted)" if side["body"] is None else said(side["body"], 400)
