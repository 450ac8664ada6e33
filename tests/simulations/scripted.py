"""A core that does what a test tells it, and a world of such cores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mesh.events import Effect, Event
from mesh.ids import NodeId
from mesh.now import Now
from simulations.cores import Nativity
from simulations.host import Host
from simulations.keys import node_keys
from simulations.network import Shape
from simulations.plan import Mdns, Plan
from simulations.world import World

STEADY = Shape(latency_ms=1.0, jitter_ms=0.0)

Script = Callable[["ScriptedCore", Event | None, Now], list[Effect]]


@dataclass(frozen=True)
class Seen:
    node: NodeId
    state: str
    linked: bool = True


class ScriptedCore:
    """Remembers what it was told; answers from a queue, or by its script."""

    def __init__(self, nativity: Nativity, script: Script | None) -> None:
        self.nativity = nativity
        self.wake_at = float("inf")
        self.told: list[Event] = []
        self.moments: list[Now] = []
        self.seen: list[Seen] = []
        self.answers: list[list[Effect]] = []
        self.script = script

    def start(self, now: Now) -> list[Effect]:
        return self.script(self, None, now) if self.script else []

    def handle(self, event: Event, now: Now) -> list[Effect]:
        self.told.append(event)
        self.moments.append(now)
        if self.script:
            return self.script(self, event, now)
        return self.answers.pop(0) if self.answers else []

    def peers(self, now: Now) -> Sequence[Seen]:
        return self.seen

    def told_of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.told if isinstance(event, kind)]


def scripted_world(
    nodes: int = 2, script: Script | None = None, *, shape: Shape = STEADY, mdns: Mdns = "off"
) -> World:
    """A world of scripted cores; nothing has started."""
    plan = Plan(1, nodes, lambda nativity: ScriptedCore(nativity, script), lambda known: {}, shape, mdns=mdns)
    return World(plan)


def running_world(
    nodes: int = 2, script: Script | None = None, *, shape: Shape = STEADY, mdns: Mdns = "off"
) -> World:
    """All nodes and their brokers are up."""
    world = scripted_world(nodes, script, shape=shape, mdns=mdns)
    for host in world.hosts:
        world.start(host)
    world.clock.run_until(1.0)
    return world


def core_of(host: Host) -> ScriptedCore:
    assert host.process is not None
    core = host.process.core
    assert isinstance(core, ScriptedCore)
    return core


def perform(world: World, host: Host, *effects: Effect) -> None:
    """Have this host's core ask for these effects now, and let a second pass."""
    assert host.process is not None
    world.perform(host.process, list(effects))
    world.clock.run_until(world.clock.now_s + 1.001)


def node(index: int) -> NodeId:
    return node_keys(index).identity.node


def invariants(world: World) -> list[str]:
    """The invariants that were found broken, in order."""
    return [violation.invariant for violation in world.violations]
