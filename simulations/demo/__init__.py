"""`fieldmesh demo`: three real nodes on this machine, and what happens when one of them dies."""

import sys

import click

from node.cli.output import json_option
from node.errors import FieldmeshError
from node.exits import Exit


@click.command()
@click.option("--quick", is_flag=True, help="Without pauses for reading.")
@click.option("--keep", is_flag=True, help="Keep the nodes running at the end, to try things with.")
@json_option
def demo(quick: bool, keep: bool, as_json: bool) -> None:
    """Watch three real nodes on this machine find each other, link, lose one, and heal (40 s)."""
    from simulations.demo.playing import play
    from simulations.demo.telling import teller_for
    from simulations.lab.interrupt import run_until_signal

    try:
        report = run_until_signal(
            play(teller_for(as_json), quick=quick, keep=keep), "stopped; nothing is left behind"
        )
    except FieldmeshError as error:
        if error.exit_code is Exit.INTERRUPTED and not as_json:
            click.echo("Stopped. Nothing is left behind.")
            sys.exit(error.exit_code)  # somebody's wish is no error, but a script must be able to tell
        raise
    if report.violations:
        sys.exit(Exit.VIOLATIONS)
