"""Everything that a scenario can do to a site. Each fault is data, and knows how to strike."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from mesh.events import CastRequested, LeaveRequested, MemberAdmitted, RemovalRequested, StopRequested
from simulations.fault import At, Fault, Label, Seconds, Times
from simulations.host import Host
from simulations.keys import STEWARD
from simulations.network import Millis, Rate, Shape
from simulations.writing import Lapse, Write

if TYPE_CHECKING:
    from simulations.stage import Stage

LEAVE_LINGER_S = 0.5  # a node that leaves says so, then stops
STOP_LINGER_S = 0.05  # the last frames are handed to the kernel


# ---------------------------------------------------------------- nodes


class Crash(At, frozen=True, kw_only=True, tag="crash"):
    """The node's process dies, or its computer loses power; `any`: the seed decides."""

    how: Literal["kill", "power", "any"] = "kill"

    def befall(self, stage: "Stage", host: Host) -> None:
        power = self.how == "power" or (self.how == "any" and stage.chance.random() < 0.5)
        stage.world.crash(host, power)


class Stop(At, frozen=True, kw_only=True, tag="stop"):
    """The node is stopped in good order, as by its service manager, and says so."""

    def befall(self, stage: "Stage", host: Host) -> None:
        if host.process is not None:
            stage.note("stop", str(host.index))
            stage.world.ending(host, StopRequested())
            stage.after(STOP_LINGER_S, stage.world.crash, host)


class Restart(At, frozen=True, kw_only=True, tag="restart"):
    def befall(self, stage: "Stage", host: Host) -> None:
        stage.world.start(host)


class Stall(At, frozen=True, kw_only=True, tag="stall"):
    """The node's process stands still, as under a debugger or a swapping kernel."""

    def befall(self, stage: "Stage", host: Host) -> None:
        stage.world.stall(host)


class Resume(At, frozen=True, kw_only=True, tag="resume"):
    def befall(self, stage: "Stage", host: Host) -> None:
        stage.world.resume(host)


class Churn(Fault, frozen=True, kw_only=True, tag="churn"):
    """Again and again a random running node dies, and comes back a while later."""

    times: Times
    every_s: Seconds
    down_s: Seconds

    def strike(self, stage: "Stage") -> None:
        for turn in range(self.times):
            stage.after(turn * self.every_s + stage.chance.uniform(0, self.every_s / 2), self._turn, stage)

    def _turn(self, stage: "Stage") -> None:
        running = [host for host in stage.world.hosts if host.process is not None]
        if len(running) > 1:
            host = running[stage.chance.randrange(len(running))]
            stage.world.crash(host, stage.chance.random() < 0.5)
            stage.after(self.down_s * stage.chance.uniform(0.2, 1.0), stage.world.start, host)


class CrashAtEffect(At, frozen=True, kw_only=True, tag="crash_at_effect"):
    """The process dies between two effects, after so many more; the seed draws the number up to `most`.

    `at = "persist"` counts only what is made durable: it dies right after one of those, before anything is sent.
    """

    most: Times = 20
    at: Literal["any", "persist"] = "any"

    def befall(self, stage: "Stage", host: Host) -> None:
        if host.process is not None:
            host.process.dies(stage.chance.randrange(self.most), self.at)


class CrashesAtEffect(Fault, frozen=True, kw_only=True, tag="crashes_at_effect"):
    """Again and again one of these dies between two effects, and is started again a while later."""

    who: Label
    times: Times
    every_s: Seconds
    down_s: Seconds
    most: Times = 20
    at: Literal["any", "persist"] = "any"

    def strike(self, stage: "Stage") -> None:
        for turn in range(self.times):
            stage.after(turn * self.every_s + stage.chance.uniform(0, self.every_s / 2), self._turn, stage)

    def labels(self) -> tuple[str, ...]:
        return (self.who,)

    def _turn(self, stage: "Stage") -> None:
        hosts = stage.hosts(self.who)
        host = hosts[stage.chance.randrange(len(hosts))]
        if host.process is not None:
            host.process.dies(stage.chance.randrange(self.most), self.at)
        stage.after(self.down_s * stage.chance.uniform(0.5, 1.0), stage.world.start, host)


class DiskFull(At, frozen=True, kw_only=True, tag="disk_full"):
    for_s: Seconds

    def befall(self, stage: "Stage", host: Host) -> None:
        stage.note("disk-full", str(host.index))
        host.disk.full = True
        stage.after(self.for_s, self._emptied, stage, host)

    def _emptied(self, stage: "Stage", host: Host) -> None:
        stage.note("disk-writable", str(host.index))
        host.disk.full = False


class Skew(At, frozen=True, kw_only=True, tag="skew"):
    """The wall clock jumps; the monotonic one runs on, from now on so many millionths faster."""

    wall_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0
    drift_ppm: Annotated[float, Meta(ge=-100_000, le=100_000)] = 0.0

    def befall(self, stage: "Stage", host: Host) -> None:
        stage.note("skew", f"{host.index} {self.wall_s} {self.drift_ppm}")
        host.drift(1.0 + self.drift_ppm / 1e6, stage.world.clock.now_s)
        host.wall_offset_ms += int(self.wall_s * 1000)


# ---------------------------------------------------------------- brokers


class BrokerDownFault(At, frozen=True, kw_only=True, tag="broker_down"):
    def befall(self, stage: "Stage", host: Host) -> None:
        stage.world.broker_stops(host)


class BrokerUpFault(At, frozen=True, kw_only=True, tag="broker_up"):
    def befall(self, stage: "Stage", host: Host) -> None:
        if host.process is not None:
            stage.world.broker_starts(host.process)


# ---------------------------------------------------------------- the network


class Partition(Fault, frozen=True, kw_only=True, tag="partition"):
    """Groups that no longer hear each other; hosts in none of them form one more."""

    groups: Annotated[tuple[Label, ...], Meta(min_length=1)]

    def strike(self, stage: "Stage") -> None:
        stage.partition([stage.hosts(label) for label in self.groups])

    def labels(self) -> tuple[str, ...]:
        return self.groups


class Isolate(Fault, frozen=True, kw_only=True, tag="isolate"):
    """Each of these is cut off from everybody."""

    who: Label

    def strike(self, stage: "Stage") -> None:
        stage.partition([[host] for host in stage.hosts(self.who)])

    def labels(self) -> tuple[str, ...]:
        return (self.who,)


class Heal(Fault, frozen=True, kw_only=True, tag="heal"):
    def strike(self, stage: "Stage") -> None:
        stage.world.heal()


class OneWay(Fault, frozen=True, kw_only=True, tag="one_way"):
    """Packets of `speaker` no longer reach `deaf`; the other direction stays up."""

    speaker: Label
    deaf: Label

    def strike(self, stage: "Stage") -> None:
        stage.cut(product(stage.hosts(self.speaker), stage.hosts(self.deaf)))

    def labels(self) -> tuple[str, ...]:
        return (self.speaker, self.deaf)


class Flap(Fault, frozen=True, kw_only=True, tag="flap"):
    """The paths between two picks go down and up again, for ever shorter or longer than one would like."""

    one: Label
    other: Label
    times: Times
    down_s: Seconds
    up_s: Seconds

    def strike(self, stage: "Stage") -> None:
        pairs = [*product(stage.hosts(self.one), stage.hosts(self.other))]
        both_ways = [*pairs, *((other, one) for one, other in pairs)]
        for turn in range(self.times):
            start_s = turn * (self.down_s + self.up_s)
            stage.after(start_s, stage.cut, both_ways)
            stage.after(start_s + self.down_s, stage.mend, both_ways)

    def labels(self) -> tuple[str, ...]:
        return (self.one, self.other)


class Weather(Fault, frozen=True, kw_only=True, tag="network"):
    """From now on every path has these faults; what is not given returns to the default."""

    loss: Rate = 0.0
    duplicate: Rate = 0.0
    reorder: Rate = 0.0
    reorder_ms: Millis = 20.0
    latency_ms: Millis = 0.4
    jitter_ms: Millis = 0.6

    def strike(self, stage: "Stage") -> None:
        shape = Shape(
            self.latency_ms, self.jitter_ms, self.loss, self.duplicate, self.reorder, self.reorder_ms
        )
        stage.note("network", repr(shape))
        stage.world.network.shape = shape


class Hold(Fault, frozen=True, kw_only=True, tag="hold"):
    """Packets are kept back, all of them, to be let go at once by `release`."""

    def strike(self, stage: "Stage") -> None:
        stage.note("hold", "")
        stage.world.network.hold()
        stage.world.changed()


class Release(Fault, frozen=True, kw_only=True, tag="release"):
    def strike(self, stage: "Stage") -> None:
        stage.note("release", "")
        stage.world.network.release()
        stage.world.changed()


# ---------------------------------------------------------------- membership


class RemoveMember(At, frozen=True, kw_only=True, tag="remove_member"):
    """The steward removes them."""

    def befall(self, stage: "Stage", host: Host) -> None:
        steward = stage.world.hosts[STEWARD]
        if steward.process is not None:
            stage.note("remove", str(host.index))
            stage.world.truth.removed(host.node)
            stage.world.deliver(steward.process, RemovalRequested(host.node, "a simulated theft"))


class Leave(At, frozen=True, kw_only=True, tag="leave"):
    def befall(self, stage: "Stage", host: Host) -> None:
        if host.process is not None:
            stage.note("leave", str(host.index))
            stage.world.truth.left(host)
            stage.world.ending(host, LeaveRequested())
            stage.after(LEAVE_LINGER_S, stage.world.crash, host)


class Admit(Fault, frozen=True, kw_only=True, tag="admit"):
    """New nodes join: the steward has just issued their certificates."""

    count: Times = 1

    def strike(self, stage: "Stage") -> None:
        steward = stage.world.hosts[STEWARD]
        for _ in range(self.count):
            host = stage.world.add_newcomer()
            if steward.process is not None:
                stage.world.deliver(steward.process, MemberAdmitted(host.chain, host.keys.identity.public))
            stage.world.start(host)


class Clone(At, frozen=True, kw_only=True, tag="clone"):
    """The data folder is copied to another computer and started there."""

    def befall(self, stage: "Stage", host: Host) -> None:
        stage.note("clone", str(host.index))
        stage.world.start(stage.world.add_clone(host))


# ---------------------------------------------------------------- load


class Cast(At, frozen=True, kw_only=True, tag="cast"):
    """Each of these broadcasts something, again and again."""

    times: Times = 1
    every_s: Seconds = 1.0
    payload_bytes: Annotated[int, Meta(ge=32, le=65_536)] = 200

    def befall(self, stage: "Stage", host: Host) -> None:
        for turn in range(self.times):
            stage.after(turn * self.every_s + stage.chance.uniform(0, self.every_s), self._cast, stage, host)

    def _cast(self, stage: "Stage", host: Host) -> None:
        if host.process is not None:
            payload = f"{host.index}/{stage.next_number()}/".encode().ljust(self.payload_bytes, b".")
            stage.world.deliver(host.process, CastRequested("sim/cast", payload))


AnyFault = (
    Crash
    | Stop
    | Restart
    | Stall
    | Resume
    | Churn
    | CrashAtEffect
    | CrashesAtEffect
    | DiskFull
    | Skew
    | BrokerDownFault
    | BrokerUpFault
    | Partition
    | Isolate
    | Heal
    | OneWay
    | Flap
    | Weather
    | Hold
    | Release
    | RemoveMember
    | Leave
    | Admit
    | Clone
    | Cast
    | Write
    | Lapse
)


def labels_of(faults: Sequence[AnyFault]) -> list[str]:
    """Every pick that is named, once, in order."""
    return list(dict.fromkeys(label for fault in faults for label in fault.labels()))
