"""One run of the lab: build, form, strike, watch, mend, report, and leave nothing behind."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simulations.lab.guard import guarding
from simulations.lab.names import LabName
from simulations.lab.report import Counters, Report, Written, missed
from simulations.lab.scenarios import NOTICE_WITHIN_S, Deed, Scenario
from simulations.lab.stage import Crew, Stage, log_of, staged, whole_since
from simulations.lab.sweep import sweep
from simulations.lab.topology import Topology
from simulations.lab.writing import Writing

# how long the lab waits for what the targets promise sooner: late is measured, never is a violation
FORM_WITHIN_S = 45.0
MEND_WITHIN_S = 45.0


class Display(Protocol):
    """Something that shows a stage while the scenario plays."""

    async def show(self, stage: Stage) -> None:
        """Runs beside the scenario, and is cancelled at its end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `calm_s` is watched before the strike and after the mending; a cut lasts `cut_s` at least."""

    scenario: Scenario
    nodes: int
    cut_s: float
    calm_s: float = 2.0
    logs_to: Path | None = None
    seed: int = 1  # of what people and machines write


@dataclass(slots=True)
class Figures:
    """The measured times; None until they have come to pass."""

    mesh_formed_s: float | None = None
    detect_all_s: float | None = None
    heal_s: float | None = None
    written: Written | None = None

    def by_name(self) -> dict[str, float | None]:
        return {"mesh_formed_s": self.mesh_formed_s, "detect_all_s": self.detect_all_s, "heal_s": self.heal_s}


async def run(plan: Plan, crew: Crew, display: Display | None = None) -> Report:
    """The report of one run. However it ends, cancelled included, nothing of the lab is left."""
    sweep()
    lab = LabName.mine()
    nodes = [f"n{number}" for number in range(1, plan.nodes + 1)]
    with guarding(lab):
        folder = lab.folder()
        folder.mkdir(mode=0o700)
        try:
            async with staged(Topology(lab, nodes), nodes, folder, crew) as stage, _shown(stage, display):
                return await _play(stage, plan)
        finally:
            _keep_logs(folder, nodes, plan.logs_to)


async def _play(stage: Stage, plan: Plan) -> Report:
    figures = Figures()
    began_at = time.monotonic()
    await _form(stage, figures)
    if figures.mesh_formed_s is not None:
        writers = stage.sockets if plan.scenario.writes else {}
        async with Writing(writers, stage.judge, plan.seed) as writing:
            await _strike_and_mend(stage, plan, figures, writing)
            figures.written = writing.written(figures.heal_s) if writers else None
    used = stage.used()
    stage.begin("stop", "every node was asked to stop")
    await stage.stop()
    stage.end_phase()
    counters = Counters(
        used.questions,
        len(stage.judge.changes),
        round(used.slowest_answer_s, 3),
        round(used.processor_s, 2),
        round(time.process_time(), 2),
        round(time.monotonic() - began_at, 2),
    )
    return Report(
        scenario=plan.scenario.name,
        nodes=plan.nodes,
        mesh_formed_s=figures.mesh_formed_s,
        detect_all_s=figures.detect_all_s,
        heal_s=figures.heal_s,
        false_unreachable=stage.judge.false_unreachable,
        violations=stage.judge.violations,
        missed=missed(figures.by_name()),
        timeline=stage.timeline,
        changes=stage.judge.changes,
        counters=counters,
        written=figures.written,
    )


async def _form(stage: Stage, figures: Figures) -> None:
    stage.begin("form", f"{len(stage.nodes)} nodes were started")
    at = time.monotonic()
    stage.start(*stage.nodes)
    deed = Deed(at, "", whole_since(stage.nodes, at))
    figures.mesh_formed_s = await stage.measured(deed.noticed, at, FORM_WITHIN_S, "the mesh did not form")


async def _strike_and_mend(stage: Stage, plan: Plan, figures: Figures, writing: Writing) -> None:
    scenario = plan.scenario
    stage.begin("calm", "all nodes are alive and linked")
    writing.begin()
    await stage.hold(plan.calm_s)
    stage.begin("strike", "")
    struck = await scenario.strike(stage)
    stage.timeline[-1].what = struck.what
    figures.detect_all_s = await stage.measured(
        struck.noticed, struck.at, NOTICE_WITHIN_S, "not all have noticed"
    )
    await writing.look()
    if scenario.meanwhile is not None:
        await scenario.meanwhile(stage)
    await writing.look()
    if not scenario.mends_itself:
        await stage.hold(struck.at + plan.cut_s - time.monotonic())
    stage.begin("mend", "")
    await writing.end()
    await writing.look()
    mended = await scenario.mend(stage)
    stage.timeline[-1].what = mended.what
    since = struck.at if scenario.mends_itself else mended.at
    figures.heal_s = await _healed(stage, mended, since, writing)
    stage.begin("calm", "all nodes are watched a little longer")
    await stage.hold(plan.calm_s)
    await writing.settle()


async def _healed(stage: Stage, mended: Deed, since: float, writing: Writing) -> float | None:
    """How long it took; where people write, until all nodes held the same."""
    writing.watch()
    whole_s, equal_s = await asyncio.gather(
        stage.measured(mended.noticed, since, MEND_WITHIN_S, "the mesh did not heal"),
        stage.measured(
            lambda _: writing.lacking_since(mended.at), since, MEND_WITHIN_S, "the nodes did not become equal"
        ),
    )
    return equal_s if writing.is_everywhere else whole_s


@contextlib.asynccontextmanager
async def _shown(stage: Stage, display: Display | None) -> AsyncIterator[None]:
    task = asyncio.create_task(display.show(stage), name="lab-display") if display else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _keep_logs(folder: Path, nodes: list[str], target: Path | None) -> None:
    if target is None:
        return
    target.mkdir(parents=True, exist_ok=True)
    for node in nodes:
        if log_of(folder, node).exists():
            shutil.copy(log_of(folder, node), target)
