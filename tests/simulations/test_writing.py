"""Load on the shared documents, and crashes between what is durable and what is sent."""

import dataclasses
from collections import Counter

import msgspec

from crdt_state.kinds import KINDS
from mesh.events import Event, News, Persist, Send, Traffic, Write, WriteDone, WriteRequested
from simulations.faults import CrashesAtEffect
from simulations.host import Process
from simulations.runner import Experiment, Job, world_of
from simulations.scenario import Scenario, load
from simulations.watch import Watcher
from simulations.writing import Write as Writing
from tests.simulations.scripted import node, perform, running_world

ROW = Persist((Write("record:asset", "key", b"value"),))
TOLD = WriteDone(1, ("dot",))


class Heard(Watcher):
    """Keeps the news of every process, and what was asked for."""

    def __init__(self, world: object) -> None:
        super().__init__(world)  # type: ignore[arg-type]  # any world
        self.news: list[News] = []
        self.kinds: Counter[str] = Counter()

    def on_news(self, process: Process, news: News) -> None:
        self.news.append(news)

    def on_event(self, process: Process, event: Event) -> None:
        if isinstance(event, WriteRequested):
            self.kinds.update(kind for kind, _, _, _ in event.changes)


def send() -> Send:
    return Send(node(1), 1, Traffic.STATE, b"bytes")


def test_everybody_writes_every_kind_that_people_and_machines_write() -> None:
    load_all = Writing(at_s=1.0, who="all", for_s=60.0, every_s=0.3)
    scenario = Scenario("writes", 65.0, faults=(load_all,))
    world = world_of(Job(scenario, 3, 1))
    heard = Heard(world)
    world.audience.add(heard)
    outcome = Experiment(scenario, world).run()
    by_hand = {"asset", "fact", "alarm", "task", "advisory", "capability", "policy", "frame"}
    assert by_hand <= set(heard.kinds) <= set(KINDS.names())
    assert outcome.losses is not None and outcome.losses.writes_acknowledged > 300
    assert outcome.violations == []


def test_a_full_disk_acknowledges_nothing() -> None:
    world = running_world(1)
    heard = Heard(world)
    world.audience.add(heard)
    world.hosts[0].disk.full = True
    perform(world, world.hosts[0], ROW, TOLD)
    assert TOLD not in heard.news
    world.hosts[0].disk.full = False
    perform(world, world.hosts[0], ROW, TOLD)
    assert TOLD in heard.news


def test_a_planned_crash_comes_between_what_is_durable_and_what_is_told() -> None:
    world = running_world(2)
    heard = Heard(world)
    world.audience.add(heard)
    process = world.hosts[0].process
    assert process is not None
    process.dies(1, "persist")  # after one more: right after the second
    perform(world, world.hosts[0], ROW, TOLD, send())
    assert heard.news == [TOLD]
    perform(world, world.hosts[0], ROW, TOLD, send())
    assert heard.news == [TOLD] and world.hosts[0].process is None
    assert world.hosts[0].disk.saved()["record:asset"] == {"key": b"value"}


def test_without_persist_before_send_what_is_told_may_never_be_durable() -> None:
    world = running_world(1)
    world.plan = dataclasses.replace(world.plan, persists_last=True)
    heard = Heard(world)
    world.audience.add(heard)
    process = world.hosts[0].process
    assert process is not None
    process.dies(1, "any")
    perform(world, world.hosts[0], ROW, TOLD)
    assert heard.news == [TOLD] and world.hosts[0].disk.saved() == {}


def test_a_node_that_dies_again_and_again_comes_back_each_time() -> None:
    crashes = CrashesAtEffect(at_s=1.0, who="all", times=5, every_s=3.0, down_s=1.0, most=3)
    scenario = msgspec.structs.replace(load("idle"), duration_s=40.0, faults=(crashes,), settle_s=5.0)
    world = world_of(Job(scenario, 3, 1))
    Experiment(scenario, world).run()
    assert sum(host.incarnation - 1 for host in world.hosts) >= 4
    assert all(host.process is not None for host in world.hosts)
