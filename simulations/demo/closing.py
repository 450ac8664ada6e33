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

_MEANING = {
    "mesh_formed_s": f"to form: {VICTIM} and {LAST} started, every pair linked",
    "detect_all_s": f"to notice: {VICTIM} killed, both others call it unreachable",
    "heal_s": f"to heal: {VICTIM} started again, every pair linked",
}


def summary(report: Report) -> Text:
    """The figures and the verdict."""
    text = Text("\nMeasured on this machine, with real processes, brokers and TLS:\n\n")
    for name, meaning in _MEANING.items():
        figure: float | None = getattr(report, name)
        shown = ("never", TONES["bad"]) if figure is None else (f"{figure:.1f} s", "bold green")
        text.append(f"{shown[0]:>9}", shown[1]).append(f"   {meaning}\n")
    for violation in report.violations:
        text.append(f"\n  {violation.invariant}: {violation.detail}", TONES["bad"])
    if not report.violations:
        text.append("\n  At no time was a node that lives called unreachable.\n")
    return text


def next_steps() -> Text:
    """Three commands to go on with."""
    return Text("Try next:\n\n").append(_table(_next_steps()))


def invitation(scene: Scene, plant: Plant) -> Text:
    """What to type in another terminal while the nodes run."""
    fieldmesh, homes = command(), plant.homes
    steps = (
        (f"{fieldmesh} peers --watch --home {homes[FOUNDER]}", f"what {FOUNDER} sees"),
        (f"{fieldmesh} check --home {homes[VICTIM]}", f"{VICTIM} examines the mesh"),
        (f"kill -9 {scene.processes[LAST].pid}", f"{LAST} dies; watch {FOUNDER} notice"),
        (f"{fieldmesh} run --home {homes[LAST]}", "and come back"),
    )
    text = Text("The three nodes keep running. In another terminal:\n\n")
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
    return "".join(f"  # {meaning}\n  {words}\n" for words, meaning in steps)
