"""`fieldmesh quarantine`: what this node brought back from a long absence, and what becomes of it."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, fail, home_option, json_option
from node.cli.shown import WRITE_S, moment, print_table, said
from node.control import call
from node.exits import Exit

KEYS = {"ignore_unknown_options": True}  # a key may begin with a dash


@click.group()
def quarantine() -> None:
    """Records that this node holds back: they are about things that the others have done with since.

    \b
    fieldmesh quarantine show
    fieldmesh quarantine merge 3q2-7wvw1kA9Zx0B
    fieldmesh quarantine discard --all --yes
    """


@quarantine.command()
@home_option
@json_option
def show(home: Path, as_json: bool) -> None:
    """Show each record, and what merging it would change."""
    result = call(home, "quarantine_show")
    emit(result, as_json, lambda: _show(result))


@quarantine.command(context_settings=KEYS)
@click.argument("keys", nargs=-1, metavar="KEY...")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@home_option
@json_option
def merge(keys: tuple[str, ...], everything: bool, home: Path, as_json: bool) -> None:
    """Write these values anew, in this node's name, for everybody."""
    _check(keys, everything)
    result = call(home, "quarantine_merge", WRITE_S, keys=list(keys), everything=everything)
    emit(result, as_json, f"merged: {result['decided']}")


@quarantine.command(context_settings=KEYS)
@click.argument("keys", nargs=-1, metavar="KEY...")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
def discard(keys: tuple[str, ...], everything: bool, yes: bool, home: Path, as_json: bool) -> None:
    """Throw these away for ever: no other node has them."""
    _check(keys, everything)
    if not yes:
        _confirm(len(keys), as_json)
    result = call(home, "quarantine_discard", WRITE_S, keys=list(keys), everything=everything)
    emit(result, as_json, f"discarded: {result['decided']}")


def _check(keys: tuple[str, ...], everything: bool) -> None:
    if everything == bool(keys):
        raise click.UsageError("name the keys, or give --all")


def _confirm(count: int, as_json: bool) -> None:
    """Ends the command unless a person at the terminal says yes."""
    if as_json:
        fail(
            "discarding is for ever, and --json cannot ask whether it is meant",
            "give --yes too",
            Exit.USAGE,
        )
    what = f"{count} records" if count else "all records in quarantine"
    try:
        is_meant = click.confirm(f"Throw away {what} for ever?")
    except click.Abort:
        click.echo("")  # the question's line is still open
        is_meant = False
    if not is_meant:
        fail("nothing was discarded", "answer y, or give --yes")


def _show(result: dict[str, Any]) -> None:
    if not result["aside"]:
        click.echo("nothing is in quarantine")
        return
    rows = [
        (
            each["key"],
            f"{each['kind']} {each['item']} {each['facet']}".rstrip(),
            "(deleted)" if each["body"] is None else said(each["body"]),
            "-" if each["now"] is None else said(each["now"]["body"]),
            each["would"],
        )
        for each in result["aside"]
    ]
    print_table(("key", "of", "held back", "stands now", "merging would"), rows)
    reasons = sorted({f"{each['why']}, since {moment(each['since_ms'])}" for each in result["aside"]})
    for reason in reasons:
        click.secho(reason, dim=True)
    if result["total"] > len(result["aside"]):
        click.echo(f"{len(result['aside'])} of {result['total']} are shown")
