"""Who tells it: a live screen for a person at a terminal, lines for a log, nothing but the object for a script."""

import asyncio
import sys

import click
from rich.console import Console
from rich.live import Live

from node.cli.output import print_json
from simulations.demo import closing, screen
from simulations.demo.plant import Plant
from simulations.demo.playing import Teller
from simulations.demo.report import Report
from simulations.demo.scene import Line, Scene

DRAW_EVERY_S = 0.2  # often enough to see a suspicion, seldom enough to leave the processor to the nodes


def teller_for(as_json: bool) -> Teller:
    """The one that suits what standard output is."""
    if as_json:
        return Silent()
    console = Console(highlight=False)
    is_screen = sys.stdout.isatty() and not console.is_dumb_terminal
    is_large = console.width >= screen.WIDTH and console.height >= screen.HEIGHT
    return Screen(console) if is_screen and is_large else Lines(console)


class Lines:
    """A line for each act and each change, as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, scene: Scene) -> None:
        shown = 0
        try:
            while True:
                shown = self._print_from(scene, shown)
                await asyncio.sleep(DRAW_EVERY_S)
        finally:
            self._print_from(scene, shown)

    def report(self, report: Report) -> None:
        self._console.print(closing.summary(report), soft_wrap=True)

    def part(self) -> None:
        self._console.print(closing.next_steps(), soft_wrap=True)

    def invite(self, scene: Scene, plant: Plant) -> None:
        self._console.print(closing.invitation(scene, plant), soft_wrap=True)
        sys.stdout.flush()

    def _print_from(self, scene: Scene, shown: int) -> int:
        for line in scene.journal:
            if line.number > shown:
                self._print(line)
        sys.stdout.flush()
        return scene.journal[-1].number if scene.journal else 0

    def _print(self, line: Line) -> None:
        if line.tone == "act":
            self._console.print()
        time = " " * 8 if line.tone == "aside" else f"{line.at_s:6.1f} s"
        self._console.print(f"{time}  {line.text}", style=screen.TONES[line.tone], soft_wrap=True)


class Screen(Lines):
    """A picture that is drawn anew in place, on the terminal's second screen."""

    async def show(self, scene: Scene) -> None:
        with Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                live.update(screen.drawn(scene, *self._console.size), refresh=True)
                await asyncio.sleep(DRAW_EVERY_S)


class Silent:
    """One object at the end."""

    async def show(self, scene: Scene) -> None:
        pass

    def report(self, report: Report) -> None:
        print_json(report.as_json())
        sys.stdout.flush()

    def part(self) -> None:
        pass

    def invite(self, scene: Scene, plant: Plant) -> None:
        click.echo(closing.invitation(scene, plant).plain, err=True)
