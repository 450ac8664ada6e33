"""The command `fieldmesh`: finds a command by name, imports it only to run it, and ends with a kind error."""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from node.cli.lazy import LazyGroup
from node.cli.output import report
from node.errors import FieldmeshError
from node.exits import Exit

COMMANDS = {
    "site": "node.cli.site:site",
    "token": "node.cli.token:token",
    "join": "node.cli.join:join",
    "run": "node.cli.run:run",
    "status": "node.cli.status:status",
    "peers": "node.cli.peers:peers",
    "check": "node.cli.check:check",
    "member": "node.cli.member:member",
    "world": "node.cli.world:world",
    "feed": "node.cli.feed:feed",
    "alarms": "node.cli.alarms:alarms",
    "tasks": "node.cli.tasks:tasks",
    "facts": "node.cli.facts:facts",
    "conflicts": "node.cli.conflicts:conflicts",
    "quarantine": "node.cli.quarantine:quarantine",
    "renew": "node.cli.renew:renew",
    "leave": "node.cli.leave:leave",
    "config": "node.cli.config:config",
    "version": "node.cli.version:version",
    "completion": "node.cli.completion:completion",
}
PLUGINS = "fieldmesh.commands"  # the entry-point group through which other packages add commands


def _show_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        command = root.get_command(context, "version")
        assert command is not None
        context.invoke(command, as_json=False)
        context.exit()


@click.group(
    cls=LazyGroup, targets=COMMANDS, plugins=PLUGINS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def root() -> None:
    """One agent mesh of the computers on a factory LAN. Commands that talk to a node find it by --home."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; whatever goes wrong becomes a message and a cure."""
    args = list(sys.argv[1:] if args is None else args)
    as_json = "--json" in args
    try:
        returned = root.main(args, prog_name="fieldmesh", standalone_mode=False)
        sys.stdout.flush()  # a reader that has gone shows here, not in the interpreter's last breath
        return returned if isinstance(returned, int) else Exit.OK
    except FieldmeshError as error:
        report(error, as_json)
        return error.exit_code
    except click.ClickException as error:
        _report_usage(error, as_json)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last line of defence: a sentence, not a traceback
        return _ended_by_pipe() if _is_broken_pipe(error) else _report_crash(error, as_json)


def _report_usage(error: click.ClickException, as_json: bool) -> None:
    if not as_json:
        error.show()
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "fieldmesh"
    report(FieldmeshError(error.format_message(), f"{command} --help", Exit.of("usage")), as_json)


def _is_broken_pipe(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _ended_by_pipe() -> int:
    """`fieldmesh peers | head -1`: nobody reads any more, which is no error worth words."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.FAILURE


def _report_crash(error: Exception, as_json: bool) -> int:
    from node.log import redact_text

    name = type(error).__name__
    what = redact_text(f"unexpected {name}: {error}" if str(error) else f"unexpected {name}")
    place = _written(redact_text("".join(traceback.format_exception(error))))
    report(FieldmeshError(what, f"please report this, with {place}", Exit.INTERNAL), as_json)
    return Exit.INTERNAL


def _written(text: str) -> str:
    """Where the traceback has gone: one file, overwritten by the next, so that crashes in a loop fill no disk."""
    try:
        path = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldmesh" / "last-crash.txt"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, RuntimeError):  # a full disk, a read-only home, no home at all
        click.echo(text, err=True)
        return "the lines above"
    return f"the traceback in {path}"


if __name__ == "__main__":
    sys.exit(main())
