"""The control socket's verbs over real cores in memory: what a person at each node of a small plant would get."""

from collections.abc import Callable, Iterable
from typing import Any, get_args

from mesh.events import Event, News
from mesh.now import Now
from node.core import NodeCore
from node.newsroom import Newsroom
from node.world_verbs import WorldVerbs
from tests.mesh.cores import at
from tests.mesh.plant import Plant, Process
from tests.mesh.site import make_site

NEWS = get_args(News)


class Disk:
    """How many rows the disk has refused."""

    def __init__(self) -> None:
        self.held = 0


class Station:
    """One node of a plant, and what its control socket answers. Names are a, b, c, ..."""

    def __init__(self, plant: Plant, place: int) -> None:
        self.plant = plant
        self.place = place
        self.news = Newsroom()
        self.keeping = Disk()
        self.handlers: dict[str, Callable[..., Any]] = WorldVerbs(self).handlers()
        self._heard = 0

    @property
    def process(self) -> Process:
        return self.plant.processes[self.place]

    @property
    def core(self) -> NodeCore:
        return self.process.core

    def now(self) -> Now:
        right = at(self.plant.now)
        return Now(right.mono, right.wall_ms + self.process.clock_ms)

    def deliver(self, event: Event) -> None:
        self.plant.tell(self.process, event)
        self.hear()

    def hear(self) -> None:
        """Pass on the news since last asked, as a driver does at once."""
        effects = self.process.effects
        while self._heard < len(effects):
            _, effect = effects[self._heard]
            self._heard += 1
            if isinstance(effect, NEWS):
                self.news.tell(effect)

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.handlers[verb](**arguments)
        return answer


def stations(count: int = 2, stewards: int = 1) -> list[Station]:
    """A plant whose nodes all see each other."""
    plant = Plant(make_site(count, stewards)).form()
    found = [Station(plant, place) for place in range(count)]
    meet(found, 0.0)
    return found


def meet(stations: Iterable[Station], seconds: float = 5.0) -> None:
    """Time for what was written to reach everybody."""
    every = list(stations)
    every[0].plant.run(seconds)
    for station in every:
        station.hear()


def cut(stations: list[Station]) -> None:
    """The first can neither reach the others nor be reached; long enough for everybody to notice."""
    plant = stations[0].plant
    plant.is_cut = lambda one, other: (one == 0) is not (other == 0)
    meet(stations, 10.0)


def heal(stations: list[Station]) -> None:
    plant = stations[0].plant
    plant.is_cut = lambda _, __: False
    plant.run_until(plant.is_full, within_s=90)
    meet(stations, 10.0)
