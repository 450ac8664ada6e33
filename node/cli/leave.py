"""`fieldmesh leave`: say goodbye and stop."""

from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.control import call
from node.errors import FieldmeshError
from node.exits import Exit


@click.command()
@home_option
@json_option
def leave(home: Path, as_json: bool) -> None:
    """Tell every peer that this node leaves, and stop it.

    It stays a member and may come back with `fieldmesh run`; to end a membership: `fieldmesh member remove`.
    """
    result = _goodbye(home)
    emit(result, as_json, f"said goodbye to {result['told']} peers; the node has stopped")


def _goodbye(home: Path) -> dict[str, Any]:
    try:
        return call(home, "leave")
    except FieldmeshError as error:
        if error.exit_code != Exit.NOT_RUNNING or not home.is_dir():
            raise
        raise FieldmeshError(
            f"no node is running in {home}, so there is nobody to say goodbye to the peers",
            "nothing more is needed to stay away; to end the membership, on a steward: fieldmesh member remove NAME",
            Exit.NOT_RUNNING,
        ) from None
