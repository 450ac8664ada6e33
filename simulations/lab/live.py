"""The live view: who sees whom how, while the scenario plays; plain lines where there is no terminal."""

import asyncio

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulations.lab.picture import PeerView, Picture
from simulations.lab.run import Display
from simulations.lab.stage import Stage

_DRAW_EVERY_S = 0.25  # often enough to see a suspicion, seldom enough to leave the processor to the nodes
_MARKS = {
    "alive": ("o", "green"),
    "suspect": ("?", "yellow"),
    "broker-down": ("b", "yellow"),
    "unreachable": ("x", "red"),
    "left": ("-", "dim"),
    "removed": ("-", "dim"),
}
_LEGEND = "o alive  ~ no link  v by another  ? suspect  b broker down  x unreachable"


def display(console: Console) -> Display:
    """The view that suits where it is shown."""
    return LiveView(console) if console.is_terminal else PlainLines(console)


class LiveView:
    """A matrix that is drawn anew in place."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, stage: Stage) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(drawn(stage), refresh=True)
                await asyncio.sleep(_DRAW_EVERY_S)


class PlainLines:
    """A line for each phase as it begins."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, stage: Stage) -> None:
        shown = 0
        while True:
            while shown < len(stage.timeline) and stage.timeline[shown].what:
                phase = stage.timeline[shown]
                self._console.print(f"{phase.at_s:8.2f} s  {phase.phase:<7} {phase.what}", highlight=False)
                shown += 1
            await asyncio.sleep(_DRAW_EVERY_S)


def drawn(stage: Stage) -> Group:
    """The clock, the phase and the matrix."""
    phase = stage.timeline[-1] if stage.timeline else None
    head = Text(f"{stage.clock():7.1f} s  ", style="bold")
    if phase is not None:
        head.append(f"{phase.phase}: {phase.what}")
    return Group(head, matrix(stage.picture), Text(_LEGEND, style="dim"))


def matrix(picture: Picture) -> Table:
    """A row per observer, a column per peer."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("sees")
    for node in picture.nodes:
        table.add_column(node, justify="center")
    for observer in picture.nodes:
        table.add_row(observer, *(_cell(picture, observer, peer) for peer in picture.nodes))
    return table


def _cell(picture: Picture, observer: str, peer: str) -> Text:
    if observer == peer:
        view = picture.views.get(observer)
        return Text("alone" if view is not None and view.isolated else "", style="red")
    said = picture.says((observer, peer), float("-inf"))
    return Text(" ") if said is None else Text(*_mark(said))


def _mark(said: PeerView) -> tuple[str, str]:
    if said.state == "alive" and said.path.startswith("via "):
        return "v", "yellow"
    if said.state == "alive" and not said.linked:
        return "~", "yellow"
    return _MARKS.get(said.state, (said.state[:1], "magenta"))
