"""`fieldmesh world`: what is shared by all nodes, read and written on this one."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, fail, home_option, json_option, print_json
from node.cli.place_words import doubts, show_place
from node.cli.proof_words import member_lines, verdict_lines
from node.cli.shown import (
    LIST_S,
    WRITE_S,
    limit_option,
    moment,
    print_freshness,
    print_table,
    said,
    under_option,
)
from node.cli.typed import json_of, value_of
from node.cli.words import ago
from node.control import call, stream
from node.exits import Exit

WATCH_S = 90.0  # the node says something every twenty seconds, if only that nothing has changed


@click.group()
def world() -> None:
    """What the plant looks like: the same on every node, writable on each, also in a cut.

    \b
    fieldmesh world get acme/lyon/hall-1          all that is known there
    fieldmesh world get asset acme/lyon/hall-1    one item, with every version
    fieldmesh world list asset --under acme/lyon
    fieldmesh world set asset acme/lyon/hall-1/line-2/press type=press maker=Arburg
    fieldmesh world watch --kind alarm
    """


@world.command()
@click.argument("words", nargs=-1, metavar="[PATH | KIND ITEM]")
@home_option
@json_option
def get(words: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Show all that is known at PATH and below, with the places one level below it, or one ITEM of a KIND.

    \b
    fieldmesh world get acme/lyon/hall-1/line-2
    fieldmesh world get alarm acme/lyon/hall-1/line-2/press#oil-hot
    """
    if len(words) > 2:
        raise click.UsageError("give a PATH, or a KIND and an ITEM")
    if len(words) == 2:
        item = call(home, "world_get", kind=words[0], item=words[1])
        emit(item, as_json, lambda: _show_item(item))
        return
    place = call(home, "world_place", LIST_S, path=words[0] if words else "")
    emit(place, as_json, lambda: show_place(place))


@world.command("set")
@click.argument("kind")
@click.argument("item")
@click.argument("values", nargs=-1, required=True, metavar="FIELD=VALUE... | JSON | null")
@click.option("--facet", default="", help="Which part of the item; most kinds have only one.")
@click.option("--merge", is_flag=True, help="With JSON: keep the fields that it does not name.")
@home_option
@json_option
def set_(
    kind: str, item: str, values: tuple[str, ...], facet: str, merge: bool, home: Path, as_json: bool
) -> None:
    """Write an ITEM: some of its fields, all of it as a JSON object, or null to delete it.

    In FIELD=VALUE a number, true or false is text where the kind's field is text; FIELD=null takes the field away.

    \b
    fieldmesh world set asset acme/lyon/hall-1/line-2/press type=press range_high=250
    fieldmesh world set asset acme/lyon/hall-1/line-2/press '{"type": "press"}'
    fieldmesh world set policy egress '{"rules": {"egress_allowed": false}}'
    fieldmesh world set asset acme/lyon/hall-1/line-2/press null
    """
    body, is_merged = _body_of(kind, facet, values)
    result = call(
        home, "world_set", WRITE_S, kind=kind, item=item, facet=facet, body=body, merge=merge or is_merged
    )
    emit(result, as_json, lambda: _show_written(result))


@world.command("list")
@click.argument("kind", default="")
@under_option
@click.option("--author", default="", metavar="NAME", help="Only what this member has a part in.")
@click.option("--state", "states", multiple=True, help="Only in this state; may be given several times.")
@click.option("--all", "closed", is_flag=True, help="Also what is deleted, over or done.")
@click.option("--after", default="", metavar="MARK", help="Go on after what an earlier answer gave.")
@limit_option
@home_option
@json_option
def list_(
    kind: str,
    under: str,
    author: str,
    states: tuple[str, ...],
    closed: bool,
    after: str,
    limit: int,
    home: Path,
    as_json: bool,
) -> None:
    """List items of a KIND, or of all kinds.

    \b
    fieldmesh world list asset --under acme/lyon/hall-1
    fieldmesh world list fact --state disagreeing
    fieldmesh world list --author press-3 --json
    """
    result = call(
        home,
        "world_list",
        LIST_S,
        kind=kind,
        path=under,
        author=author,
        states=list(states),
        closed=closed,
        limit=limit,
        after=after,
    )
    emit(result, as_json, lambda: _show_list(result))


@world.command()
@click.option("--kind", "kinds", multiple=True, help="Only this kind; may be given several times.")
@under_option
@click.option("--no-snapshot", is_flag=True, help="Only what changes from now on.")
@click.option("--count", type=click.IntRange(1), help="End after so many lines.")
@home_option
@json_option
def watch(
    kinds: tuple[str, ...], under: str, no_snapshot: bool, count: int | None, home: Path, as_json: bool
) -> None:
    """Follow changes until interrupted; with --json one object a line.

    \b
    fieldmesh world watch --kind alarm --under acme/lyon/hall-1
    fieldmesh world watch --json --no-snapshot | jq .item
    """
    arguments = {"kinds": list(kinds), "path": under, "snapshot": not no_snapshot}
    told = 0
    with closing(stream(home, "world_watch", WATCH_S, **arguments)) as changes:
        for change in changes:
            if change["change"] == "quiet":
                continue
            emit(change, as_json, _line(change))
            sys.stdout.flush()
            told += 1
            if told == count:
                return


@world.command()
@click.option("--kind", "kinds", multiple=True, help="Only this kind; may be given several times.")
@home_option
@json_option
def export(kinds: tuple[str, ...], home: Path, as_json: bool) -> None:
    """Print every record that this node holds, one JSON object a line: decoded, and as it was signed.

    \b
    fieldmesh world export > world.jsonl
    fieldmesh world export --kind alarm | jq -r .item
    """
    with closing(stream(home, "world_export", LIST_S, kinds=list(kinds))) as batches:
        for batch in batches:
            for record in batch["records"]:
                print_json(record)


@world.command()
@home_option
@json_option
def documents(home: Path, as_json: bool) -> None:
    """List the documents that hold it all, with their digests."""
    result = call(home, "world_documents")
    emit(result, as_json, lambda: _show_documents(result))


@world.command()
@home_option
@json_option
def verify(home: Path, as_json: bool) -> int:
    """Compare what every member says that it holds with what this node holds.

    The exit code is 20 when a document has diverged. A member that is behind is only not done yet.
    """
    result = call(home, "world_verify")
    emit(result, as_json, lambda: _show_proof(result))
    return Exit.UNHEALTHY if result["diverged"] else Exit.OK


@world.command()
@home_option
@json_option
def budget(home: Path, as_json: bool) -> None:
    """Show what the shared state weighs, who makes it grow, and when it will be full."""
    result = call(home, "world_budget", LIST_S)
    emit(result, as_json, lambda: _show_budget(result))


@world.command()
@home_option
@json_option
def live(home: Path, as_json: bool) -> None:
    """Print the address at which a browser or another program follows the documents."""
    from node.api_token import live_url

    call(home, "status")  # a node that was killed leaves its last address behind
    url = live_url(home)
    emit({"url": url}, as_json, url)


# ---------------------------------------------------------------- what was typed


def _body_of(kind: str, facet: str, values: tuple[str, ...]) -> tuple[dict[str, Any] | None, bool]:
    """The body, and whether it is only some of the fields."""
    if len(values) == 1 and "=" not in values[0].partition("{")[0]:
        return _object(sys.stdin.read() if values[0] == "-" else values[0]), False
    from crdt_state.shapes import typed_as_text  # here: it reads all the kinds, and other commands need none

    texts = typed_as_text(kind, facet)
    fields = {}
    for word in values:
        name, mark, text = word.partition("=")
        if not mark or not name:
            fail(f"{word!r} is no FIELD=VALUE", "fieldmesh world set --help", Exit.USAGE)
        value = value_of(text)
        fields[name] = text if name in texts and value is not None and not isinstance(value, str) else value
    return fields, True


def _object(text: str) -> dict[str, Any] | None:
    try:
        body = json_of(text)
    except ValueError as error:
        fail(f"that is no JSON: {error}", "write FIELD=VALUE, a JSON object, or null", Exit.USAGE)
    if body is not None and not isinstance(body, dict):
        fail("an item is a JSON object with named fields", "write FIELD=VALUE, or {...}, or null", Exit.USAGE)
    return body


# ---------------------------------------------------------------- what is shown


def _show_item(row: dict[str, Any]) -> None:
    click.secho(f"{row['kind']} {row['item']}", bold=True)
    click.echo(f"  {row['state']}{doubts(row)}")
    if row["kind"] == "frame":
        _show_frame(row)
        return
    for facet in row["facets"]:
        for number, version in enumerate(facet["versions"]):
            name = facet["facet"] or "value"
            beside = "" if number == 0 else ", beside it"
            click.echo(f"  {name}{beside}: {said(version['body'], 1000)}")
            click.secho(f"    {moment(version['at_ms'])} on {version['on']}  {version['dot']}", dim=True)
    print_freshness(row["freshness"])


def _show_frame(row: dict[str, Any]) -> None:
    """All of its tags; a body of so many is no line to read."""
    tags = [
        (name, said(tag["value"]), tag["quality"], moment(tag["source_ms"]))
        for name, tag in sorted(row["fields"]["tags"].items())
    ]
    print_table(("tag", "value", "quality", "measured"), tags)
    click.secho(f"  written {moment(row['at_ms'])} on {row['on']}  {row['dot']}", dim=True)
    print_freshness(row["freshness"])


def _show_written(result: dict[str, Any]) -> None:
    what = "deleted" if result["body"] is None else "written"
    click.echo(f"{what}: {result['kind']} {result['item']} {result['facet']}".rstrip())
    for name in result["unknown_fields"]:
        click.secho(f"  this release does not know the field {name!r}; it is kept", fg="yellow", err=True)


def _show_list(result: dict[str, Any]) -> None:
    if not result["items"]:
        click.echo("nothing is there")
    else:
        rows = [
            (each["item"], each["kind"], _marked(each), moment(each["at_ms"]), each["on"])
            for each in result["items"]
        ]
        print_table(("item", "kind", "state", "written", "on"), rows)
    if result["more"]:
        click.echo(f"there is more: --after {result['more']}")
    print_freshness(result["freshness"])


def _marked(row: dict[str, Any]) -> str:
    """The state, marked when concurrent writes of the item differ."""
    return f"{row['state']}{' !' if row['conflict'] else ''}"


def _line(change: dict[str, Any]) -> str:
    if change["change"] == "all-told":
        return f"{moment(change['at_ms'])}  that is all; changes follow"
    what = f"{change['kind']} {change['item']}"
    if change["change"] == "gone":
        return f"{moment(change['at_ms'])}  {what} is gone"
    return f"{moment(change['at_ms'])}  {what}  {change['state']}  on {change['on']}"


def _show_documents(result: dict[str, Any]) -> None:
    rows = [
        (each["document"], each["records"], _bytes(each["bytes"]), each["generation"], each["digest"][:12])
        for each in result["documents"]
    ]
    print_table(("document", "records", "size", "generation", "digest"), rows)
    if result["waiting"]:
        click.echo(f"records from the far future that wait: {result['waiting']}")


def _show_proof(result: dict[str, Any]) -> None:
    if not result["documents"]:
        click.echo("there are no shared documents yet")
        return
    names = [each["name"] for each in result["documents"][0]["members"]]
    rows = [
        (each["document"], each["records"], *(member["standing"] for member in each["members"]))
        for each in result["documents"]
    ]
    print_table(("document", "records", *names), rows, [_proof_style(each) for each in result["documents"]])
    for line in (*member_lines(result), *verdict_lines(result)):
        click.echo(line)


def _proof_style(document: dict[str, Any]) -> str:
    standings = {member["standing"] for member in document["members"]}
    return "red" if "diverged" in standings else "" if standings <= {"equal"} else "yellow"


def _show_budget(result: dict[str, Any]) -> None:
    rows = [
        (
            each["name"],
            each["records"],
            _bytes(each["record_bytes"]),
            _bytes(each["form_bytes"]),
            _bytes(each["history_bytes"]),
            _per_day(each["bytes_per_day"]),
            "-" if each["days_left"] is None else f"{each['days_left']:.0f} d",
        )
        for each in result["documents"]
    ]
    print_table(("document", "records", "content", "form", "history", "grows", "full in"), rows)
    writers = [
        (each["kind"], each["name"], each["writes"], f"{each['bytes_per_write']:.0f}", _bytes(each["bytes"]))
        for each in result["writers"]
    ]
    print_table(("kind", "writer", "writes", "bytes/write", "written"), writers)
    total = result["record_bytes"] + result["form_bytes"]
    click.secho(f"{_bytes(total)} in all; writers since {ago(result['seconds'])} ago", dim=True)


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _per_day(size: float | None) -> str:
    return "-" if size is None else f"{_bytes(size)}/d"
