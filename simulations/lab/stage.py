"""The stage: a lab that is up, as scenarios see it. Its nodes, its cables, its picture and its judge."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import msgspec

from simulations.lab.judge import Judge
from simulations.lab.picture import Picture, View, is_whole, pairs_among
from simulations.lab.process import NodeProcess, gone, processor_seconds
from simulations.lab.topology import Topology
from simulations.lab.watching import Watcher

LOOK_AT_LEAST_EVERY_S = 0.5  # also when no node answers any more
STOP_WITHIN_S = 10.0
ORPHAN_WITHIN_S = 2.0  # a broker that outlives its node longer would hold others' links in its name

Question = Callable[[Picture], str]
"""Empty once the answer is yes; until then what is lacking, for a person to read."""


class Crew(Protocol):
    """Where nodes come from: their homes, how to start one, and where it answers."""

    def provision(self, folder: Path, nodes: Sequence[str]) -> dict[str, Path]: ...
    def command(self, home: Path) -> list[str]: ...
    def socket(self, home: Path) -> Path: ...


class Phase(msgspec.Struct):
    """A part of the run: when it began, how long it lasted, and what was done to the nodes."""

    phase: str
    at_s: float
    what: str
    lasted_s: float = 0.0


class Used(NamedTuple):
    """What the run has cost so far."""

    questions: int
    slowest_answer_s: float
    processor_s: float


class Troupe:
    """Nodes as real processes, watched and judged. None runs yet; leaving it (`async with`) kills what does."""

    def __init__(self, processes: dict[str, NodeProcess]) -> None:
        self.processes = processes
        self.nodes = tuple(processes)
        self.picture = Picture(self.nodes)
        self.judge = Judge(time.monotonic())
        self.timeline: list[Phase] = []
        self.watchers: list[Watcher] = []
        self.sockets: dict[str, Path] = {}  # where each node answers
        self._stopped_at: dict[str, float] = {}
        self._running: dict[str, None] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for process in self.processes.values():
            process.kill()  # also one so young that it is not in its namespace yet
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def watch(self, node: str, socket: Path) -> None:
        """From now on this node is asked how it sees its peers, whenever it answers."""
        self.sockets[node] = socket
        watcher = Watcher(node, socket, self.see, self.judge.violate)
        self.watchers.append(watcher)
        self._tasks.append(asyncio.create_task(watcher.run(), name=f"watch-{node}"))

    def begin(self, phase: str, what: str) -> None:
        """A new phase; the one before it ends."""
        self.end_phase()
        self.timeline.append(Phase(phase, self.clock(), what))

    def end_phase(self) -> None:
        if self.timeline:
            last = self.timeline[-1]
            last.lasted_s = round(self.clock() - last.at_s, 3)

    def clock(self) -> float:
        """Seconds since the first node was started."""
        return self.judge.clock(time.monotonic())

    def start(self, *nodes: str) -> None:
        for node in nodes:
            self.processes[node].start()
            self._running[node] = None

    def kill(self, node: str) -> None:
        """SIGKILL; what it said last is forgotten."""
        self._running.pop(node)
        self.processes[node].kill()
        self._stopped_at[node] = time.monotonic()
        self.picture.forget(node)
        self.judge.restarted(node)

    async def until(self, question: Question, within_s: float) -> str:
        """Waits for a yes; empty then, and what is still lacking when the time is over."""
        deadline = time.monotonic() + within_s
        while lacking := question(self.picture):
            if time.monotonic() >= deadline:
                return lacking
            await self._next_news(deadline)
        return ""

    async def measured(self, question: Question, since: float, within_s: float, failure: str) -> float | None:
        """The seconds from `since` until a yes; a violation of L1, and None, when it does not come in time."""
        lacking = await self.until(question, within_s)
        if lacking:
            self.judge.violate("L1", f"{failure} within {within_s:.0f} s: {lacking}")
            return None
        return round(time.monotonic() - since, 3)

    async def hold(self, for_s: float) -> None:
        """Lets things go on as they are, and keeps watching."""
        await self.until(lambda _: "the time is not over", for_s)

    async def stop(self) -> None:
        """Every node is asked to stop; one that does not, or leaves its broker behind, is a violation."""
        self._running.clear()
        self.judge.apart(pairs_among(self.nodes))
        brokers = {name: process.broker_pid() for name, process in self.processes.items()}
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            if await process.ended(STOP_WITHIN_S):
                await self.await_broker_end(name, brokers[name])
            else:
                self.judge.violate("stop", f"{name} did not stop within {STOP_WITHIN_S:.0f} s of SIGTERM")

    async def await_broker_end(self, node: str, broker: int | None) -> None:
        """A violation when the broker of a node that has ended lives on."""
        if broker is not None and not await gone(broker, ORPHAN_WITHIN_S):
            self.judge.violate("orphan", f"the broker of {node} outlived it by {ORPHAN_WITHIN_S:.0f} s")

    def used(self) -> Used:
        """Call it while the nodes run: a process that has ended takes its figures with it."""
        return Used(
            sum(watcher.asked for watcher in self.watchers),
            max((watcher.slowest_answer_s for watcher in self.watchers), default=0.0),
            sum(processor_seconds(process.pid) for process in self.processes.values()),
        )

    def see(self, view: View) -> None:
        if view.asked_at < self._stopped_at.get(view.observer, float("-inf")):
            return  # the last words of a process that is gone
        self.picture.see(view)
        self.judge.see(view)
        self._news.set()

    async def _next_news(self, deadline: float) -> None:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(deadline, time.monotonic() + LOOK_AT_LEAST_EVERY_S)):
                await self._news.wait()
        for node in self._running:
            self.processes[node].require_running()


class Stage(Troupe):
    """A troupe in a network of its own, whose cables can be cut. Made by `staged`."""

    def __init__(self, topology: Topology, processes: dict[str, NodeProcess]) -> None:
        super().__init__(processes)
        self.topology = topology


@contextlib.asynccontextmanager
async def staged(topology: Topology, nodes: Sequence[str], folder: Path, crew: Crew) -> AsyncIterator[Stage]:
    """The network built, the homes provisioned, every node watched. Leaving it kills what still runs."""
    topology.build()
    homes = crew.provision(folder, nodes)
    processes = {
        node: NodeProcess(node, topology.namespace(node), crew.command(homes[node]), log_of(folder, node))
        for node in nodes
    }
    async with Stage(topology, processes) as stage:
        for node in nodes:
            stage.watch(node, crew.socket(homes[node]))
        yield stage


def log_of(folder: Path, node: str) -> Path:
    return folder / f"{node}.log"


def whole_since(nodes: Sequence[str], since: float) -> Question:
    """Whether everybody sees everybody else, and nobody else, alive and linked."""

    def lacking(picture: Picture) -> str:
        pairs = picture.lacking(pairs_among(nodes), since, is_whole) + picture.strangers(since)
        return picture.describe(pairs)

    return lacking
