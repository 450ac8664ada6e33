"""A month of a plant: how large the shared documents and the memory of the process become.

Eight nodes with 125 tags each, ten thousand alarms and tasks a day, raised, acknowledged, returned, claimed and done.
The documents, their collection and their new generations are the real code; only the links are not simulated: every
half hour all nodes become equal. A frame overwrites the frame before it, so the documents see each tag once in that
half hour, but for the first hour, where it is once a second, as it is for the naive document beside it.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from pycrdt import Doc, Map

from crdt_state.form import form_from
from crdt_state.item import Change, Item
from crdt_state.kind import day_name
from crdt_state.kinds import alarm, generation, task
from crdt_state.kinds.refusal import RefusedError
from crdt_state.record import Register
from mesh.hybrid import time_of
from mesh.now import Now
from mesh.world_config import WorldConfig
from simulations.chance import chance
from simulations.keys import EPOCH_MS, node_keys
from simulations.shelves import Shelves, meet

NAME = "month"
ABOUT = "a plant of a thousand tags, ten thousand alarms and tasks a day: how documents and memory grow"
NODES, DAYS = 8, 30
TAGS = 1000  # of the whole plant
ALARMS_PER_DAY, TASKS_PER_DAY = 9000, 1000
ALARM_POINTS = 600  # a thousand tags do not all have an alarm; the same ones come again
STEP_S = 1800
STEPS_PER_DAY = 86_400 // STEP_S
LOOK_EVERY_STEPS = 6  # at how much larger the documents are than fresh ones
DENSE_S = 3600  # so long every tag is written each second, and so is the naive document
CONFIG = WorldConfig(consider_every_s=4 * STEP_S - 1.0, holding_every_s=STEP_S - 1.0)
SETTLED_FROM = 1 / 3  # memory is to be flat after the first third: the last 20 of 30 days
PAGE_BYTES = 4096
CLAIM_LEASE_MS = 3_600_000
RETURNED_SOON = 0.9  # of the activations
GARBAGE_AFTER = 100_000  # objects: records make no cycles, and looking for them costs a tenth of the time


class Day(msgspec.Struct, frozen=True):
    """The state of things when a day is over."""

    day: int
    writes: int
    records: int
    doc_bytes: int
    doc_bytes_ratio: float
    doc_bytes_ratio_max: float  # looked at every few hours
    generations: int  # built so far, over all documents
    rss_mb: float
    elapsed_s: float


class Month(msgspec.Struct, frozen=True):
    """What the run has shown."""

    scenario: str
    nodes: int
    days: int
    tags: int
    alarms_per_day: int
    tasks_per_day: int
    step_s: int
    doc_bytes: int
    fresh_bytes: int
    doc_bytes_ratio: float
    doc_bytes_ratio_max: float
    naive_hours: float
    naive_bytes: int
    naive_bytes_ratio: float
    rss_slope_mb_per_day: float
    rss_slope_days: int
    is_equal: bool
    daily: list[Day]
    elapsed_s: float


@dataclass(slots=True)
class Plant:
    """The nodes, the date, and what goes on."""

    nodes: list[Shelves]
    random: Random
    step: int = 0
    writes: int = 0
    open_tasks: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)  # not acknowledged yet
    numbers: int = 0

    @property
    def now(self) -> Now:
        return self.at(0.0)

    def at(self, later_s: float) -> Now:
        seconds = self.step * STEP_S + later_s
        return Now(seconds, EPOCH_MS + int(seconds * 1000))

    def any_node(self) -> Shelves:
        return self.nodes[self.random.randrange(len(self.nodes))]


def plant_of(nodes: int, seed: int = 1) -> Plant:
    """A plant on its first morning."""
    keys = [node_keys(index) for index in range(nodes)]
    shelves = [Shelves(each, keys, CONFIG, seed) for each in keys]
    plant = Plant(shelves, chance(seed, "month"))
    for each in shelves:
        each.start(plant.now, [other.me for other in shelves])
    return plant


def run(plant: Plant, days: int) -> Iterator[Day]:
    """Day after day."""
    begun = time.perf_counter()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    _dense(plant)
    for day in range(1, days + 1):
        ratios = []
        for number in range(STEPS_PER_DAY):
            step(plant)
            if number % LOOK_EVERY_STEPS == LOOK_EVERY_STEPS - 1:
                ratios.append(_ratio(plant.nodes[0]))
        yield _day(plant, day, max(ratios), time.perf_counter() - begun)


def step(plant: Plant) -> None:
    """Half an hour: alarms and tasks come and go, frames are written, all meet, and upkeep has its turn."""
    plant.step += 1
    _acknowledge(plant)
    for _ in range(_share(ALARMS_PER_DAY, plant.step)):
        _raise(plant)
    for _ in range(_share(TASKS_PER_DAY, plant.step)):
        _task(plant)
    _frames(plant, 0.0)
    _meet(plant)
    for each in plant.nodes:
        each.tick(plant.now)
    _meet(plant)


def figures(plant: Plant, daily: Sequence[Day], elapsed_s: float) -> Month:
    """The run summed up, with the naive document beside it."""
    doc_bytes, fresh_bytes = _weights(plant.nodes[0])
    settled = [day for day in daily if day.day > len(daily) * SETTLED_FROM]
    naive_bytes, naive_fresh = naive(DENSE_S)
    return Month(
        scenario=NAME,
        nodes=len(plant.nodes),
        days=len(daily),
        tags=TAGS,
        alarms_per_day=ALARMS_PER_DAY,
        tasks_per_day=TASKS_PER_DAY,
        step_s=STEP_S,
        doc_bytes=doc_bytes,
        fresh_bytes=fresh_bytes,
        doc_bytes_ratio=round(doc_bytes / fresh_bytes, 3),
        doc_bytes_ratio_max=max(day.doc_bytes_ratio_max for day in daily),
        naive_hours=DENSE_S / 3600,
        naive_bytes=naive_bytes,
        naive_bytes_ratio=round(naive_bytes / naive_fresh, 1),
        rss_slope_mb_per_day=round(slope([(day.day, day.rss_mb) for day in settled]), 3),
        rss_slope_days=len(settled),
        is_equal=len({each.documents.digests() for each in plant.nodes}) == 1,
        daily=list(daily),
        elapsed_s=round(elapsed_s, 1),
    )


def naive(seconds: int) -> tuple[int, int]:
    """Bytes of a document in which every tag is a key that is overwritten each second, and of a fresh one."""
    doc: Doc[Any] = Doc(client_id=1)
    values: Map[Any] = doc.get("tags", type=Map)
    names = [f"tag-{number:04}" for number in range(TAGS)]
    for second in range(seconds):
        with doc.transaction():
            for number, name in enumerate(names):
                values[name] = second + number / 8
    fresh: Doc[Any] = Doc(client_id=1)
    copies: Map[Any] = fresh.get("tags", type=Map)
    with fresh.transaction():
        for name in names:
            copies[name] = values[name]
    return len(doc.get_update()), len(fresh.get_update())


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that fits best; 0 of fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


# ---------------------------------------------------------------- what goes on


def _meet(plant: Plant) -> None:
    for each in plant.nodes:
        each.settle(plant.now)
    meet(plant.nodes, plant.now)


def _dense(plant: Plant) -> None:
    """The first hour: every tag each second, at all nodes at once."""
    for second in range(DENSE_S):
        _frames(plant, float(second % STEP_S))
        if second % STEP_S == STEP_S - 1:
            plant.step += 1
            _meet(plant)


def _frames(plant: Plant, later_s: float) -> None:
    now, share = plant.at(later_s), TAGS // len(plant.nodes)
    for node in plant.nodes:
        values = {
            f"tag-{tag:03}": [round(plant.random.random() * 100, 2), "good", now.wall_ms]
            for tag in range(share)
        }
        plant.writes += len(node.write([Change(Register("frame", node.me), {"t": values})], now))


def _raise(plant: Plant) -> None:
    """One activation, from the node that watches the point; most are over before anybody has looked."""
    point = plant.random.randrange(ALARM_POINTS)
    node, ms = plant.nodes[point % len(plant.nodes)], plant.now.wall_ms
    name = f"acme/plant/hall/line-{point % 9}/m{point}#hot"
    plant.numbers += 1
    _write(plant, node, alarm.return_to_normal(_item(node, "alarm", name), ms))  # if it was still there
    raised = alarm.raise_(_item(node, "alarm", name), f"o{plant.numbers}", ms, 1 + point % 4, "too hot", 81.5)
    _write(plant, node, raised)
    if plant.random.random() < RETURNED_SOON:
        _write(plant, node, alarm.return_to_normal(_item(node, "alarm", name), ms))
    plant.raised.append(name)


def _acknowledge(plant: Plant) -> None:
    """What was raised in the step before, by whoever is at hand; once for all activations of a point."""
    raised, plant.raised = plant.raised, []
    for name in dict.fromkeys(raised):
        desk = plant.any_node()
        changes = alarm.acknowledge(_item(desk, "alarm", name), "an operator", plant.now.wall_ms)
        _write(plant, desk, changes)


def _task(plant: Plant) -> None:
    """One more is offered; an earlier one, if there is one, is claimed and done."""
    ms, node = plant.now.wall_ms, plant.any_node()
    plant.numbers += 1
    name = day_name(ms, str(plant.numbers))
    _write(
        plant, node, task.offer(Item("task", name), f"look at machine {plant.numbers % 97}", "an operator")
    )
    plant.open_tasks.append(name)
    if len(plant.open_tasks) > TASKS_PER_DAY // 10:
        _work_off(plant, plant.open_tasks.pop(0), ms)


def _work_off(plant: Plant, name: str, ms: int) -> None:
    node = plant.any_node()
    try:
        _write(plant, node, task.claim(_item(node, "task", name), node.me, time_of(ms), CLAIM_LEASE_MS))
        _write(plant, node, task.done(_item(node, "task", name), node.me, ms, "greased"))
    except RefusedError:
        plant.open_tasks.append(name)


def _write(plant: Plant, node: Shelves, changes: tuple[Change, ...]) -> None:
    plant.writes += len(node.write(changes, plant.now))


def _item(node: Shelves, kind: str, name: str) -> Item:
    return node.documents.state.view.item(kind, name) or Item(kind, name)


def _share(per_day: int, step: int) -> int:
    """So many in this step that they add up to the day's number."""
    return per_day * step // STEPS_PER_DAY - per_day * (step - 1) // STEPS_PER_DAY


# ---------------------------------------------------------------- figures


def _day(plant: Plant, day: int, ratio_max: float, elapsed_s: float) -> Day:
    doc_bytes, fresh_bytes = _weights(plant.nodes[0])
    state = plant.nodes[0].documents.state
    gc.collect()
    return Day(
        day=day,
        writes=plant.writes,
        records=sum(len(document.records) for document in state.library.documents()),
        doc_bytes=doc_bytes,
        doc_bytes_ratio=round(doc_bytes / fresh_bytes, 3),
        doc_bytes_ratio_max=round(ratio_max, 3),
        generations=sum(generation.view(item, 0)[0].number for item in state.view.items("generation")),
        rss_mb=round(rss_mb(), 1),
        elapsed_s=round(elapsed_s, 1),
    )


def _ratio(node: Shelves) -> float:
    doc_bytes, fresh_bytes = _weights(node)
    return doc_bytes / fresh_bytes


def _weights(node: Shelves) -> tuple[int, int]:
    """Bytes of all documents as they are, and built fresh from the same records."""
    documents = list(node.documents.state.library.documents())
    return (
        sum(len(document.state()) for document in documents),
        sum(len(form_from(document.records.values(), 1)) for document in documents),
    )


def rss_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6
