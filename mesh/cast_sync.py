"""Spreading casts: eager along links, lazily repaired, each delivered once."""

import msgspec

from mesh.casts import HOPS_MAX, Casts
from mesh.events import CastDelivered, CastRequested, Traffic
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import FabricState
from mesh.wire import Cast, CastsHeld, CastsWanted, Prune

TELL_EVERY_S = 1.0  # what we hold, to one random peer, while we hold anything
GIVE_BYTES_MAX = 120_000  # per answer, under the frame limit
PAYLOAD_BYTES_MAX = 100_000


class CastSync:
    """Owns the spreading of casts."""

    def __init__(self, state: FabricState) -> None:
        self._state = state
        self._casts: Casts = state.casts
        self._lazy: dict[NodeId, None] = {}  # linked peers that had our copies already; told, not sent
        self._tell_at = float("inf")

    def request(self, request: CastRequested, now: Now) -> None:
        """Cast something of our own."""
        state = self._state
        if state.halted or len(request.payload) > PAYLOAD_BYTES_MAX:
            state.count("cast-halted" if state.halted else "cast-oversized")
            return
        cast = self._casts.make(request.topic, request.payload, now.mono)
        state.send_all(cast, traffic=request.traffic)
        self._tell_soon(now)

    def take(self, sender: NodeId, cast: Cast, now: Now) -> None:
        state, origin = self._state, NodeId(cast.origin)
        identity = state.roster.identity(origin)
        if identity is None or not state.roster.is_member(origin):
            state.count("cast-stranger", sender)
            return
        if len(cast.payload) > PAYLOAD_BYTES_MAX:
            state.count("cast-oversized", sender)  # with our own frame around it, it might not fit any more
            return
        refusal = self._casts.take(cast, identity, origin == sender, now.mono)
        if refusal == "cast-duplicate" and state.is_overlay() and cast.hops:
            state.send(sender, Prune())
        if refusal is not None:
            state.count(refusal, sender)
            return
        state.add(CastDelivered(origin, cast.incarnation, cast.sequence, cast.topic, cast.payload))
        self._tell_soon(now)
        if state.is_overlay() and cast.hops < HOPS_MAX:
            if self._casts.prove(cast):
                self._pass_on(sender, msgspec.structs.replace(cast, hops=cast.hops + 1))
            self._count_forgers()

    def prune(self, sender: NodeId) -> None:
        """A quick neighbour serves this peer: from us it only needs to hear what we hold."""
        if self._state.is_overlay():
            self._lazy[sender] = None

    def held(self, sender: NodeId, held: CastsHeld) -> None:
        wanted = self._casts.lacking(held.ranges)
        if wanted:
            self._state.send(sender, CastsWanted(wanted))

    def wanted(self, sender: NodeId, wanted: CastsWanted) -> None:
        """Repair, and take the repaired link back into the eager ones."""
        self._lazy.pop(sender, None)
        for cast in self._casts.give(wanted.ranges, GIVE_BYTES_MAX):
            hops = cast.hops if cast.origin == self._state.me else min(cast.hops + 1, HOPS_MAX)
            self._state.send(sender, msgspec.structs.replace(cast, hops=hops), traffic=Traffic.STATE)
        self._count_forgers()

    def tick(self, now: Now) -> None:
        """Tell one peer what we hold."""
        if now.mono < self._tell_at:
            return
        self._tell_at = float("inf")
        held = self._casts.held(now.mono)
        self._count_forgers()
        peers = self._state.links.peers()
        if self._casts.is_idle:
            return
        self._tell_at = now.mono + TELL_EVERY_S
        if peers and held:
            peer = peers[int(self._state.random.random() * len(peers))]
            self._state.send(peer, CastsHeld(held[:1024]))

    def wake_at(self) -> float:
        return self._tell_at

    def forget(self, peer: NodeId) -> None:
        self._lazy.pop(peer, None)

    def _count_forgers(self) -> None:
        """A member signs what it casts wrongly: delivered here, as its own link is proof, but passed on to nobody."""
        for origin in self._casts.take_forgers():
            self._state.count("cast-forged", origin)

    def _tell_soon(self, now: Now) -> None:
        self._tell_at = min(self._tell_at, now.mono + TELL_EVERY_S)

    def _pass_on(self, source: NodeId, cast: Cast) -> None:
        for peer, link in self._state.links.routes():
            if peer not in (source, cast.origin) and peer not in self._lazy:
                self._state.send_over(link, peer, cast, traffic=Traffic.STATE)
