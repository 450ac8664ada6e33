"""`fieldmesh facts`: what is so, as each observer says it."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, fail, home_option, json_option
from node.cli.shown import (
    LIST_S,
    WRITE_S,
    age,
    limit_option,
    print_freshness,
    print_table,
    said,
    under_option,
)
from node.cli.typed import NegativeNumbers, measured
from node.cli.types import duration
from node.control import call
from node.exits import Exit

STATES = ("known", "disagreeing", "unknown", "withdrawn")
QUALITIES = ("good", "uncertain", "bad")
FRESH_S_MAX = 366 * 86_400


@click.group()
def facts() -> None:
    """Facts: nobody's word replaces another's; where observers differ, it shows. A FACT is named PATH#NAME.

    \b
    fieldmesh facts observe acme/lyon/hall-1/line-2/press#running true
    fieldmesh facts list --under acme/lyon/hall-1
    """


@facts.command("list")
@under_option
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state.")
@limit_option
@home_option
@json_option
def list_(under: str, states: tuple[str, ...], limit: int, home: Path, as_json: bool) -> None:
    """Show what is known, and what observers do not agree on."""
    result = call(home, "facts_list", LIST_S, path=under, states=list(states), limit=limit)
    emit(result, as_json, lambda: _show_list(result, under))


@facts.command()
@click.argument("fact")
@home_option
@json_option
def show(fact: str, home: Path, as_json: bool) -> None:
    """Show what every observer says of one FACT."""
    result = call(home, "facts_show", fact=fact)
    emit(result, as_json, lambda: _show(result))


@facts.command(cls=NegativeNumbers)
@click.argument("fact")
@click.argument("value")
@click.option("--text", is_flag=True, help="VALUE is text, even if it reads as a number.")
@click.option("--quality", type=click.Choice(QUALITIES), default="good", show_default=True)
@click.option(
    "--fresh",
    type=duration(1, FRESH_S_MAX),
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="For how long it holds unless said again.",
)
@home_option
@json_option
def observe(fact: str, value: str, text: bool, quality: str, fresh: float, home: Path, as_json: bool) -> None:
    """Say what this node sees: a number, true, false, or text.

    \b
    fieldmesh facts observe acme/lyon/hall-1/line-2/press#running true
    fieldmesh facts observe acme/lyon/hall-1/store#drums-of-oil 4 --fresh 8h
    fieldmesh facts observe acme/lyon/hall-1/store#celsius -4.5
    """
    seen: Any = value if text else measured(value)
    if isinstance(seen, list | dict):
        fail("a fact has one value: a number, true, false, or text", "--text takes it as text", Exit.USAGE)
    result = call(home, "facts_observe", WRITE_S, fact=fact, value=seen, quality=quality, fresh_s=fresh)
    emit(result, as_json, lambda: click.echo(_sentence(result["fact"])))


@facts.command()
@click.argument("fact")
@home_option
@json_option
def withdraw(fact: str, home: Path, as_json: bool) -> None:
    """Take back what this node said of FACT. What others say stays."""
    result = call(home, "facts_withdraw", WRITE_S, fact=fact)
    emit(result, as_json, lambda: click.echo(_sentence(result["fact"])))


def _sentence(row: dict[str, Any]) -> str:
    return f"{row['fact']}: {_value(row)} ({row['state']})"


def _value(row: dict[str, Any]) -> str:
    """The value on which all agree, else what each says."""
    if row["state"] == "disagreeing":
        return " or ".join(f"{said(each['value'])} ({each['on']})" for each in row["observations"])
    return said(row["value"])


def _show_list(result: dict[str, Any], under: str) -> None:
    where = f" under {under}" if under else ""
    if not result["facts"]:
        click.echo(f"nothing is observed{where}")
    else:
        now_ms = result["freshness"]["now_ms"]
        rows = [
            (
                each["fact"],
                _value(each),
                each["state"],
                age(each["as_of_ms"], now_ms),
                len(each["observations"]),
            )
            for each in result["facts"]
        ]
        styles = ["yellow" if each["state"] == "disagreeing" else "" for each in result["facts"]]
        print_table(("fact", "value", "state", "age", "observers"), rows, styles)
    print_freshness(result["freshness"])


def _show(row: dict[str, Any]) -> None:
    click.secho(_sentence(row), bold=True)
    now_ms = row["freshness"]["now_ms"]
    for each in row["observations"]:
        old = "" if each["fresh"] else ", too old to count"
        click.echo(
            f"  {each['on']}: {said(each['value'])}, {each['quality']}, {age(each['observed_ms'], now_ms)} ago{old}"
        )
    print_freshness(row["freshness"])
