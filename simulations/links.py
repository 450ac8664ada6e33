"""Links as MQTT sessions behave: dialled, refused, replaced, half open, and gated by an access list."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.events import (
    DIAL_TIMEOUT_S,
    HOSTED,
    Dial,
    DialFailed,
    Event,
    FrameReceived,
    LinkClosed,
    LinkOpened,
    Send,
    SendAll,
)
from mesh.ids import NodeId
from mesh.wire import Endpoint
from simulations.clock import Clock
from simulations.host import Host, Process
from simulations.network import Lane, Network

Deliver = Callable[[Process, Event], None]
Copied = Callable[[Process, Host, bytes], None]


@dataclass(eq=False, slots=True)
class Attempt:
    """A dial that has no answer yet."""

    process: Process
    link: int
    target: Host
    knocked: bool = False  # the network may deliver a packet twice; a handshake happens once
    done: bool = False


@dataclass(eq=False, slots=True)
class Session:
    """One MQTT session. Each end knows only its own half of whether it is open."""

    process: Process
    link: int
    owner: Host
    user: NodeId
    open_here: bool = True  # at the dialler
    open_there: bool = True  # at the owner's broker
    to_owner: Lane = field(default_factory=Lane)
    to_dialler: Lane = field(default_factory=Lane)


class Links:
    """Carries out Dial, Hangup, Send and SendAll over the network."""

    def __init__(self, clock: Clock, network: Network, deliver: Deliver, copied: Copied) -> None:
        self._clock = clock
        self._network = network
        self._deliver = deliver
        self._copied = copied  # told of every copy that leaves a host
        self._hosts: dict[Endpoint, Host] = {}

    def add_host(self, host: Host) -> None:
        self._hosts[host.endpoint] = host

    # ------------------------------------------------------------ effects

    def dial(self, process: Process, dial: Dial) -> None:
        target = self._hosts.get(dial.endpoint)
        if target is None:
            self._clock.after(DIAL_TIMEOUT_S, self._deliver, process, DialFailed(dial.link, "no-route"))
            return
        attempt = Attempt(process, dial.link, target)
        process.links[dial.link] = attempt
        self._clock.after(DIAL_TIMEOUT_S, self._dial_failed, attempt, "timeout")
        self._network.carry(process.host.index, target.index, None, self._knock, attempt)

    def hangup(self, process: Process, link: int) -> None:
        ended = process.links.pop(link, None)
        if isinstance(ended, Attempt):
            ended.done = True
        elif ended is not None:
            self._leave(ended)

    def send(self, process: Process, send: Send) -> None:
        if send.link == HOSTED:
            session = process.host.broker.sessions.get(send.peer)
            if session is not None and not send.door:
                self._publish(session, send.data)
            return
        dialled = process.links.get(send.link)
        if isinstance(dialled, Session) and send.peer == dialled.owner.node:
            self._to_owner(dialled, send.door, send.data)

    def send_all(self, process: Process, send: SendAll) -> None:
        """One publish on our own broker reaches every member's session there, named or not."""
        broker = process.host.broker
        if any(link == HOSTED for _, link in send.links):
            for session in list(broker.sessions.values()):
                if session.user in broker.members:
                    self._publish(session, send.data)
        for peer, link in send.links:
            dialled = process.links.get(link)
            if isinstance(dialled, Session) and peer == dialled.owner.node:
                self._to_owner(dialled, False, send.data)

    # ------------------------------------------------------------ what happens to hosts

    def broker_stopped(self, host: Host, silently: bool) -> None:
        """Every session on this host's broker ends; `silently`: not even the kernel is there to say so."""
        host.broker.up = False
        sessions, host.broker.sessions = list(host.broker.sessions.values()), {}
        for session in sessions:
            session.open_there = False
            if not silently:
                self._reset(session)

    def process_ended(self, process: Process, silently: bool) -> None:
        """The sessions it had dialled end; their hosts' cores notice nothing."""
        links, process.links = list(process.links.values()), {}
        for link in links:
            if isinstance(link, Session) and not silently:
                self._leave(link)

    # ------------------------------------------------------------ dialling

    def _knock(self, attempt: Attempt) -> None:
        owner, dialler = attempt.target, attempt.process.host
        if not owner.powered or attempt.knocked:
            return
        attempt.knocked = True
        reason = self._reason_to_refuse(dialler, owner)
        if reason:
            self._network.carry(owner.index, dialler.index, None, self._dial_failed, attempt, reason)
            return
        session = Session(attempt.process, attempt.link, owner, dialler.node)
        replaced = owner.broker.sessions.get(dialler.node)
        owner.broker.sessions[dialler.node] = session
        if replaced is not None:
            replaced.open_there = False
            self._reset(replaced)
        self._network.carry(owner.index, dialler.index, session.to_dialler, self._opened, attempt, session)

    def _reason_to_refuse(self, dialler: Host, owner: Host) -> str:
        if not owner.broker.up:
            return "refused"
        ours = dialler.certificate
        if not ours.not_before_ms <= owner.wall_ms(self._clock.now_s) <= ours.not_after_ms:
            return "certificate-expired"  # the broker looks at dates; a dialler leaves that to the greeting
        return ""

    def _opened(self, attempt: Attempt, session: Session) -> None:
        if attempt.process.links.get(attempt.link) is session:
            return
        if attempt.done or not attempt.process.alive:
            if session.open_here:
                self._leave(session)
            return
        attempt.done = True
        attempt.process.links[attempt.link] = session
        self._deliver(attempt.process, LinkOpened(attempt.link, session.owner.node))

    def _dial_failed(self, attempt: Attempt, reason: str) -> None:
        if attempt.done:
            return
        attempt.done = True
        attempt.process.links.pop(attempt.link, None)
        self._deliver(attempt.process, DialFailed(attempt.link, reason))

    # ------------------------------------------------------------ frames

    def _to_owner(self, session: Session, door: bool, data: bytes) -> None:
        source, owner = session.process.host, session.owner
        self._copied(session.process, owner, data)
        self._network.carry(source.index, owner.index, session.to_owner, self._at_broker, session, door, data)

    def _at_broker(self, session: Session, door: bool, data: bytes) -> None:
        owner = session.owner
        if not owner.powered:
            return
        if not session.open_there:
            self._reset(session)
            return
        broker = owner.broker
        allowed = session.user not in broker.removed and (door or session.user in broker.members)
        if allowed and owner.process is not None:
            self._deliver(owner.process, FrameReceived(HOSTED, session.user, door, data))

    def _publish(self, session: Session, data: bytes) -> None:
        owner = session.owner
        assert owner.process is not None  # it has just asked for this
        if not owner.broker.up or session.user in owner.broker.removed:
            return
        dialler = session.process.host
        self._copied(owner.process, dialler, data)
        self._network.carry(owner.index, dialler.index, session.to_dialler, self._at_dialler, session, data)

    def _at_dialler(self, session: Session, data: bytes) -> None:
        if session.open_here:
            self._deliver(session.process, FrameReceived(session.link, session.owner.node, False, data))

    # ------------------------------------------------------------ endings

    def _leave(self, session: Session) -> None:
        session.open_here = False
        source, owner = session.process.host, session.owner
        self._network.carry(source.index, owner.index, session.to_owner, self._left, session)

    def _left(self, session: Session) -> None:
        session.open_there = False
        sessions = session.owner.broker.sessions
        if sessions.get(session.user) is session:
            del sessions[session.user]

    def _reset(self, session: Session) -> None:
        owner, dialler = session.owner, session.process.host
        self._network.carry(owner.index, dialler.index, session.to_dialler, self._was_reset, session)

    def _was_reset(self, session: Session) -> None:
        process = session.process
        if not session.open_here:
            return
        session.open_here = False
        if process.links.get(session.link) is session:
            del process.links[session.link]
            self._deliver(process, LinkClosed(session.link, "reset"))
