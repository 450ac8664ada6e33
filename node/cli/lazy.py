"""A command group that imports a command's module only when that command runs."""

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """`targets` maps names to "module:attribute"; entry points of the group `plugins` add to them."""

    def __init__(self, *args: Any, targets: Mapping[str, str], plugins: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._targets = dict(targets)
        self._plugins = plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._all())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = self._targets.get(cmd_name) or self._all().get(cmd_name)
        return None if target is None else _loaded(target)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise _with_nearest(error, args[0], list(self._all())) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary_of(target)) for name, target in self._all().items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(name, help=summary_of(target))
            for name, target in self._all().items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def _all(self) -> dict[str, str]:
        found = sorted(
            (point.name, point.value) for point in entry_points(group=self._plugins) if self._plugins
        )
        return {**self._targets, **{name: target for name, target in found if name not in self._targets}}


def summary_of(target: str) -> str:
    """The first line of a command's docstring, read from its source without importing it; "" if there is none."""
    module, _, attribute = target.partition(":")
    try:
        spec = importlib.util.find_spec(module)
        tree = ast.parse(Path(spec.origin).read_bytes()) if spec and spec.origin else ast.Module([], [])
    except (ImportError, OSError, SyntaxError):
        return ""
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == attribute)
    doc = next((ast.get_docstring(function) for function in functions), None) or ast.get_docstring(tree) or ""
    return doc.partition("\n")[0]


def _loaded(target: str) -> click.Command:
    module, _, attribute = target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def _with_nearest(error: click.UsageError, word: str, names: list[str]) -> click.UsageError:
    """click guesses only among commands that are loaded, and here none is."""
    import difflib

    near = difflib.get_close_matches(word, names, 3)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return click.UsageError(f"No such command {word!r}.{guess}", ctx=error.ctx)
