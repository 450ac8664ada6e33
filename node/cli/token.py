"""`fieldmesh token`: one-time tokens with which other machines join."""

import time
from pathlib import Path
from typing import Any

import click

from mesh.wire import Endpoint
from node.cli.output import emit, home_option, json_option
from node.cli.types import duration, host_port
from node.cli.words import date

TTL_LEAST_S = 10.0
TTL_MOST_S = 7 * 86_400.0  # a token that lies about for longer will be found by somebody else
OWN_DOORS_MAX = 4  # each that does not answer costs the joiner a second; bridges of containers never do


@click.group()
def token() -> None:
    """One-time tokens with which other machines join the site."""


@token.command()
@click.option(
    "--ttl",
    type=duration(TTL_LEAST_S, TTL_MOST_S),
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="How long it is good for.",
)
@click.option(
    "--steward", "for_steward", is_flag=True, help="Its bearer becomes a steward (needs the root key here)."
)
@click.option(
    "--seed",
    "seeds",
    type=host_port,
    metavar="HOST:PORT",
    multiple=True,
    help="Where joiners find this steward; may be repeated.",
)
@home_option
@json_option
def create(ttl: float, for_steward: bool, seeds: tuple[Endpoint, ...], home: Path, as_json: bool) -> None:
    """Make a token for one machine. Only the token goes to standard output; it is a secret until used."""
    from node.control import socket_of
    from node.founding import authority_of, root_key_of
    from node.home import Home
    from node.token_book import TokenBook
    from node.tokens import SEEDS_MAX

    place = Home(home)
    keys = place.load_keys()
    authority_of(keys)
    if for_steward:
        root_key_of(place)
    seeds = tuple(dict.fromkeys((*seeds, *_own_doors(place.config))))[:SEEDS_MAX]
    book = TokenBook(place.database)
    made = book.create(keys.root.fingerprint, keys.identity.node, _wall_ms(), ttl, for_steward, seeds)
    result = {
        "token": made.text(),
        "id": made.name,
        "expires_ms": made.expires_ms,
        "for_steward": for_steward,
        "steward": made.steward,
        "seeds": [str(seed) for seed in seeds],
        "node_running": socket_of(home).exists(),
    }
    emit(result, as_json, lambda: _show_new(result, home))


@token.command("list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """Show the tokens of the last 30 days, never their secrets."""
    from node.home import Home
    from node.token_book import TokenBook

    place = Home(home)
    place.load_keys()
    now_ms = _wall_ms()
    tokens = [
        {
            "id": row.name,
            "state": row.state(now_ms),
            "created_ms": row.created_ms,
            "expires_ms": row.expires_ms,
            "for_steward": row.for_steward,
            "used_by": row.used_by,
            "used_name": row.used_name,
            "used_ms": row.used_ms,
        }
        for row in TokenBook(place.database).rows()
    ]
    emit({"tokens": tokens}, as_json, lambda: _show_list(tokens))


@token.command()
@click.argument("token_id", metavar="ID")
@home_option
@json_option
def revoke(token_id: str, home: Path, as_json: bool) -> None:
    """End an open token. ID is what `token list` shows, or enough of its beginning, or the token itself."""
    from node.home import Home
    from node.token_book import TokenBook
    from node.tokens import PREFIX, parse_token

    place = Home(home)
    place.load_keys()
    prefix = parse_token(token_id).name if token_id.startswith(PREFIX) else token_id
    row = TokenBook(place.database).revoke(prefix, _wall_ms())
    emit({"id": row.name, "state": "revoked"}, as_json, f"revoked {row.name}")


def _own_doors(config: Path) -> list[Endpoint]:
    """Where this steward takes joiners, as far as its configuration and interfaces tell."""
    from mesh.io.interfaces import usable_interfaces
    from node.config import load

    settings = load(config)
    port, bind = settings.fabric.join_port, settings.fabric.bind
    if not port:
        return []  # any free one: multicast DNS tells which
    interfaces = usable_interfaces(settings.discovery.interfaces, settings.discovery.exclude)
    hosts = [bind] if bind else [host for each in interfaces for host in each.hosts]
    doors = sorted((Endpoint(host, port) for host in hosts), key=lambda each: ":" in each.host)
    return doors[:OWN_DOORS_MAX]


def _show_new(result: dict[str, Any], home: Path) -> None:
    click.echo(result["token"])
    what = "one more steward" if result["for_steward"] else "one machine"
    click.echo(
        f"for {what}, until {date(result['expires_ms'])}; there: fieldmesh join TOKEN --home DIR", err=True
    )
    if not result["node_running"]:
        click.echo(
            f"note: no node is running here to admit the joiner; start it: fieldmesh run --home {home}",
            err=True,
        )


def _show_list(tokens: list[dict[str, Any]]) -> None:
    if not tokens:
        click.echo("no tokens in the last 30 days; make one: fieldmesh token create")
    for each in tokens:
        steward = " for a steward" if each["for_steward"] else ""
        click.echo(f"{each['id']}  {each['state']:<7} {_fate(each)}{steward}")


def _fate(token: dict[str, Any]) -> str:
    if token["used_by"]:
        return f"by {token['used_name']} ({token['used_by']}) {date(token['used_ms'])}"
    return f"until {date(token['expires_ms'])}"


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
