"""`fieldmesh leave`: say goodbye and stop."""

from pathlib import Path

import click

from node.cli.output import emit, home_option, json_option
from node.control import call


@click.command()
@home_option
@json_option
def leave(home: Path, as_json: bool) -> None:
    """Tell every peer that this node leaves, and stop it.

    It stays a member and may come back with `fieldmesh run`; to end a membership: `fieldmesh member remove`.
    """
    result = call(home, "leave")
    emit(result, as_json, f"said goodbye to {result['told']} peers; the node has stopped")
