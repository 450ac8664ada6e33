"""One simulated computer: its disk, its broker, and the node process that runs on it or does not."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mesh.events import Effect, Event, Persist, SetAccess
from mesh.ids import NodeId
from mesh.now import Now
from mesh.trust import Member
from mesh.wire import Endpoint
from simulations.cores import Core
from simulations.disk import Disk
from simulations.keys import EPOCH_MS, NodeKeys

if TYPE_CHECKING:
    from simulations.links import Attempt, Session


@dataclass(eq=False, slots=True)
class Broker:
    """The host's own broker: who has a session on it, and whom its access list names."""

    up: bool = False
    wanted: bool = True  # it is up, or will be as soon as it has started
    sessions: "dict[NodeId, Session]" = field(default_factory=dict)
    members: frozenset[NodeId] = frozenset()
    removed: frozenset[NodeId] = frozenset()


@dataclass(eq=False, slots=True)
class Process:
    """One run of a node. Whatever was meant for an earlier one never reaches it."""

    host: "Host"
    core: Core
    incarnation: int
    boot: int
    mono_offset_s: float
    alive: bool = True
    stalled: bool = False
    ending: bool = False  # it was told to stop or to leave
    backlog: list[Event] = field(default_factory=list)  # while stalled; bounded by the stall's length
    links: "dict[int, Session | Attempt]" = field(default_factory=dict)  # those it dials, by number
    wanted_s: float = float("inf")  # when its core wants to be woken, on its own clock
    wake_due_s: float = float("inf")  # when it will be looked after next
    mono_s: float = 0.0
    spins: tuple[float, int] = (-1.0, 0)  # when it woke last, and how often at that one moment
    views: dict[NodeId, str] = field(default_factory=dict)  # what it has said of each peer
    access: SetAccess | None = None  # the last that it asked for
    bytes_sent: int = 0
    effects_left: int | None = None  # a planned crash: how many effects it still carries out
    persists_left: int | None = None  # a planned crash: right after so many more things are durable

    def dies_before(self) -> bool:
        """Whether the planned crash comes before the next effect."""
        if self.effects_left is None:
            return False
        self.effects_left -= 1
        return self.effects_left < 0

    def dies_after(self, effect: Effect) -> bool:
        """Whether it comes right after this one, between what is durable and what is sent."""
        if self.persists_left is None or not isinstance(effect, Persist):
            return False
        self.persists_left -= 1
        return self.persists_left < 0

    def dies(self, after: int, at: Literal["any", "persist"]) -> None:
        """Plan a crash: between two effects after so many more, or right after so many more Persists."""
        if at == "any":
            self.effects_left = after
        else:
            self.persists_left = after


@dataclass(eq=False, slots=True)
class Host:
    """A computer with an address, a clock that may be wrong, and at most one node process."""

    index: int
    keys_index: int  # two hosts with the same one are clones
    keys: NodeKeys
    certificate: Member
    chain: tuple[bytes, ...]
    endpoint: Endpoint
    disk: Disk
    rate: float = 1.0  # how fast its monotonic clock runs
    wall_offset_ms: int = 0
    powered: bool = True
    incarnation: int = 0
    broker: Broker = field(default_factory=Broker)
    process: Process | None = None
    rival: bool = False  # it runs, or shares, an identity that is in use twice

    @property
    def node(self) -> NodeId:
        return self.keys.identity.node

    @property
    def name(self) -> str:
        return self.keys.name

    @property
    def healthy(self) -> bool:
        """A process runs here, and is neither stalled nor about to end."""
        process = self.process
        return process is not None and not (process.stalled or process.ending)

    def wall_ms(self, true_s: float) -> int:
        return EPOCH_MS + int(true_s * 1000) + self.wall_offset_ms

    def now(self, process: Process, true_s: float, at_least_s: float = 0.0) -> Now:
        """The moment as this process sees it; its monotonic clock never steps back."""
        mono_s = true_s * self.rate + process.mono_offset_s
        process.mono_s = max(process.mono_s, mono_s, at_least_s)
        return Now(process.mono_s, self.wall_ms(true_s))

    def drift(self, rate: float, true_s: float) -> None:
        """From now on the monotonic clock runs at this rate, without a jump."""
        if self.process is not None:
            self.process.mono_offset_s += true_s * (self.rate - rate)
        self.rate = rate

    def true_s(self, process: Process, mono_s: float) -> float:
        """When this process's monotonic clock shows `mono_s`."""
        return (mono_s - process.mono_offset_s) / self.rate
