"""What every command shares: its --json and --home options, how it prints a result and how it ends."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from node.errors import FieldmeshError
from node.exits import Exit

Command = TypeVar("Command", bound=Callable[..., Any])

HOME_VARIABLE = "FIELDMESH_HOME"


def json_option(command: Command) -> Command:
    """Adds `--json`, passed on as `as_json`: exactly one JSON object on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def home_option(command: Command) -> Command:
    """Adds `--home DIR`, passed on as `home`: the folder that holds all of one node."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, readable=False, path_type=Path),
        callback=_reachable,
        envvar=HOME_VARIABLE,
        default=lambda: Path.home() / ".fieldmesh",
        metavar="DIR",
        help=f"The node's folder. [default: ${HOME_VARIABLE}, else ~/.fieldmesh]",
    )(command)


def _reachable(context: click.Context, _: click.Parameter, home: Path) -> Path:
    """The folder, once it is certain that this user may look whether a node is there."""
    from node.access import require_access

    if not context.resilient_parsing:  # completing a line on Tab is no time for errors
        others = " ..." if any(each.required for each in context.command.params) else ""
        require_access(home, f"{context.command_path} --home {home}{others}")
    return home


def emit(result: Mapping[str, Any], as_json: bool, readable: str | Callable[[], object] = "") -> None:
    """Prints a result: the object when `as_json`, else the text, or whatever the callable prints."""
    if as_json:
        print_json(result)
    elif callable(readable):
        readable()
    elif readable:
        click.echo(readable)


def print_json(result: Mapping[str, Any]) -> None:
    click.echo(json.dumps(result, ensure_ascii=False, default=str))


def fail(message: str, cure: str = "", exit_code: Exit = Exit.FAILURE) -> NoReturn:
    """Ends the command with a message, its cure and an exit code; main() prints them."""
    raise FieldmeshError(message, cure, exit_code)


def report(error: FieldmeshError, as_json: bool) -> None:
    """Prints an error: an object with `error` on standard output when `as_json`, else text on standard error."""
    if as_json:
        print_json({"error": {**error.as_json(), "exit_code": int(error.exit_code)}})
        return
    click.echo(f"error: {error.message}", file=sys.stderr)
    for number, line in enumerate(error.cure.splitlines()):
        click.echo(f"{'  try: ' if number == 0 else '       '}{line}", file=sys.stderr)
