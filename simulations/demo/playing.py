"""One run of the demo: the plant set up, the acts played and shown, the report told, and nothing left behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from node.control import call
from node.errors import FieldmeshError
from simulations.demo.acts import NODES, READ_S, perform
from simulations.demo.folder import temporary_folder
from simulations.demo.plant import Plant, require_tools
from simulations.demo.report import Report
from simulations.demo.scene import Scene
from simulations.lab.crew import RealNodes
from simulations.lab.process import NodeProcess
from simulations.lab.stage import log_of

LEAVE_WITHIN_S = 1.0


class Teller(Protocol):
    """Tells a person, or a script, what happens."""

    async def show(self, scene: Scene) -> None:
        """Runs beside the acts, and is cancelled at their end."""

    def report(self, report: Report) -> None: ...

    def part(self) -> None:
        """Says what to do next."""

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
                return await _keep(teller, scene, plant)
            await scene.stop()
        report = Report.of(scene)
        teller.report(report)
        teller.part()
        return report


async def _keep(teller: Teller, scene: Scene, plant: Plant) -> Report:
    report = Report.of(scene)
    teller.report(report)
    teller.invite(scene, plant)
    await _interrupted()
    for node, process in scene.processes.items():
        if process.exit_code() is not None:  # killed by hand, and perhaps started by hand
            with contextlib.suppress(FieldmeshError):
                await asyncio.to_thread(call, plant.homes[node], "leave", LEAVE_WITHIN_S)
    return report


@contextlib.asynccontextmanager
async def _shown(teller: Teller, scene: Scene) -> AsyncIterator[None]:
    """Shows the scene inside this block; a display that fails (its reader has gone) ends the block with its error."""
    player = asyncio.current_task()
    assert player is not None
    task = asyncio.create_task(teller.show(scene), name="demo-display")
    task.add_done_callback(lambda ended: player.cancel() if _failure(ended) else None)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if failure := _failure(task):
            raise failure


def _failure(task: "asyncio.Task[None]") -> BaseException | None:
    return None if task.cancelled() else task.exception()


async def _interrupted() -> None:
    """Returns when this task is cancelled: where waiting was the point, Ctrl-C is a good end."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
