"""`fieldmesh tasks`: what is to be done, and who does it."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.cli.shown import (
    COLOURS,
    LIST_S,
    SEVERITIES,
    WRITE_S,
    by_option,
    limit_option,
    login,
    moment,
    print_fields,
    print_freshness,
    print_table,
    severity,
    under_option,
)
from node.cli.types import duration
from node.control import call

NUMBERS = {name: number for number, name in SEVERITIES.items()}
STATES = ("open", "claimed", "expired", "done", "failed", "withdrawn")
LEASE_S_MAX = 86_400  # who has not renewed in a day has gone home

lease_option = click.option(
    "--lease",
    type=duration(1, LEASE_S_MAX),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="For how long; afterwards anybody may claim it.",
)
note_option = click.option("--note", default="", help="What was found or done.")


@click.group()
def tasks() -> None:
    """Tasks: offered to all, claimed for a time by one node. A TASK may be named by any beginning that no other has.

    \b
    fieldmesh tasks offer "Change the filter" --asset acme/lyon/hall-1/line-2/press --priority high
    fieldmesh tasks claim 9f3a --lease 4h
    fieldmesh tasks done 9f3a --note "filter changed, 3 bar again"
    """


@tasks.command("list")
@under_option
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state.")
@click.option("--owner", default="", metavar="NAME", help="Only those that this member has.")
@click.option("--mine", is_flag=True, help="Only those that this node has.")
@click.option("--all", "closed", is_flag=True, help="Also those that are done, failed or withdrawn.")
@limit_option
@home_option
@json_option
def list_(
    under: str,
    states: tuple[str, ...],
    owner: str,
    mine: bool,
    closed: bool,
    limit: int,
    home: Path,
    as_json: bool,
) -> None:
    """Show what is to be done, the most urgent first."""
    result = call(
        home,
        "tasks_list",
        LIST_S,
        path=under,
        states=list(states),
        owner=owner,
        mine=mine,
        closed=closed,
        limit=limit,
    )
    emit(result, as_json, lambda: _show_list(result, under))


@tasks.command()
@click.argument("task")
@home_option
@json_option
def show(task: str, home: Path, as_json: bool) -> None:
    """Show all that is known of one TASK."""
    result = call(home, "tasks_show", task=task)
    emit(result, as_json, lambda: _show(result))


@tasks.command()
@click.argument("title")
@click.option("--asset", default="", metavar="PATH", help="Where, as acme/lyon/hall-1/line-2/press.")
@click.option("--details", default="", help="More about it.")
@click.option("--priority", type=click.Choice(tuple(NUMBERS)), default="medium", show_default=True)
@click.option("--wants", default="", metavar="CAPABILITY", help="What it takes to do it.")
@click.option(
    "--again", "task", default="", metavar="TASK", help="Offer this one anew, instead of a new one."
)
@by_option
@home_option
@json_option
def offer(
    title: str,
    asset: str,
    details: str,
    priority: str,
    wants: str,
    task: str,
    by: str,
    home: Path,
    as_json: bool,
) -> None:
    """Ask for something to be done.

    \b
    fieldmesh tasks offer "Change the filter" --asset acme/lyon/hall-1/line-2/press --priority high
    """
    fields = {"asset": asset, "details": details, "priority": NUMBERS[priority], "wants": wants, "task": task}
    _tell(call(home, "tasks_offer", WRITE_S, title=title, by=by, login=login(), **fields), as_json)


@tasks.command()
@click.argument("task")
@lease_option
@home_option
@json_option
def claim(task: str, lease: float, home: Path, as_json: bool) -> None:
    """Take TASK, for this node. If two claim it in a cut, the earlier has it and the other is told."""
    _tell(call(home, "tasks_claim", WRITE_S, task=task, lease_s=lease), as_json)


@tasks.command()
@click.argument("task")
@lease_option
@home_option
@json_option
def renew(task: str, lease: float, home: Path, as_json: bool) -> None:
    """Keep TASK for longer, counted from now."""
    _tell(call(home, "tasks_renew", WRITE_S, task=task, lease_s=lease), as_json)


@tasks.command()
@click.argument("task")
@home_option
@json_option
def release(task: str, home: Path, as_json: bool) -> None:
    """Give TASK back: anybody may claim it."""
    _tell(call(home, "tasks_release", WRITE_S, task=task), as_json)


@tasks.command()
@click.argument("task")
@click.argument("member")
@click.option(
    "--lease",
    type=duration(1, LEASE_S_MAX),
    metavar="DURATION",
    help="For how long. [default: what is left of this node's lease]",
)
@home_option
@json_option
def hand(task: str, member: str, lease: float | None, home: Path, as_json: bool) -> None:
    """Hand TASK over to another MEMBER."""
    _tell(call(home, "tasks_hand", WRITE_S, task=task, to=member, lease_s=lease), as_json)


@tasks.command()
@click.argument("task")
@note_option
@by_option
@home_option
@json_option
def done(task: str, note: str, by: str, home: Path, as_json: bool) -> None:
    """Say that TASK is done."""
    _tell(call(home, "tasks_done", WRITE_S, task=task, note=note, by=by, login=login()), as_json)


@tasks.command()
@click.argument("task")
@note_option
@by_option
@home_option
@json_option
def fail(task: str, note: str, by: str, home: Path, as_json: bool) -> None:
    """Say that TASK has failed."""
    _tell(call(home, "tasks_fail", WRITE_S, task=task, note=note, by=by, login=login()), as_json)


@tasks.command()
@click.argument("task")
@home_option
@json_option
def withdraw(task: str, home: Path, as_json: bool) -> None:
    """Say that TASK is not wanted any more, whoever has it."""
    _tell(call(home, "tasks_withdraw", WRITE_S, task=task), as_json)


# ---------------------------------------------------------------- inside


def _tell(result: dict[str, Any], as_json: bool) -> None:
    emit(result, as_json, lambda: click.echo(_sentence(result["task"])))


def _sentence(row: dict[str, Any]) -> str:
    return f"{row['task']}: {row['state']}{_holder(row)}"


def _holder(row: dict[str, Any]) -> str:
    if not row["owner"]:
        return ""
    until = moment(row["lease_until_ms"])
    if row["state"] == "expired":
        return f"; {row['owner_name']} held it until {until}"
    return f" by {row['owner_name']} until {until}"


def _show_list(result: dict[str, Any], under: str) -> None:
    where = f" under {under}" if under else ""
    if not result["tasks"]:
        click.echo(f"nothing is to be done{where}")
    else:
        rows = [_cells(each) for each in result["tasks"]]
        styles = [COLOURS.get(each["priority"], "") for each in result["tasks"]]
        print_table(("task", "state", "priority", "title", "asset", "owner"), rows, styles)
    if result["total"] > len(result["tasks"]):
        click.echo(f"{len(result['tasks'])} of {result['total']} are shown: --limit, --under, --state")
    print_freshness(result["freshness"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    state = row["state"] + (" !" if row["lost_claims"] else "")
    owner = f"{row['owner_name']} until {moment(row['lease_until_ms'])}" if row["owner"] else ""
    return (row["task"], state, severity(row["priority"]), row["title"], row["asset"], owner)


def _show(row: dict[str, Any]) -> None:
    click.secho(_sentence(row), bold=True)
    names = ("title", "asset", "details", "wants", "offered_by", "lost_claims", "ended_by", "note")
    print_fields({"priority": severity(row["priority"]), **{name: row[name] for name in names}})
    for facet in row["facets"]:
        for version in facet["versions"]:
            click.secho(f"  {facet['facet']} written {moment(version['at_ms'])} on {version['on']}", dim=True)
    print_freshness(row["freshness"])
