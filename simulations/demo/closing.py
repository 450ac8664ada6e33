"""The last words: what was measured, and what to try next."""

import os
import shutil
import sys
from pathlib import Path

from rich.text import Text

from simulations.demo.acts import FOUNDER, LAST, VICTIM
from simulations.demo.plant import Plant
from simulations.demo.report import Report
from simulations.demo.scene import Scene
from simulations.demo.screen import TONES

_MEANING = (
    ("formed in", "mesh_formed_s", "from starting press-2 and press-3 until every pair was linked"),
    ("loss noticed in", "detect_all_s", "from kill -9 until both others called press-2 unreachable"),
    ("healed in", "heal_s", "from starting press-2 again until every pair was linked"),
)


def summary(report: Report) -> Text:
    """The figures, the verdict, and three commands."""
    text = Text("\nMeasured on this machine, with real processes, brokers and TLS:\n\n")
    for label, name, meaning in _MEANING:
        figure: float | None = getattr(report, name)
        shown = ("never", TONES["bad"]) if figure is None else (f"{figure:.1f} s", "bold green")
        text.append(f"  {label:<16}").append(f"{shown[0]:>6}", shown[1]).append(f"   {meaning}\n")
    for violation in report.violations:
        text.append(f"\n  {violation.invariant}: {violation.detail}", TONES["bad"])
    if not report.violations:
        text.append("\n  At no time was a node that lives called unreachable.\n")
    return text.append("\nTry next:\n\n").append(_table(_next_steps()))


def invitation(scene: Scene, plant: Plant) -> Text:
    """What to type in another terminal while the nodes run."""
    fieldmesh, homes = command(), plant.homes
    steps = (
        (f"{fieldmesh} peers --watch --home {homes[FOUNDER]}", f"what {FOUNDER} sees"),
        (f"{fieldmesh} check --home {homes[VICTIM]}", f"{VICTIM} examines the mesh"),
        (f"kill -9 {scene.processes[LAST].pid}", f"{LAST} dies; watch {FOUNDER} notice"),
        (f"{fieldmesh} run --home {homes[LAST]}", "and come back"),
    )
    text = Text("\nThe three nodes keep running. In another terminal:\n\n")
    return text.append(_table(steps)).append("\nCtrl-C here ends them; nothing is left behind.\n")


def command() -> str:
    """How this very program is called from here."""
    program = Path(sys.argv[0])
    found = shutil.which("fieldmesh")
    if found and program.exists() and Path(found).resolve() == program.resolve():
        return "fieldmesh"
    nearby = os.path.relpath(program)
    return min(nearby, str(program), key=len) if program.name == "fieldmesh" else "fieldmesh"


def _next_steps() -> tuple[tuple[str, str], ...]:
    fieldmesh = command()
    as_root = "" if os.geteuid() == 0 else "sudo "
    return (
        (f"{fieldmesh} demo --keep", "the same, and the nodes stay for you to try things"),
        (f"{fieldmesh} sim run halves --nodes 10", "ten simulated nodes are cut in two, and heal"),
        (f"{as_root}{fieldmesh} lab run halves --nodes 5", "five real ones, on real cables (needs root)"),
    )


def _table(steps: tuple[tuple[str, str], ...]) -> str:
    width = max(len(words) for words, _ in steps)
    return "".join(f"  {words:<{width}}  # {meaning}\n" for words, meaning in steps)
