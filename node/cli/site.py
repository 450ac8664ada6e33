"""`fieldmesh site`: founding a site."""

import time
from pathlib import Path

import click

from node.cli.output import emit, home_option, json_option


@click.group()
def site() -> None:
    """A site: one plant with one trust root."""


@site.command()
@click.option("--site", "site_name", required=True, metavar="NAME", help="The site's name.")
@click.option("--name", metavar="NAME", help="This node's name. [default: the host's name]")
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port of this node's broker. [default: 8883]")
@click.option("--join-port", type=click.IntRange(0, 65535), help="TCP port for joiners. [default: 8884]")
@home_option
@json_option
def init(
    site_name: str, name: str | None, port: int | None, join_port: int | None, home: Path, as_json: bool
) -> None:
    """Found a site: make its trust root and its first node, a steward, in an empty folder."""
    from node.founding import found_site
    from node.home import Home
    from node.host_name import name_of_host

    config = {key: value for key, value in (("port", port), ("join_port", join_port)) if value is not None}
    name = name or name_of_host()
    keys = found_site(home, site_name, name, time.time_ns() // 1_000_000, **config)
    result = {
        "home": str(home),
        "site": site_name,
        "site_id": keys.root.site,
        "fingerprint": keys.root.fingerprint.hex(),
        "name": name,
        "node": keys.identity.node,
        "root_key": str(Home(home).root_key),
    }
    emit(result, as_json, lambda: _show(result))


def _show(result: dict[str, str]) -> None:
    click.echo(
        f"site {result['site']} ({result['site_id']}) founded; its first node is {result['name']} ({result['node']})"
    )
    click.echo(f"root fingerprint: {result['fingerprint']}")
    click.echo(f"\nThe site's root key is {result['root_key']}")
    click.echo("Move it to a safe place offline: it is needed again only to make another steward.")
    click.echo(f"\nnext: fieldmesh run --home {result['home']}")
    click.echo(f"      fieldmesh token create --home {result['home']}")
