"""`fieldmesh join`: this machine becomes a member."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mesh.wire import Endpoint
from node.cli.output import emit, home_option, json_option
from node.cli.types import duration, host_port
from node.cli.words import date


@click.command()
@click.argument("token", metavar="TOKEN")
@click.option("--name", metavar="NAME", help="This node's name. [default: the host's name]")
@click.option(
    "--seed",
    "seeds",
    type=host_port,
    metavar="HOST:PORT",
    multiple=True,
    help="The steward's join port; may be repeated.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port of this node's broker. [default: 8883]")
@click.option(
    "--join-port", type=click.IntRange(0, 65535), help="TCP port for joiners, on a steward. [default: 8884]"
)
@click.option(
    "--timeout",
    type=duration(1, 3600),
    metavar="DURATION",
    default="15s",
    show_default=True,
    help="How long to look for the steward.",
)
@home_option
@json_option
def join(
    token: str,
    name: str | None,
    seeds: tuple[Endpoint, ...],
    port: int | None,
    join_port: int | None,
    timeout: float,
    home: Path,
    as_json: bool,
) -> None:
    """Join the site of TOKEN (`-`: read it from standard input). The keys are made here and stay here."""
    from mesh.io.discovery import find_stewards
    from node.home import Home
    from node.host_name import name_of_host
    from node.join_client import join as join_site
    from node.tokens import TEXT_CHARS_MAX, parse_token

    text = sys.stdin.read(TEXT_CHARS_MAX + 1) if token == "-" else token  # noqa: S105 - a dash is no secret
    config = {key: value for key, value in (("port", port), ("join_port", join_port)) if value is not None}
    joining = join_site(
        Home(home),
        parse_token(text),
        name or name_of_host(),
        seeds=seeds,
        find=find_stewards,
        timeout_s=timeout,
        config=config,
    )
    result = {"home": str(home), **asdict(asyncio.run(joining))}
    emit(result, as_json, lambda: _show(result))


def _show(result: dict[str, Any]) -> None:
    role = "a steward" if result["is_steward"] else "a member"
    click.echo(
        f"{result['name']} ({result['node']}) is now {role} of {result['site_name']} ({result['members']} members)"
    )
    click.echo(f"its certificate is good until {date(result['not_after_ms'])} and renews itself")
    click.echo(f"\nnext: fieldmesh run --home {result['home']}")
