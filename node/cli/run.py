"""`fieldmesh run`: the node itself, in the foreground."""

from pathlib import Path

import click

from node.cli.output import home_option, json_option


@click.command()
@home_option
@json_option
def run(home: Path, as_json: bool) -> None:
    """Run the node that lives in the home folder until it is stopped (Ctrl-C, SIGTERM, `fieldmesh leave`)."""
    import node.log  # noqa: F401 - first of all: it keeps structlog from loading rich into the node
    from node.home import Home
    from node.services import run_node

    run_node(Home(home.resolve()))
