"""`fieldmesh alarms`: what wants attention, and acting on it."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, fail, home_option, json_option
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
    said,
    severity,
    under_option,
)
from node.cli.typed import measured
from node.cli.types import duration
from node.cli.words import ago
from node.control import call
from node.exits import Exit

NUMBERS = {name: number for number, name in SEVERITIES.items()}
STATES = ("unacknowledged", "returned", "acknowledged", "shelved", "suppressed", "out-of-service", "normal")
SHELVED_S_MAX = 7 * 86_400  # what must be out of sight for longer is taken out of service, by name

severity_option = click.option(
    "--severity",
    type=click.Choice(tuple(NUMBERS)),
    default="medium",
    show_default=True,
    help="How bad it is.",
)
reason_option = click.option("--reason", required=True, help="Why; everybody sees it.")
names_argument = click.argument("names", nargs=-1, required=True, metavar="ALARM...")


@click.group()
def alarms() -> None:
    """Alarms of the plant and of the mesh itself. An ALARM is named PATH#NAME.

    \b
    fieldmesh alarms list --under acme/lyon/hall-1
    fieldmesh alarms ack acme/lyon/hall-1/line-2/press#oil-hot --note "fan was blocked"
    fieldmesh alarms shelve acme/lyon/hall-1/line-2/press#door --for 2h --reason "fitter at work"
    """


@alarms.command("list")
@under_option
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state.")
@click.option(
    "--severity", "least", type=click.Choice(tuple(NUMBERS)), default="low", help="At least so bad."
)
@click.option("--hidden", is_flag=True, help="Also those that are shelved, suppressed or out of service.")
@click.option("--all", "closed", is_flag=True, help="Also those that are normal.")
@limit_option
@home_option
@json_option
def list_(
    under: str,
    states: tuple[str, ...],
    least: str,
    hidden: bool,
    closed: bool,
    limit: int,
    home: Path,
    as_json: bool,
) -> None:
    """Show what wants attention: unacknowledged and active first, then the most severe, then the newest."""
    result = call(
        home,
        "alarms_list",
        LIST_S,
        path=under,
        states=list(states),
        severity=NUMBERS[least],
        hidden=hidden,
        closed=closed,
        limit=limit,
    )
    emit(result, as_json, lambda: _show_list(result, under))


@alarms.command()
@click.argument("alarm")
@home_option
@json_option
def show(alarm: str, home: Path, as_json: bool) -> None:
    """Show all that is known of one ALARM."""
    result = call(home, "alarms_show", alarm=alarm)
    emit(result, as_json, lambda: _show(result))


@alarms.command("raise")
@click.argument("alarm")
@severity_option
@click.option("--text", help="What it means, for people.")
@click.option("--value", help="What was measured.")
@click.option("--limit", type=float, help="The limit that it passed.")
@home_option
@json_option
def raise_(
    alarm: str,
    severity: str,
    text: str | None,
    value: str | None,
    limit: float | None,
    home: Path,
    as_json: bool,
) -> None:
    """Say that the condition of ALARM is there.

    \b
    fieldmesh alarms raise acme/lyon/hall-1/line-2/press#oil-hot --severity high --value 82.5 --limit 80
    """
    measured = None if value is None else _scalar(value)
    arguments = {"severity": NUMBERS[severity], "text": text, "value": measured, "limit": limit}
    result = call(home, "alarms_raise", WRITE_S, alarm=alarm, **arguments)
    _tell(result, as_json)


@alarms.command("return")
@click.argument("alarm")
@home_option
@json_option
def return_(alarm: str, home: Path, as_json: bool) -> None:
    """Say that the condition of ALARM is gone; until somebody acknowledges it, it stays in the list."""
    _tell(call(home, "alarms_return", WRITE_S, alarm=alarm), as_json)


@alarms.command()
@click.argument("names", nargs=-1, metavar="ALARM...")
@click.option(
    "--all", "everything", is_flag=True, help="All that are unacknowledged, or those --under a path."
)
@under_option
@by_option
@click.option("--note", default="", help="What was found or done.")
@click.option("--seen", multiple=True, metavar="ID", help="Only this activation, as `show --json` names it.")
@home_option
@json_option
def ack(
    names: tuple[str, ...],
    everything: bool,
    under: str,
    by: str,
    note: str,
    seen: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Acknowledge: somebody has seen it. If one of them is not there, none is acknowledged.

    \b
    fieldmesh alarms ack acme/lyon/hall-1/line-2/press#oil-hot --by anna --note "fan was blocked"
    fieldmesh alarms ack --all --under acme/lyon/hall-1/line-2
    """
    if everything == bool(names):
        raise click.UsageError("name the alarms, or give --all for all that are unacknowledged")
    chosen = _unacknowledged(home, under) if everything else list(names)
    arguments: dict[str, Any] = {"by": by, "login": login(), "note": note, "seen": list(seen) or None}
    _tell(call(home, "alarms_ack", WRITE_S, alarms=chosen, **arguments), as_json)


@alarms.command()
@names_argument
@click.option(
    "--for",
    "for_s",
    required=True,
    type=duration(1, SHELVED_S_MAX),
    metavar="DURATION",
    help="For how long: 30m, 8h, 2d; at most 7d.",
)
@reason_option
@by_option
@home_option
@json_option
def shelve(names: tuple[str, ...], for_s: float, reason: str, by: str, home: Path, as_json: bool) -> None:
    """Put out of sight for a while, with a reason."""
    signed = {"by": by, "login": login()}
    result = call(home, "alarms_shelve", WRITE_S, alarms=list(names), for_s=for_s, reason=reason, **signed)
    _tell(result, as_json)


@alarms.command()
@names_argument
@home_option
@json_option
def unshelve(names: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Bring back into sight before the time is over."""
    _tell(call(home, "alarms_unshelve", WRITE_S, alarms=list(names)), as_json)


@alarms.command()
@names_argument
@reason_option
@by_option
@home_option
@json_option
def suppress(names: tuple[str, ...], reason: str, by: str, home: Path, as_json: bool) -> None:
    """Put out of sight by design, while the plant is in a state in which it means nothing."""
    _hide("alarms_suppress", names, reason, by, home, as_json)


@alarms.command()
@names_argument
@by_option
@home_option
@json_option
def unsuppress(names: tuple[str, ...], by: str, home: Path, as_json: bool) -> None:
    """End the suppression."""
    _tell(call(home, "alarms_unsuppress", WRITE_S, alarms=list(names), by=by, login=login()), as_json)


@alarms.command("out-of-service")
@names_argument
@reason_option
@by_option
@home_option
@json_option
def out_of_service(names: tuple[str, ...], reason: str, by: str, home: Path, as_json: bool) -> None:
    """Put out of sight for maintenance, until somebody returns it."""
    _hide("alarms_out", names, reason, by, home, as_json)


@alarms.command("in-service")
@names_argument
@by_option
@home_option
@json_option
def in_service(names: tuple[str, ...], by: str, home: Path, as_json: bool) -> None:
    """Return from maintenance."""
    _tell(call(home, "alarms_in", WRITE_S, alarms=list(names), by=by, login=login()), as_json)


# ---------------------------------------------------------------- inside


def _hide(verb: str, names: tuple[str, ...], reason: str, by: str, home: Path, as_json: bool) -> None:
    _tell(call(home, verb, WRITE_S, alarms=list(names), reason=reason, by=by, login=login()), as_json)


def _unacknowledged(home: Path, under: str) -> list[str]:
    """Those that the caller would see in the list."""
    states = ["unacknowledged", "returned"]
    found = call(home, "alarms_list", LIST_S, path=under, states=states, limit=500)["alarms"]
    if not found:
        where = f" under {under}" if under else ""
        fail(f"no alarm{where} is unacknowledged", "nothing needs to be done", Exit.USAGE)
    return [each["alarm"] for each in found]


def _scalar(text: str) -> Any:
    value = measured(text)
    return text if isinstance(value, list | dict) else value


def _tell(result: dict[str, Any], as_json: bool) -> None:
    emit(result, as_json, lambda: _show_done(result))


def _show_done(result: dict[str, Any]) -> None:
    for each in result["alarms"]:
        unchanged = "" if result["dots"] else " (it was so already)"
        click.echo(f"{each['alarm']}: {each['state']}{unchanged}")
    for each in result.get("skipped", ()):
        click.secho(f"left out: {each['why']}", fg="yellow", err=True)


def _show_list(result: dict[str, Any], under: str) -> None:
    where = f" under {under}" if under else ""
    if not result["alarms"]:
        click.echo(f"no alarm{where} wants attention")
    else:
        rows = [_cells(each) for each in result["alarms"]]
        styles = [_style(each) for each in result["alarms"]]
        print_table(("alarm", "state", "severity", "for", "text", "acknowledged"), rows, styles)
    if result["total"] > len(result["alarms"]):
        click.echo(f"{len(result['alarms'])} of {result['total']} are shown: --limit, --under, --severity")
    if result["hidden"]:
        click.secho(f"out of sight: {result['hidden']}; --hidden shows them", dim=True)
    print_freshness(result["freshness"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    value = "" if row["value"] is None else f" ({said(row['value'])})"
    seen = f"{row['acknowledged_by']} on {row['acknowledged_on']}" if row["acknowledged_by"] else ""
    state = row["state"] + (" !" if row["conflict"] else "")
    return (
        row["alarm"],
        state,
        severity(row["severity"]),
        "-" if row["age_s"] is None else ago(row["age_s"]),
        row["text"] + value,
        seen,
    )


def _style(row: dict[str, Any]) -> str:
    return COLOURS.get(row["severity"], "") if row["state"] == "unacknowledged" else ""


def _show(row: dict[str, Any]) -> None:
    click.secho(row["alarm"], bold=True)
    click.echo(f"  {row['state']}, {severity(row['severity'])}, since {moment(row['since_ms'])}")
    names = (
        "text",
        "value",
        "limit",
        "raised_on",
        "acknowledged_by",
        "acknowledged_on",
        "note",
        "outstanding",
    )
    print_fields({name: row[name] for name in names})
    if row["hidden"]:
        until = row["hidden"]["until_ms"]
        end = f" until {moment(until)}" if until else ""
        click.echo(f"  out of sight{end}: {row['hidden']['reason']} ({row['hidden']['by']})")
    if row["conflict"]:
        click.echo("  written on several sides at once; the worst of it counts:")
    for facet in row["facets"]:
        for version in facet["versions"]:
            at = f"{moment(version['at_ms'])} on {version['on']}"
            click.secho(f"  {facet['facet']}: {said(version['body'], 400)}  {at}", dim=True)
    print_freshness(row["freshness"])
