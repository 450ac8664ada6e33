"""`fieldmesh leave`: say goodbye and stop."""

import time
from pathlib import Path
from typing import Any

import click

from node.cli.output import emit, home_option, json_option
from node.control import call
from node.errors import FieldmeshError
from node.exits import Exit
from node.lock import holder_of

STOPS_WITHIN_S = 30.0  # its broker is given ten seconds, its disk some more
LOOK_EVERY_S = 0.05


@click.command()
@home_option
@json_option
def leave(home: Path, as_json: bool) -> None:
    """Tell every peer that this node leaves, and stop it.

    It stays a member and may come back with `fieldmesh run`; to end a membership: `fieldmesh member remove`.
    """
    process = holder_of(home)
    result = _goodbye(home)
    _wait_for_its_end(home, process)
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


def _wait_for_its_end(home: Path, process: str) -> None:
    """Until its process has let go of the home, so that what is done next finds it free."""
    deadline = time.monotonic() + STOPS_WITHIN_S
    while process and holder_of(home) == process:
        if time.monotonic() >= deadline:
            raise FieldmeshError(
                f"the node has said goodbye, and has not stopped within {STOPS_WITHIN_S:g} s (process {process})",
                "look at its log; what it has said is said",
                Exit.TEMPORARY,
            )
        time.sleep(LOOK_EVERY_S)
