"""Runs a scenario: one world for each seed, several at a time, results in the order of the seeds."""

import gc
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

import msgspec

from node.core import CoreConfig
from simulations import ablations
from simulations.ablations import ABLATIONS
from simulations.checkers import CHECKERS, ExactViews, IdleTraffic
from simulations.equality import Equalities
from simulations.faults import AnyFault
from simulations.measure import Detections, Falsehoods, Healings, Times, Traffic
from simulations.plan import Plan
from simulations.real_core import core_maker, founding_tables, full_mesh_max
from simulations.scenario import Scenario
from simulations.stage import Stage
from simulations.watch import Violation
from simulations.world import World
from simulations.worldly import Losses, WorldChecker
from simulations.writing import Lapse, Write

GARBAGE_AFTER = 100_000  # objects: worlds make few cycles, and looking for them costs a tenth of the time


class Outcome(msgspec.Struct, frozen=True):
    """What one seed gave. Everything but `elapsed_s` is the same in every run of it."""

    seed: int
    trace: str
    times: Times
    false_unreachable: int
    bytes_per_node_s: float
    losses: Losses | None  # None: nothing was written into the shared documents
    violations: list[Violation]
    counters: dict[str, int]
    steps: int
    simulated_s: float
    elapsed_s: float


class Job(msgspec.Struct, frozen=True):
    """One seed of a scenario."""

    scenario: Scenario
    nodes: int
    seed: int
    without: str = ""  # the name of an ablation


def run_all(
    scenario: Scenario, nodes: int, seeds: Sequence[int], jobs: int, without: str = ""
) -> Iterator[Outcome]:
    """Outcomes as they come; with several jobs each runs in a fresh interpreter, so order may differ."""
    work = [Job(scenario, nodes, seed, without) for seed in seeds]
    if min(jobs, len(work)) <= 1:
        yield from map(run_one, work)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, len(work))) as pool:
        yield from pool.imap_unordered(run_one, work)


def run_one(job: Job, log: TextIO | None = None) -> Outcome:
    """One seed, from the first boot to the last look."""
    return Experiment(job.scenario, world_of(job, log)).run()


def world_of(job: Job, log: TextIO | None = None) -> World:
    """The world of a seed, with real cores, before anything has happened."""
    scenario = job.scenario
    config = CoreConfig(full_mesh_max=_full_mesh_max(scenario), release="simulated", world=scenario.world)
    ablation = ABLATIONS.get(job.without)
    make_core = core_maker(config)
    return World(
        Plan(
            job.seed,
            job.nodes,
            make_core if ablation is None else ablations.without(ablation, make_core),
            founding_tables,
            scenario.network,
            scenario.roster,
            scenario.mdns,
            scenario.boot_spread_s,
            log,
            persists_last=ablation is not None and ablation.persists_last,
        )
    )


class Experiment:
    """A world with its checkers, its measurements and the scenario that befalls it."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.world = world
        self.times = Times()
        self._scenario = scenario
        self._detections = Detections(world, scenario.bounds, self.times)
        self._healings = Healings(world, scenario.bounds, self.times, _full_mesh_max(scenario))
        self._falsehoods = Falsehoods(world)
        self._traffic = Traffic(world)
        self._equalities = Equalities(world, scenario.bounds, self.times)
        self._world_checker = _world_checker(scenario, world)
        for checker in CHECKERS:
            world.audience.add(checker(world))
        for watcher in (self._detections, self._healings, self._falsehoods, self._traffic):
            world.audience.add(watcher)
        if self._world_checker is not None:
            world.audience.add(self._world_checker)
        if scenario.bounds.exact_at_end:
            world.audience.add(ExactViews(world))
        if scenario.bounds.idle_at_end:
            world.audience.add(IdleTraffic(world, self._traffic))

    def run(self) -> Outcome:
        scenario, world = self._scenario, self.world
        begun = time.perf_counter()
        gc.unfreeze()
        gc.collect()  # the worlds of earlier seeds: frozen, they would stay for ever
        gc.freeze()
        gc.set_threshold(GARBAGE_AFTER)
        world.boot_all()
        world.clock.at(scenario.boot_spread_s, self._healings.begin_forming)
        world.clock.at(scenario.end_s - scenario.settle_s, self._traffic.begin)
        Stage(scenario, world).schedule(scenario, self._struck)
        world.clock.run_until(scenario.end_s)
        world.audience.ended()
        return self._outcome(time.perf_counter() - begun)

    def _struck(self, fault: AnyFault) -> None:
        if fault.measure == "detect":
            self._detections.begin()
        elif fault.measure == "heal":
            self._healings.begin()
        elif fault.measure == "equal":
            self._healings.begin()
            self._equalities.begin()

    def _outcome(self, elapsed_s: float) -> Outcome:
        world = self.world
        return Outcome(
            world.seed,
            world.trace.digest(),
            self.times,
            self._falsehoods.count,
            self._traffic.bytes_per_node_s(),
            self._world_checker.losses if self._world_checker else None,
            world.violations,
            dict(sorted(world.counters.items())),
            world.clock.acts,
            self._scenario.end_s,
            elapsed_s,
        )


def _world_checker(scenario: Scenario, world: World) -> WorldChecker | None:
    """Only where something is written: it looks at everything."""
    if not any(isinstance(fault, Write) for fault in scenario.faults):
        return None
    return WorldChecker(world, any(isinstance(fault, Lapse) for fault in scenario.faults))


def _full_mesh_max(scenario: Scenario) -> int:
    return full_mesh_max() if scenario.full_mesh_max is None else scenario.full_mesh_max
