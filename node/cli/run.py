"""`fieldmesh run`: the node itself, in the foreground."""

from pathlib import Path

import click

from node.cli.output import home_option, json_option, print_json, report
from node.errors import FieldmeshError


@click.command()
@home_option
@json_option
def run(home: Path, as_json: bool) -> None:
    """Run the node that lives in the home folder until it is stopped (Ctrl-C, SIGTERM, `fieldmesh leave`).

    With --json the one object says which node has started, or why it has not.
    """
    import node.log  # noqa: F401 - first of all: it keeps structlog from loading rich into the node
    from node.home import Home
    from node.services import run_node
    from node.views import NodeView

    has_told = False

    def tell_started(view: NodeView) -> None:
        nonlocal has_told
        if as_json:
            print_json({"id": view.node, "name": view.name, "site": view.site_name})
            has_told = True

    try:
        run_node(Home(home.resolve()), tell_started)
    except FieldmeshError as error:
        if not has_told:
            raise
        report(error, as_json=False)
        raise SystemExit(int(error.exit_code)) from None
