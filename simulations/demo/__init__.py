"""`fieldmesh demo`: three real nodes on this machine find each other, link, lose one, and heal, before your eyes."""

import sys

import click

from node.cli.output import emit, json_option
from node.errors import FieldmeshError
from node.exits import Exit


@click.command()
@click.option("--quick", is_flag=True, help="No pauses for reading.")
@click.option("--keep", is_flag=True, help="Keep the nodes running at the end, for you to play with.")
@json_option
def demo(quick: bool, keep: bool, as_json: bool) -> None:
    """Watch three real nodes on this machine find each other, link, lose one, and heal (40 s)."""
    from rich.console import Console

    from simulations.demo.keeping import how_to_play
    from simulations.demo.playing import Plan, play
    from simulations.demo.report import readable
    from simulations.demo.views import view_for
    from simulations.lab.interrupt import run_until_signal

    console = Console(highlight=False)

    def tell(report: Report) -> None:
        emit(report.as_json(), as_json, lambda: console.print(readable(report)))
        sys.stdout.flush()

    ...
