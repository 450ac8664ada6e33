"""The node's core: every decision of one node, with no socket, clock, disk or chance of its own.

`handle(event, now)` is the only door. It returns what the driver must do, in order; a Persist must be durable
before anything after it is carried out. `wake_at` says when the core wants to be woken.
"""

from collections.abc import Callable, Mapping
from random import Random

from crdt_state.kinds import KINDS
from crdt_state.world import World
from mesh.cast_sync import CastSync
from mesh.clones import Clones
from mesh.doorway import Doorway
from mesh.events import (
    HAS_LEFT,
    HOSTED,
    BrokerDown,
    BrokerUp,
    CastRequested,
    CertificateInstalled,
    DialFailed,
    Effect,
    EndpointFound,
    EndpointLost,
    Event,
    ExamRequested,
    FrameReceived,
    Isolated,
    LeaveRequested,
    LinkClosed,
    LinkOpened,
    MemberAdmitted,
    MembershipEnded,
    PersistFailed,
    PersistResumed,
    QuarantineDecided,
    RemovalRequested,
    RenewalRequested,
    Reunited,
    Source,
    StopRequested,
    TagsOffered,
    Woke,
    WriteRequested,
)
from mesh.exams import Exams
from mesh.finding import Finding
from mesh.ids import NodeId
from mesh.membership import PeerState
from mesh.now import Now
from mesh.probes import Probes
from mesh.roster import MemberEntry, RemovalEntry, departure, encode_entry
from mesh.roster_sync import RosterSync
from mesh.row_sync import RowSync
from mesh.state import Birth, CoreConfig, FabricState, Keys
from mesh.upkeep import Upkeep
from mesh.wanting import Wanting
from mesh.wire import (
    Addresses,
    Beat,
    Bye,
    Cast,
    CastsHeld,
    CastsWanted,
    Confirm,
    Frame,
    Hello,
    Inquiry,
    Message,
    Probe,
    ProbeReply,
    Prune,
    Refuse,
    Renew,
    Renewed,
    RenewRefused,
    Report,
    RosterEntries,
    RosterWanted,
    Row,
    Rows,
    RowsWanted,
    Welcome,
    WireError,
    decode,
)
from node.views import NodeView, PeerView, node_view, peer_views

DIAL_FAILURES = ("refused", "timeout", "no-route", "wrong-root", "certificate-expired", "not-a-node")
"""What DialFailed may say that tells a person why a peer is missing; our own housekeeping does not."""

BEAT_JITTER = 0.1  # beats of a site do not fall into step


class NodeCore:
    """One node's decisions."""

    def __init__(
        self,
        config: CoreConfig,
        keys: Keys,
        birth: Birth,
        saved: Mapping[str, Mapping[str, bytes]],
        random: Random,
    ) -> None:
        self._state = FabricState(config, keys, birth, saved, random)
        self._roster_sync = RosterSync(self._state)
        clones = Clones(self._state)
        self._doorway = Doorway(self._state, self._roster_sync, clones)
        self._finding = Finding(self._state, self._doorway)
        self._row_sync = RowSync(self._state, clones)
        self._cast_sync = CastSync(self._state)
        self._probes = Probes(self._state)
        self._exams = Exams(self._state)
        self._upkeep = Upkeep(self._state, self._roster_sync)
        self._wanting = Wanting(self._state)
        self.world = World(self._state, KINDS, saved)
        self._links_seen = -1
        self._beat_at = float("inf")
        self._isolated_at = float("inf")
        self._grace_over = False
        self._is_ending = False
        self.isolated = False
        self._handlers: dict[type[Event], Callable[..., None]] = {
            Woke: self._woke,
            EndpointFound: self._finding.endpoint_found,
            EndpointLost: self._finding.endpoint_lost,
            LinkOpened: self._finding.link_opened,
            DialFailed: self._finding.dial_failed,
            LinkClosed: self._finding.link_closed,
            FrameReceived: self._frame_received,
            BrokerUp: self._broker_up,
            BrokerDown: self._broker_down,
            MemberAdmitted: self._member_admitted,
            CastRequested: self._cast_sync.request,
            RemovalRequested: self._removal_requested,
            LeaveRequested: self._leave_requested,
            StopRequested: self._stop_requested,
            ExamRequested: self._exams.request,
            RenewalRequested: self._renewal_requested,
            CertificateInstalled: self._certificate_installed,
            PersistFailed: self._persist_failed,
            PersistResumed: self._persist_resumed,
            WriteRequested: self.world.request,
            TagsOffered: self.world.upkeep.frames.offered,
            QuarantineDecided: self.world.decide,
        }
        self._readers: dict[type[Message], Callable[[NodeId, int, Message, Now], None]] = (
            self._message_readers()
        )

    # -- the door

    def start(self, now: Now) -> list[Effect]:
        """The node comes up: its own entry is in the roster, its access list is written, it looks for peers."""
        state = self._state
        self._roster_sync.merge((state.own_entry(),), None, now)
        self._roster_sync.end_if_removed()
        for reason in state.roster.damaged:
            state.count(reason)
        state.set_access(now)
        self._beat_at = now.mono + state.random.uniform(0, state.config.hearing.beat_s)
        self._isolated_at = now.mono + state.config.hearing.isolated_after_s
        self._row_sync.refresh(now.mono)
        self.world.start(now)
        self._settle(now)
        return state.take_effects()

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """Take one event; return what to do about it."""
        self._state.hearing.awake(now.mono)
        self._handlers[type(event)](event, now)
        self._settle(now, is_frame=isinstance(event, FrameReceived | WriteRequested | TagsOffered))
        return self._state.take_effects()

    @property
    def wake_at(self) -> float:
        """When, on the monotonic clock, the core wants a Woke."""
        state = self._state
        return min(
            self._beat_at,
            self._isolated_at,
            state.hearing.wake_at(),
            state.dialling.wake_at(),
            self._doorway.wake_at(),
            self._row_sync.wake_at(),
            self._cast_sync.wake_at(),
            self._probes.wake_at(),
            self._upkeep.wake_at(),
            self.world.wake_at(),
        )

    # -- reading

    def view(self, now: Now) -> NodeView:
        """How the node itself stands."""
        return node_view(self._state, self.isolated, now)

    def peers(self, now: Now) -> list[PeerView]:
        """Every member as this node sees it, sorted by name."""
        return peer_views(self._state, self._probes, now)

    @property
    def state(self) -> FabricState:
        """The machines, for drivers and checkers to read."""
        return self._state

    # -- time

    def _woke(self, _: Woke, now: Now) -> None:
        state = self._state
        probes, silent = state.hearing.tick(now.mono)
        for peer in probes:
            self._probes.send(peer, now)
        for peer in silent:
            self._fell_silent(peer, now)
        self._doorway.repeat(now)
        self._probes.tick(now)
        self._cast_sync.tick(now)
        self._upkeep.tick(now)
        self.world.tick(now)
        if now.mono >= self._beat_at:
            self._beat(now)
        if now.mono >= self._isolated_at:
            self._isolated_at = float("inf")
            self._grace_over = state.paths_changed = True
        if state.membership.has_doubts(now.mono) and not state.paths_changed:
            self._reassess(now, repath=False)

    def _beat(self, now: Now) -> None:
        state = self._state
        beat_s = state.config.hearing.beat_s
        self._beat_at = now.mono + beat_s * state.random.uniform(1 - BEAT_JITTER, 1 + BEAT_JITTER)
        if not state.halted:
            state.send_all(self._beat_message(now))

    def _beat_message(self, now: Now, with_row: bool = False) -> Beat:
        state = self._state
        row = state.row if with_row or self._row_sync.is_news(now.mono) else None
        return Beat(row, state.roster.digest, state.rows.digest)

    def _fell_silent(self, peer: NodeId, now: Now) -> None:
        self._state.drop_peer(peer, "silent", now.mono)
        self._forget_link_state(peer)

    def _settle(self, now: Now, is_frame: bool = False) -> None:
        """After every event: states, row, wishes and dials follow from what has changed."""
        state = self._state
        self.world.settle(now)
        wishes_stand = is_frame and not state.paths_changed and state.links.changes == self._links_seen
        if state.halted:
            self._withdraw(now)
        if state.paths_changed and not self._is_ending:  # whom an ending node loses is no news
            state.paths_changed = False
            self._row_sync.refresh(now.mono)
            self._reassess(now)
        if self._row_sync.is_row_due(now.mono):
            self._row_sync.sign(now.mono)
            if not state.halted:
                state.send_all(self._beat_message(now))
        self._row_sync.pass_on(now.mono)
        if wishes_stand:
            return
        self._links_seen = state.links.changes
        self._wanting.refresh(self._upkeep.wanted_steward(now), now, may_trim=not is_frame)
        for attempt in state.dialling.due(state.book.endpoints, now.mono):
            state.dial(attempt, now.mono)

    def _reassess(self, now: Now, repath: bool = True) -> None:
        state = self._state
        for change in state.membership.reassess(now.mono, self._explain, repath):
            state.add(change)
            if change.state == PeerState.LEFT:
                state.book.lost(change.node, Source.MDNS)  # announced again, it is back
            if state.membership.is_here(change.node):
                state.hurry(change.node, now.mono)
        self._tell_isolation(now)

    def _explain(self, peer: NodeId) -> str:
        error = self._state.dialling.last_error(peer)
        return f"; last dial: {error}" if error.startswith(DIAL_FAILURES) else ""

    def _tell_isolation(self, now: Now) -> None:
        state = self._state
        heard = state.hearing.heard()
        if heard:
            self._isolated_at = float("inf")
            self._grace_over = True
            if self.isolated:
                self.isolated = False
                state.add(Reunited(len(heard)))
        elif self._grace_over and not self.isolated and len(state.roster.members()) > 1:
            self.isolated = True
            state.add(Isolated())

    def _withdraw(self, now: Now) -> None:
        """A node that is out of the site keeps no link."""
        state = self._state
        if len(state.links) == 0:
            return
        for peer in state.links.peers():
            state.drop_peer(peer, "halted", now.mono)
        for dialled in state.links.all_dialled():
            state.end_dialled(dialled.link, "halted", now.mono)
            state.hangup(dialled.link)
        state.set_access(now)

    # -- linking

    def _linked(self, peer: NodeId, now: Now) -> None:
        """A greeting is complete on our side."""
        state = self._state
        state.paths_changed = True
        for dialled in state.links.with_peer(peer):
            if dialled.is_up:
                state.dialling.finished(dialled.attempt)
        spare = state.links.spare(peer)
        if spare is not None:
            state.end_dialled(spare, "the other side's dial is kept", now.mono)
            state.hangup(spare)
        state.send(peer, self._beat_message(now, with_row=True))
        self._probes.send(peer, now)
        self.world.exchange.linked(peer, now)

    def _forget_link_state(self, peer: NodeId) -> None:
        self.world.exchange.forget(peer)
        self._cast_sync.forget(peer)
        self._probes.forget(peer)
        self._roster_sync.forget(peer)
        self._row_sync.forget(peer)

    # -- frames

    def _frame_received(self, received: FrameReceived, now: Now) -> None:
        state, sender = self._state, received.sender
        try:
            frame, skipped = decode(received.data)
        except WireError as error:
            state.count(error.reason, sender)
            return
        for _ in range(skipped):
            state.count("message-unknown", sender)
        if received.door:
            self._read_door(received, frame, now)
        elif sender == state.me or not self._is_open(received):
            self._read_early(received, frame, now)
        else:
            self._read_link(received, frame, now)

    def _read_door(self, received: FrameReceived, frame: Frame, now: Now) -> None:
        """The hello topic: open to every certificate holder, for greetings only."""
        for message in frame.messages:
            if isinstance(message, Hello):
                self._doorway.hello(received.sender, message, now)
            elif isinstance(message, Confirm):
                if self._doorway.confirm(received.sender, message, now):
                    self._linked(received.sender, now)
            elif isinstance(message, Refuse) and message.removals:
                self._roster_sync.merge(message.removals, received.sender, now)
            else:
                self._state.count("door-misused", received.sender)

    def _read_early(self, received: FrameReceived, frame: Frame, now: Now) -> None:
        """Before a greeting is complete only its answers count."""
        state, sender = self._state, received.sender
        dialled = state.links.get(received.link)
        for message in frame.messages:
            if isinstance(message, Welcome) and dialled is not None and dialled.peer == sender:
                if self._doorway.welcomed(dialled, message, now):
                    self._linked(sender, now)
            elif isinstance(message, Refuse):
                self._doorway.refused(received.link, sender, message, now)
            else:
                self._stray_frame(received, now)

    def _stray_frame(self, received: FrameReceived, now: Now) -> None:
        """A peer believes in a link that we do not have: have it greet anew."""
        state, sender = self._state, received.sender
        if state.roster.is_removed(sender):
            state.count("frame-from-removed", sender)
            return
        state.count("frame-before-greeting", sender)
        if received.link == HOSTED and sender != state.me:
            self._doorway.refuse(HOSTED, sender, "no-session", "", now)

    def _is_open(self, received: FrameReceived) -> bool:
        if received.link == HOSTED:
            return self._state.links.is_hosted(received.sender)
        dialled = self._state.links.get(received.link)
        return dialled is not None and dialled.is_up and dialled.peer == received.sender

    def _read_link(self, received: FrameReceived, frame: Frame, now: Now) -> None:
        state, sender = self._state, received.sender
        dialled = state.links.get(received.link)
        if frame.messages and isinstance(frame.messages[0], Welcome):
            return  # a repeated welcome
        refusal = state.lanes.refusal(sender, frame)
        if refusal is not None:
            state.count(refusal, sender)
            return
        if dialled is not None:
            self._doorway.heard_from_host(dialled)
        if state.hearing.hear(sender, now.mono):
            state.paths_changed = True
        for message in frame.messages:
            if not self._is_open(received):
                return  # an earlier message of this frame ended the link
            self._readers[type(message)](sender, received.link, message, now)

    def _message_readers(self) -> dict[type[Message], Callable[..., None]]:
        """What to do with each message of a linked peer: (sender, link, message, now)."""
        return {
            Beat: self._read_beat,
            Probe: self._probes.probed,
            ProbeReply: lambda sender, _, message, now: self._probes.replied(sender, message, now),
            Rows: self._read_rows,
            RowsWanted: lambda sender, _, message, __: self._row_sync.wanted(sender, message),
            RosterWanted: lambda sender, _, message, __: self._roster_sync.wanted(sender, message),
            RosterEntries: lambda sender, _, message, now: self._roster_sync.merge(
                message.entries, sender, now
            ),
            Addresses: self._read_addresses,
            Renew: lambda sender, _, message, now: self._upkeep.asked(sender, message, now),
            Renewed: lambda sender, _, message, now: self._upkeep.renewed(sender, message, now),
            RenewRefused: lambda sender, _, message, now: self._upkeep.refused(sender, message, now),
            Bye: self._read_bye,
            Cast: lambda sender, _, message, now: self._cast_sync.take(sender, message, now),
            CastsHeld: lambda sender, _, message, __: self._cast_sync.held(sender, message),
            CastsWanted: lambda sender, _, message, __: self._cast_sync.wanted(sender, message),
            Prune: lambda sender, _, __, ___: self._cast_sync.prune(sender),
            Inquiry: self._exams.inquired,
            Report: lambda sender, _, message, __: self._exams.reported(sender, message),
            **self.world.exchange.readers(),
            Refuse: lambda sender, link, message, now: self._doorway.refused(link, sender, message, now),
            Hello: self._misplaced,
            Welcome: self._misplaced,
            Confirm: self._misplaced,
        }

    def _misplaced(self, sender: NodeId, _: int, __: Message, ___: Now) -> None:
        self._state.count("message-misplaced", sender)

    def _read_beat(self, sender: NodeId, _: int, beat: Beat, now: Now) -> None:
        self._roster_sync.beat(sender, beat, now)
        self._row_sync.beat(sender, beat, now)

    def _read_rows(self, sender: NodeId, _: int, rows: Rows, now: Now) -> None:
        for row in rows.rows:
            self._row_sync.take(row, sender, now)

    def _read_addresses(self, sender: NodeId, _: int, addresses: Addresses, now: Now) -> None:
        state = self._state
        for node, endpoints in addresses.addresses:
            peer = NodeId(node)
            if not state.roster.is_member(peer):
                state.count("address-of-stranger", sender)
                return  # the rest will be heard of again when the rosters are equal
            if peer == state.me:
                continue
            news, writes = state.book.told(peer, endpoints, is_own=peer == sender)
            state.persist(writes)
            if news:
                state.hurry(peer, now.mono)
                if state.is_overlay():
                    state.send_others(sender, Addresses(((peer, tuple(news)),)))

    def _read_bye(self, sender: NodeId, _: int, bye: Bye, now: Now) -> None:
        if bye.reason == "stopping":
            self._state.membership.stopped(sender)
        reason = bye.reason if bye.reason in ("stopping", "leaving", "trimmed") else "other"
        self._state.drop_peer(sender, f"bye: {reason}", now.mono)
        self._forget_link_state(sender)

    # -- the broker

    def _broker_up(self, up: BrokerUp, now: Now) -> None:
        state = self._state
        state.broker_up = True
        if up.endpoints != state.endpoints:
            state.endpoints = up.endpoints
            state.send_all(Addresses(((state.me, up.endpoints),)))
        state.paths_changed = True

    def _broker_down(self, _: BrokerDown, now: Now) -> None:
        """Hosted links are gone; their peers are heard again when they, or we, have dialled anew."""
        state = self._state
        state.broker_up = False
        state.links.unhost_all()
        state.paths_changed = True

    # -- requests

    def _member_admitted(self, admitted: MemberAdmitted, now: Now) -> None:
        self._roster_sync.merge((encode_entry(MemberEntry(admitted.chain, admitted.identity)),), None, now)

    def _removal_requested(self, request: RemovalRequested, now: Now) -> None:
        state, authority = self._state, self._state.keys.authority
        if authority is None or state.halted:
            state.count("removal-not-allowed")
            return
        name = state.roster.name(request.node)
        removal = authority.remove(request.node, name, request.reason, state.clock.mesh_ms(now.wall_ms))
        self._roster_sync.merge((encode_entry(RemovalEntry(removal)),), None, now)

    def _leave_requested(self, _: LeaveRequested, now: Now) -> None:
        state = self._state
        entry = departure(state.keys.identity, state.birth.incarnation)
        self._roster_sync.merge((encode_entry(entry),), None, now)
        state.send_all(Bye("leaving"))
        state.halted = HAS_LEFT
        self._is_ending = True
        state.add(MembershipEnded(state.halted))

    def _stop_requested(self, _: StopRequested, now: Now) -> None:
        self.world.stop()
        self._state.send_all(Bye("stopping"))
        self._state.halted = "this node is stopping"
        self._is_ending = True

    def _renewal_requested(self, _: RenewalRequested, now: Now) -> None:
        self._upkeep.renew_now(now)

    def _certificate_installed(self, installed: CertificateInstalled, now: Now) -> None:
        self._upkeep.installed(installed.chain, now)

    def _persist_resumed(self, _: PersistResumed, __: Now) -> None:
        self._state.is_behind_disk = False

    def _persist_failed(self, failed: PersistFailed, now: Now) -> None:
        self._state.is_behind_disk = True
        self._state.count(f"persist-failed-{failed.reason}")


__all__ = ["Birth", "CoreConfig", "Keys", "NodeCore", "Row"]
