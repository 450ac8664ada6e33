"""`fieldmesh member`: who belongs to the site, and ending a membership for ever."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.cli.words import date
from node.control import call


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
    if not (yes or as_json):
        click.confirm(f"Remove {name} from the site for ever?", abort=True)
    result = call(home, "member_remove", timeout_s=20, member=name, reason=reason)
    emit(
        result,
        as_json,
        f"removed {result['name']} ({result['id']}); told {result['told']} linked peers at once",
    )


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
