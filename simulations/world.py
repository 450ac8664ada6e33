"""A site in one process: hosts, the network between them, and the cores, driven by the virtual clock."""

import traceback
from collections import Counter
from collections.abc import Iterable

from mesh.events import (
    BrokerDown,
    BrokerUp,
    CertificateInstalled,
    Counted,
    Dial,
    Effect,
    Event,
    Hangup,
    InstallCertificate,
    News,
    PeerChanged,
    Persist,
    PersistFailed,
    Send,
    SendAll,
    SetAccess,
    Woke,
    WriteDone,
)
from mesh.ids import NodeId
from mesh.wire import Endpoint
from simulations.audience import Audience
from simulations.chance import chance
from simulations.clock import Clock
from simulations.cores import Nativity
from simulations.disk import Disk, Tables
from simulations.host import Host, Process
from simulations.keys import STEWARD, node_keys
from simulations.links import Links
from simulations.mdns import Mdns
from simulations.network import Network
from simulations.plan import Plan
from simulations.trace import Trace
from simulations.truth import Truth
from simulations.watch import Violation

Immediate = Dial | Hangup | Send | SendAll | SetAccess | InstallCertificate | News

PORT = 8883
BROKER_START_S = (0.05, 0.3)
ACCESS_DELAY_S = (0.005, 0.1)  # to write an access list and have the broker read it
BROKER_WATCH_S = 0.02  # how soon a node notices that its broker's process has ended
SPINS_MAX = 1000  # wakes at one moment; a core that asks for more would spin for ever
VIOLATIONS_MAX = 20  # per invariant and run; more of the same tells nothing new
UPTIME_MAX_S = 1e6  # monotonic clocks start anywhere below this


class World:
    """Starts, stops and drives nodes. Faults call its verbs; watchers look on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seed = plan.seed
        self.clock = Clock()
        self.trace = Trace(plan.log)
        self.hosts: list[Host] = []
        self.network = Network(self.clock, plan.shape, chance(plan.seed, "network"), 0)
        self.truth = Truth(self.clock, self.network, self.hosts)
        self.audience = Audience()
        self.links = Links(self.clock, self.network, self.deliver, self._copied)
        self.mdns = Mdns(self.clock, self.network, chance(plan.seed, "mdns"), self.deliver)
        self.counters: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._boots = chance(plan.seed, "boots")
        for index in range(plan.nodes):
            self._add(index, Disk(self._founding(index)))

    # ------------------------------------------------------------ building

    def add_newcomer(self) -> Host:
        """A computer with keys of its own that knows the steward and itself; nobody knows it yet."""
        index = len(self.hosts)
        return self._add(index, Disk(self._knowing([STEWARD, index])))

    def add_clone(self, original: Host) -> Host:
        """Another computer with a copy of this one's keys and disk: from now on both are rivals."""
        twin = self._add(original.keys_index, Disk(original.disk.saved()))
        twin.incarnation = original.incarnation
        twin.rival = original.rival = True
        return twin

    def boot_all(self) -> None:
        """Every host starts at a moment of its own within the spread."""
        for host in self.hosts:
            self.clock.after(self._boots.uniform(0.0, self.plan.boot_spread_s), self.start, host)

    def incarnation_of(self, node: NodeId) -> int:
        """The highest incarnation that has really run."""
        return max((host.incarnation for host in self.hosts if host.node == node), default=0)

    def _add(self, keys_index: int, disk: Disk) -> Host:
        index, keys = len(self.hosts), node_keys(keys_index)
        certificate = keys.root.verify_chain(keys.chain)
        endpoint = Endpoint(f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}", PORT)
        host = Host(index, keys_index, keys, certificate, keys.chain, endpoint, disk)
        self.hosts.append(host)
        self.network.add_host()
        self.links.add_host(host)
        return host

    def _founding(self, index: int) -> Tables:
        if self.plan.roster == "everybody" or index == STEWARD:
            return self._knowing(range(self.plan.nodes))
        return self._knowing([STEWARD, index])

    def _knowing(self, indices: Iterable[int]) -> Tables:
        return self.plan.founding_tables([node_keys(index) for index in indices])

    # ------------------------------------------------------------ what can happen to a host

    def start(self, host: Host) -> None:
        """A new process with the next incarnation and what the disk holds."""
        if host.process is not None:
            return
        host.powered = host.broker.wanted = True
        host.incarnation += 1
        process = self._born(host)
        host.process = process
        self.trace.note(self.clock.now_s, "start", f"{host.index} incarnation {host.incarnation}")
        self._run(process, None)
        if process.alive:
            now = host.now(process, self.clock.now_s)
            process.views.update((peer.node, peer.state) for peer in process.core.peers(now))
            self.audience.started(process)
        self.clock.after(self._boots.uniform(*BROKER_START_S), self.broker_starts, process)
        self.changed()

    def crash(self, host: Host, power: bool = False) -> None:
        """The process and its broker are gone; with `power`, the kernel that would tell the peers too."""
        process = host.process
        if process is None:
            return
        self.trace.note(self.clock.now_s, "power-off" if power else "crash", str(host.index))
        process.alive = False
        host.process = None
        self.links.process_ended(process, power)
        self.links.broker_stopped(host, power)
        host.powered = not power
        self.changed()

    def stall(self, host: Host) -> None:
        """The process stands still; its broker and its kernel do not."""
        if host.process is not None:
            self.trace.note(self.clock.now_s, "stall", str(host.index))
            host.process.stalled = True
            self.changed()

    def ending(self, host: Host, event: Event) -> None:
        """The node is told to stop or to leave: from now on it counts for nobody."""
        if host.process is not None:
            host.process.ending = True
            self.changed()
            self.deliver(host.process, event)

    def resume(self, host: Host) -> None:
        """The process goes on: first with its overdue timer, then with all that has queued up."""
        process = host.process
        if process is None or not process.stalled:
            return
        self.trace.note(self.clock.now_s, "resume", str(host.index))
        process.stalled = False
        backlog, process.backlog = process.backlog, []
        self.changed()
        self.deliver(process, Woke())
        for event in backlog:
            self.deliver(process, event)

    def broker_stops(self, host: Host) -> None:
        """The broker's process ends; the node's goes on."""
        if not host.broker.up:
            return
        self.trace.note(self.clock.now_s, "broker-down", str(host.index))
        host.broker.wanted = False
        self.links.broker_stopped(host, silently=False)
        if host.process is not None:
            self.clock.after(BROKER_WATCH_S, self.deliver, host.process, BrokerDown("exited"))
        self.changed()

    def broker_starts(self, process: Process) -> None:
        """The broker answers again, with the access list that the node last wrote."""
        host = process.host
        if not process.alive or host.broker.up:
            return
        self.trace.note(self.clock.now_s, "broker-up", str(host.index))
        host.broker.up = host.broker.wanted = True
        self.changed()
        self.deliver(process, BrokerUp((host.endpoint,)))
        if self.plan.mdns != "off":
            self.mdns.announce(host, self.hosts)

    def heal(self) -> None:
        """Every path is up again."""
        self.trace.note(self.clock.now_s, "heal", "")
        self.network.heal()
        self.changed()
        if self.plan.mdns == "on":
            self.mdns.announce_all(self.hosts)

    def changed(self) -> None:
        """Something went up or down: the truth has moved."""
        self.truth.refresh()
        self.audience.changed()

    # ------------------------------------------------------------ running the cores

    def deliver(self, process: Process, event: Event) -> None:
        """Tell a core something, now. What is meant for a process that has ended is lost."""
        if not process.alive:
            return
        if process.stalled:
            process.backlog.append(event)
            return
        self.trace.event(self.clock.now_s, process.host.index, event)
        self.audience.event(process, event)
        self._run(process, event)

    def perform(self, process: Process, effects: list[Effect]) -> None:
        """Carry out what a core asked for, in order. What is not durable is not told to anybody."""
        is_durable = True
        for effect in _persists_last(effects) if self.plan.persists_last else effects:
            if process.dies_before():
                self.crash(process.host)
                return
            if isinstance(effect, Persist):
                is_durable &= self._persist(process, effect)
            elif is_durable or not isinstance(effect, Send | SendAll | WriteDone):
                self._do(process, effect)
            if process.dies_after(effect):
                self.crash(process.host)
                return

    def violate(self, invariant: str, detail: str) -> None:
        """An invariant does not hold."""
        already = sum(1 for violation in self.violations if violation.invariant == invariant)
        if already < VIOLATIONS_MAX:
            self.trace.note(self.clock.now_s, "VIOLATION", f"{invariant} {detail}")
            self.violations.append(Violation(invariant, self.seed, round(self.clock.now_s, 6), detail))

    def name_of(self, node: str) -> str:
        return next((host.name for host in self.hosts if host.node == node), node)

    def _born(self, host: Host) -> Process:
        stream = chance(self.seed, "core", host.index, host.incarnation)
        boot, offset_s = self._boots.getrandbits(62), self._boots.uniform(0.0, UPTIME_MAX_S)
        started_ms = host.wall_ms(self.clock.now_s)
        nativity = Nativity(
            host.keys, host.chain, host.incarnation, boot, started_ms, host.disk.saved(), stream
        )
        return Process(host, self.plan.make_core(nativity), host.incarnation, boot, offset_s)

    def _run(self, process: Process, event: Event | None, at_least_s: float = 0.0) -> None:
        now = process.host.now(process, self.clock.now_s, at_least_s)
        try:
            effects = process.core.start(now) if event is None else process.core.handle(event, now)
        except Exception:  # noqa: BLE001 - a core must survive anything; that it did not is a finding of this run
            where = traceback.format_exc(limit=-3).strip().replace("\n", " | ")
            self.violate("core-error", f"{process.host.name} on {type(event).__name__}: {where}")
            self.crash(process.host)
            return
        self.perform(process, effects)
        if process.alive:
            if event is not None:
                self.audience.handled(process, event, effects)
            self._plan_wake(process)

    def _persist(self, process: Process, persist: Persist) -> bool:
        is_durable = process.host.disk.apply(persist.writes)
        if not is_durable:
            self.clock.after(0.0, self.deliver, process, PersistFailed("disk full"))
        return is_durable

    def _do(self, process: Process, effect: Immediate) -> None:
        match effect:
            case SendAll():
                self.links.send_all(process, effect)
            case Send():
                self.links.send(process, effect)
            case Dial():
                self.links.dial(process, effect)
            case Hangup():
                self.links.hangup(process, effect.link)
            case SetAccess():
                process.access = effect
                self.clock.after(self._boots.uniform(*ACCESS_DELAY_S), self._set_access, process)
            case InstallCertificate():
                self._install(process, effect.chain)
            case _:
                self._report(process, effect)

    def _set_access(self, process: Process) -> None:
        """The broker has read the list that was written last."""
        access, broker = process.access, process.host.broker
        if access is not None and process.alive:
            broker.members, broker.removed = frozenset(access.members), frozenset(access.removed)

    def _install(self, process: Process, chain: tuple[bytes, ...]) -> None:
        host = process.host
        host.chain, host.certificate = chain, host.keys.root.verify_chain(chain)
        self.clock.after(0.0, self.deliver, process, CertificateInstalled(chain))

    def _report(self, process: Process, news: News) -> None:
        if isinstance(news, Counted):
            self.counters[news.name] += 1
            return
        self.trace.news(self.clock.now_s, process.host.index, news)
        if isinstance(news, PeerChanged):
            process.views[news.node] = news.state
        self.audience.news(process, news)

    def _copied(self, process: Process, target: Host, data: bytes) -> None:
        process.bytes_sent += len(data)
        self.audience.copy(process, target, data)

    # ------------------------------------------------------------ waking

    def _plan_wake(self, process: Process) -> None:
        """The core has just spoken: a wake that comes too early is put off when it is due."""
        process.wanted_s = process.core.wake_at
        due_s = process.host.true_s(process, process.wanted_s)
        if due_s < process.wake_due_s:
            process.wake_due_s = max(due_s, self.clock.now_s)
            self.clock.at(due_s, self._wake, process, process.wake_due_s)

    def _wake(self, process: Process, due_s: float) -> None:
        if not process.alive or due_s != process.wake_due_s:
            return
        process.wake_due_s = float("inf")
        if process.stalled:
            return
        wanted_s = process.host.true_s(process, process.wanted_s)
        if wanted_s > self.clock.now_s:
            process.wake_due_s = wanted_s
            self.clock.at(wanted_s, self._wake, process, wanted_s)
            return
        self._count_spin(process)
        self.trace.event(self.clock.now_s, process.host.index, Woke())
        self._run(process, Woke(), process.wanted_s)

    def _count_spin(self, process: Process) -> None:
        at_s, spins = process.spins
        spins = spins + 1 if at_s == self.clock.now_s else 0
        process.spins = (self.clock.now_s, spins)
        if spins > SPINS_MAX:
            self.violate("S8", f"{process.host.name} wakes for ever at one moment")
            self.crash(process.host)


def _persists_last(effects: list[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda effect: isinstance(effect, Persist))
