"""`fieldmesh member`: who belongs to the site, and ending a membership for ever."""

import shlex
from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, fail, home_option, json_option
from node.cli.words import date
from node.control import call
from node.exits import Exit


@click.group()
def member() -> None:
    """Members of the site."""


@member.command("list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """Show every member and everybody who was removed."""
    result = call(home, "members")
    emit(result, as_json, lambda: _show(result))


@member.command()
@click.argument("name")
@click.option("--reason", default="removed by a steward", help="Kept with the removal for ever.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
def remove(name: str, reason: str, yes: bool, home: Path, as_json: bool) -> None:
    """Remove the member NAME (or id) for ever: it is cut off everywhere, live sessions included."""
    if not yes:
        _confirm(name, as_json)
    result = call(home, "member_remove", timeout_s=20, member=name, reason=reason)
    emit(
        result,
        as_json,
        f"removed {result['name']} ({result['id']}); told {result['told']} linked peers at once",
    )


def _confirm(name: str, as_json: bool) -> None:
    """Ends the command unless a person at the terminal says yes."""
    if as_json:
        fail(
            "a removal is for ever, and --json cannot ask whether it is meant",
            f"fieldmesh member remove {shlex.quote(name)} --yes --json",
            Exit.USAGE,
        )
    try:
        is_meant = click.confirm(f"Remove {name} from the site for ever?")
    except click.Abort:
        click.echo("")  # the question's line is still open
        is_meant = False
    if not is_meant:
        fail("nothing was removed", "answer y, or give --yes")


def _show(result: dict[str, Any]) -> None:
    for each in result["members"]:
        role = "steward" if each["steward"] else "member"
        here = "  <- this node" if each["is_self"] else ""
        expires = date(each["certificate_expires_ms"])
        click.echo(f"{each['name']:<24} {role:<8} certificate until {expires}  {each['id']}{here}")
    for each in result["removed"]:
        click.secho(
            f"{each['name']:<24} removed {date(each['at_ms'])}: {each['reason']}  {each['id']}", dim=True
        )
