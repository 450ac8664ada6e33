"""The demo's screen: the act, who sees whom how, the figures, and what happened last. Drawn anew as a whole."""

import textwrap
import time

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simulations.demo.scene import Figures, Line, Scene
from simulations.demo.words import detail, headline, tone_of
from simulations.lab.picture import PeerView

WIDTH, HEIGHT = 80, 24  # the least that it fits into
WIDTH_MAX = 100  # lines longer than that are hard to read
_LINES_BUT_JOURNAL = 19

# colours that stand out on black as on white; what they say is also said in words
TONES = {
    "act": "bold",
    "aside": "default",
    "deed": "default",
    "good": "green",
    "doubt": "dark_orange3",
    "bad": "bold red",
}
FIGURES = {"mesh_formed_s": "formed in", "detect_all_s": "loss noticed in", "heal_s": "healed in"}


def drawn(scene: Scene, width: int, height: int) -> RenderableType:
    """A frame of this size at most."""
    width = min(width, WIDTH_MAX)
    return Group(
        _head(scene, width),
        Text(),
        *_act(scene, width),
        Text(),
        who_sees_whom(scene, width),
        _figures(scene),
        Text(),
        *_journal(scene, max(1, height - _LINES_BUT_JOURNAL), width),
        _foot(width),
    )


def _head(scene: Scene, width: int) -> Text:
    left, clock = " fieldmesh demo: three nodes of one plant, on this machine", f"{scene.clock():.1f} s "
    return Text(left + clock.rjust(width - len(left)), style="reverse")


def _foot(width: int) -> Text:
    left, right = " Each row: what that node itself says of the others.", "Ctrl-C ends everything "
    return Text(left + right.rjust(width - len(left)), style="dim")


def _act(scene: Scene, width: int) -> list[Text]:
    """Always three lines, so that nothing below jumps."""
    if not scene.timeline:
        return [Text(), Text(), Text()]
    act = scene.timeline[-1]
    title = Text(f" {act.phase}", style="bold")
    lines = textwrap.wrap(act.what, width - 6)
    return [title, *(Text(f"      {line}") for line in [*lines, "", ""][:2])]


def who_sees_whom(scene: Scene, width: int) -> Table:
    """A row per observer, a column per peer, two lines a cell."""
    table = Table(box=ROUNDED, width=width, pad_edge=True)
    table.add_column("", ratio=3)
    for node in scene.nodes:
        table.add_column(f"sees {node}", ratio=4, no_wrap=True)
    for observer in scene.nodes:
        table.add_row(_observer(scene, observer), *(_cell(scene, observer, peer) for peer in scene.nodes))
    return table


def _observer(scene: Scene, node: str) -> Text:
    status = scene.status(node)
    style = {"killed": TONES["bad"], "hears nobody": TONES["bad"]}.get(status, "dim")
    return Text.assemble((node, "bold"), "\n", (status, style))


def _cell(scene: Scene, observer: str, peer: str) -> Text:
    said = scene.picture.says((observer, peer), float("-inf"))
    if said is None:
        return Text("itself" if observer == peer else "-", style="dim")
    return Text.assemble((headline(said), _style(said)), "\n", (detail(said), "dim"))


def _style(said: PeerView) -> str:
    return "dim" if headline(said) == "not heard yet" else TONES[tone_of(said)]


def _figures(scene: Scene) -> Text:
    text = Text(" ")
    for name, label in FIGURES.items():
        text.append(f"{label} ")
        text.append(*_figure(scene, name, scene.figures))
        text.append("     ")
    return text


def _figure(scene: Scene, name: str, figures: Figures) -> tuple[str, str]:
    measured: float | None = getattr(figures, name)
    if measured is not None:
        return f"{measured:.1f} s", "bold green"
    if scene.measuring is not None and scene.measuring[0] == name:
        return f"{time.monotonic() - scene.measuring[1]:.1f} s...", "bold"
    return "-", "dim"


def _journal(scene: Scene, lines: int, width: int) -> list[Text]:
    """The last lines, the newest at the bottom; acts have their own place."""
    news = [line for line in scene.journal if line.tone not in ("act", "aside")][-lines:]
    return [*(_journal_line(line, width) for line in news), *(Text() for _ in range(lines - len(news)))]


def _journal_line(line: Line, width: int) -> Text:
    text = Text.assemble((f"{line.at_s:6.1f} s  ", "dim"), (line.text, TONES[line.tone]))
    text.truncate(width, overflow="ellipsis")
    return text
