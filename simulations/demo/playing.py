"""One run of the demo: the plant set up, the acts played and shown, the report told, and nothing left behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from simulations.demo.acts import NODES, READ_S, perform
from simulations.demo.folder import temporary_folder
from simulations.demo.plant import Plant, require_tools
from simulations.demo.report import Report
from simulations.demo.scene import Scene
from simulations.lab.crew import RealNodes
from simulations.lab.process import NodeProcess
from simulations.lab.stage import log_of


class Teller(Protocol):
    """Tells a person, or a script, what happens."""

    async def show(self, scene: Scene) -> None:
        """Runs beside the acts, and is cancelled at their end."""

    def report(self, report: Report) -> None: ...

    def invite(self, scene: Scene, plant: Plant) -> None:
        """Says what can be tried with nodes that keep running."""


async def play(teller: Teller, *, quick: bool = False, keep: bool = False) -> Report:
    """The report. However it ends, cancelled included, every process and file of it is gone."""
    await require_tools()
    with temporary_folder() as folder:
        plant = Plant(folder, NODES)
        processes = {
            node: NodeProcess(node, None, RealNodes().command(home), log_of(folder, node))
            for node, home in plant.homes.items()
        }
        async with Scene(processes) as scene:
            async with _shown(teller, scene):
                await perform(scene, plant, 0.0 if quick else READ_S)
            if keep:
                teller.report(Report.of(scene))
                teller.invite(scene, plant)
                await _interrupted()
                return Report.of(scene)
            await scene.stop()
        teller.report(Report.of(scene))
        return Report.of(scene)


@contextlib.asynccontextmanager
async def _shown(teller: Teller, scene: Scene) -> AsyncIterator[None]:
    task = asyncio.create_task(teller.show(scene), name="demo-display")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _interrupted() -> None:
    """Returns when this task is cancelled: where waiting was the point, Ctrl-C is a good end."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
