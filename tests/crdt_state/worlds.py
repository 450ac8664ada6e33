"""Several nodes with their shared documents, in memory and under one clock; days pass in seconds."""

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from crdt_state.document import Document
from crdt_state.item import Item
from crdt_state.kinds import alarm, task
from crdt_state.record import Register
from crdt_state.state import WorldState
from crdt_state.world import World
from mesh.events import QuarantineDecided, WriteDone, WriteRefused, WriteRequested
from mesh.state import CoreConfig
from mesh.world_config import WorldConfig
from tests.mesh.plant import Plant
from tests.mesh.site import WALL_MS, make_site

DAY_S = 1.0  # of simulated time for one of WorldConfig's days
QUICK = WorldConfig(
    absence_days=30 * DAY_S / 86_400,
    retention_scale=DAY_S / 86_400,
    holding_every_s=0.5,
    holding_at_least_s=5.0,
    consider_every_s=2.0,
    rank_wait_s=1.0,
)
"""A day is a second, and everything is looked at often."""

TODAY = "20261121"


class Worlds(Plant):
    """A plant whose nodes write into the shared documents. Place 0 is a steward."""

    def __init__(
        self,
        count: int,
        config: WorldConfig = QUICK,
        seed: int = 1,
        label: str = "worlds",
        stewards: int = 1,
    ) -> None:
        site = make_site(count, stewards, label, days=800.0)
        super().__init__(site, count, seed, CoreConfig(world=config))
        self._tokens = 0

    # -- the nodes

    def world(self, place: int) -> World:
        return self.processes[place].core.world

    def state(self, place: int) -> WorldState:
        return self.world(place).state

    def document(self, place: int, name: str) -> Document | None:
        return self.state(place).library.get(name)

    def restart(self, place: int, incarnation: int, clock_ms: int = 0) -> None:
        """Kill the process, and start it anew with what its store holds."""
        keys = self.processes[place].keys
        if self.processes[place].alive:
            self.crash(place)
        self.boot(keys, incarnation, place=place, clock_ms=clock_ms)

    def cut(self, *places: int) -> None:
        """These and the others hear each other no more."""
        side = set(places)
        self.is_cut = lambda here, there: (here in side) != (there in side)

    def heal(self) -> None:
        self.is_cut = lambda _, __: False

    # -- what they do

    def write(self, place: int, kind: str, item: str, body: Any, facet: str = "") -> bool:
        """Write one record; whether it was taken."""
        self._tokens += 1
        data = None if body is None else msgspec.msgpack.encode(body)
        effects = self.tell(self.processes[place], WriteRequested(self._tokens, ((kind, item, facet, data),)))
        taken = [each for each in effects if isinstance(each, WriteDone | WriteRefused)]
        assert len(taken) == 1
        return isinstance(taken[0], WriteDone)

    def asset(self, place: int, name: str, **body: Any) -> None:
        assert self.write(place, "asset", name, body or None)

    def decide(self, place: int, keys: Collection[str], is_merged: bool) -> None:
        self.tell(self.processes[place], QuarantineDecided(tuple(keys), is_merged))

    # -- what they see

    def item(self, place: int, kind: str, name: str) -> Item | None:
        return self.state(place).view.item(kind, name)

    def value(self, place: int, kind: str, name: str, facet: str = "") -> Any:
        return self.state(place).view.versions(Register(kind, name, facet)).value()

    def values(self, kind: str, name: str, facet: str = "") -> list[Any]:
        """Everywhere, by place."""
        return [self.value(place, kind, name, facet) for place in self.living()]

    def living(self) -> list[int]:
        return [process.place for process in self.processes if process.alive]

    def aside(self, place: int) -> list[Register]:
        return [each.record.register for each in self.world(place).quarantine.listed()]

    def are_equal(self) -> bool:
        """Whether all that run hold the same, in the same generations, and nothing is left to be done."""
        digests = {self.world(place).digests()[0] for place in self.living()}
        return len(digests) == 1 and not any(self.is_busy(place) for place in self.living())

    def is_busy(self, place: int) -> bool:
        documents = list(self.state(place).library.documents())
        return any(document.astray or not document.is_whole for document in documents)

    def become_equal(self, within_s: float = 30.0) -> float:
        return self.run_until(self.are_equal, within_s)

    def forms(self, name: str) -> set[bytes]:
        documents = [self.document(place, name) for place in self.living()]
        return {b"" if document is None else document.state() for document in documents}

    def marks(self, name: str) -> set[str]:
        documents = [self.document(place, name) for place in self.living()]
        return {"" if document is None else document.mark.hex() for document in documents}

    def number(self, place: int, name: str) -> int:
        """Of the generation at which this node's document is."""
        document = self.document(place, name)
        return int.from_bytes(document.mark[:4], "big") if document is not None else -1

    def until(self, is_reached: Callable[[], bool], within_s: float = 60.0) -> None:
        self.run_until(is_reached, within_s)


def built(worlds: Worlds, name: str, place: int = 0) -> Callable[[], bool]:
    """Whether this node has a generation of the document, or dropped one."""
    header = worlds.number(place, name)

    def is_built() -> bool:
        return worlds.number(place, name) != header

    return is_built


def make_history(worlds: Worlds, places: tuple[int, ...] = (0,), count: int = 40) -> None:
    """Things that came and went: enough for a new generation without them."""
    for number in range(count):
        name, place = f"noise/{int(worlds.now * 1000)}-{number}", places[number % len(places)]
        worlds.asset(place, name, type="noise")
        worlds.asset(place, name)


def do(worlds: Worlds, place: int, changes: Any) -> None:
    """What a command of a kind asks for."""
    for change in changes:
        register = change.register
        assert worlds.write(place, register.kind, register.item, change.body, register.facet)


def thing(worlds: Worlds, place: int, kind: str, name: str) -> Item:
    return worlds.item(place, kind, name) or Item(kind, name)


def now_ms(worlds: Worlds) -> int:
    return WALL_MS + int(worlds.now * 1000)


def raise_alarm(worlds: Worlds, place: int, name: str, occurrence: str) -> None:
    do(worlds, place, alarm.raise_(thing(worlds, place, "alarm", name), occurrence, now_ms(worlds)))


def end_alarm(worlds: Worlds, place: int, name: str) -> None:
    """Return to normal, and acknowledge."""
    do(worlds, place, alarm.return_to_normal(thing(worlds, place, "alarm", name), now_ms(worlds)))
    do(worlds, place, alarm.acknowledge(thing(worlds, place, "alarm", name), "ann", now_ms(worlds)))


def offer_task(worlds: Worlds, place: int, name: str, title: str) -> None:
    do(worlds, place, task.offer(thing(worlds, place, "task", name), title, "ann"))


def finish_task(worlds: Worlds, place: int, name: str) -> None:
    body = {"status": "done", "by": "ann", "at_ms": now_ms(worlds)}
    assert worlds.write(place, "task", name, body, "outcome")


def is_active(worlds: Worlds, place: int, name: str) -> bool:
    item = worlds.item(place, "alarm", name)
    return item is not None and alarm.view(item, now_ms(worlds)).is_active
