"""`fieldmesh feed`: live values from a shell or a script."""

from pathlib import Path

import click

from node.cli.output import emit, home_option, json_option
from node.cli.typed import measured
from node.control import call


@click.command()
@click.argument("values", nargs=-1, required=True, metavar="TAG=VALUE...")
@click.option("--quality", default="good", show_default=True, help="good, uncertain, bad or stale.")
@click.option("--gone", is_flag=True, help="There are no such tags any more: give their names only.")
@home_option
@json_option
def feed(values: tuple[str, ...], quality: str, gone: bool, home: Path, as_json: bool) -> None:
    """Tell the current values of tags on this machine; every node then shows them.

    A TAG may have any printable name; it is shown at its place only if the name begins with a path.

    \b
    fieldmesh feed acme/lyon/hall-1/line-2/press/oil-temp=63.5 acme/lyon/hall-1/line-2/press/state=running
    fieldmesh feed --quality bad acme/lyon/hall-1/line-2/press/oil-temp=0
    """
    told = {} if gone else dict(_pair(text) for text in values)
    result = call(home, "tags_feed", values=told, quality=quality, gone=list(values) if gone else [])
    emit(result, as_json, f"told: {result['tags'] or result['gone']} tags")


def _pair(text: str) -> tuple[str, object]:
    tag, equals, value = text.partition("=")
    if not tag or not equals:
        raise click.UsageError(f"{text!r} is not TAG=VALUE")
    return tag, measured(value)
