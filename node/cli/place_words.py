"""What is known at a place, as people read it."""

from typing import Any

import click

from node.cli.shown import moment, print_fields, print_freshness, print_table, said, severity

NAMES = {"below": "places below"}


def show_place(place: dict[str, Any]) -> None:
    click.secho(place["path"] or "everything", bold=True)
    if place["asset"]:
        _show_asset(place["asset"])
    for child in place["below"]:
        click.echo(f"  {child}")
    if place["tags"]:
        rows = [
            (each["tag"], said(each["value"]), each["quality"], moment(each["source_ms"]), each["on"])
            for each in place["tags"]
        ]
        print_table(("tag", "value", "quality", "measured", "on"), rows)
    if place["facts"]:
        print_table(("fact", "value", "state", "by"), [_fact(each) for each in place["facts"]])
    if place["alarms"]:
        print_table(("alarm", "state", "severity", "text"), [_alarm(each) for each in place["alarms"]])
    if place["tasks"]:
        print_table(("task", "state", "title"), [_task(each) for each in place["tasks"]])
    if place["advisories"]:
        advice = [
            (each["item"], each["fields"]["advice"]["text"], each["on"]) for each in place["advisories"]
        ]
        print_table(("advisory", "text", "on"), advice)
    for line in _cut_lines(place):
        click.echo(line)
    print_freshness(place["freshness"])


def _cut_lines(place: dict[str, Any]) -> list[str]:
    """What there is more of than is shown, and which command shows it."""
    under = f" --under {place['path']}" if place["path"] else ""
    others = {
        "tags": "fieldmesh world get frame NODE shows one node's all",
        "below": f"fieldmesh world list asset{under} shows the places",
        "facts": f"fieldmesh facts list{under} --limit 5000",
        "alarms": f"fieldmesh alarms list{under} --limit 5000",
        "tasks": f"fieldmesh tasks list{under} --limit 5000",
        "advisories": f"fieldmesh world list advisory{under} --limit 5000",
    }
    return [
        f"{len(place[part])} of {place[f'{part}_total']} {NAMES.get(part, part)}; {command}"
        for part, command in others.items()
        if len(place[part]) < place[f"{part}_total"]
    ]


def _show_asset(row: dict[str, Any]) -> None:
    body = row["fields"]["body"]
    print_fields({name: value for name, value in body.items() if name != "limits"})
    limits = {name: value for name, value in body["limits"].items() if value is not None}
    print_fields({"limits": limits})
    click.secho(f"  written {moment(row['at_ms'])} on {row['on']}{doubts(row)}", dim=True)


def _fact(row: dict[str, Any]) -> tuple[str, ...]:
    fields = row["fields"]
    values = {said(value) for _, value in fields["disagreeing"]} or {said(fields["value"])}
    return (row["item"], " or ".join(sorted(values)), row["state"], row["on"])


def _alarm(row: dict[str, Any]) -> tuple[str, ...]:
    fields = row["fields"]
    return (row["item"], row["state"], severity(fields["severity"]), fields["text"])


def _task(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["item"], row["state"], row["fields"]["offer"]["title"])


def doubts(row: dict[str, Any]) -> str:
    """What is to be known beside an item's state; mostly nothing."""
    where = {"fact": f"facts show {row['item']}", "alarm": f"alarms show {row['item']}"}
    see = f"(see: fieldmesh {where.get(row['kind'], 'conflicts list')})"
    conflict = f"; written on several sides at once {see}" if row["conflict"] else ""
    return conflict + ("" if row["readable"] else "; some of it cannot be read here")
