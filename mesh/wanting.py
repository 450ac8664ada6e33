"""Whom this node wants a link with, from who is here, who is missing, and what it has heard of."""

from mesh.events import Source
from mesh.ids import NodeId
from mesh.now import Now
from mesh.overlay import neighbours
from mesh.state import FabricState
from mesh.wire import Bye

EXPLORE_MAX = 4  # missing peers tried at a time in an overlay
EXPLORE_TURN_S = 2.0
PRESUMED_S = 6.0  # after a start, members not heard yet are presumed present
TRIM_EVERY_S = 1.0
TRIM_AFTER_S = 5.0  # views of who is here may differ for a moment


class Wanting:
    """Keeps the dial schedule equal to what is wanted, and trims an overlay's superfluous links."""

    def __init__(self, state: FabricState) -> None:
        self._state = state
        self._started: float | None = None
        self._trim_at = 0.0
        self._unwanted: dict[NodeId, float] = {}
        self._explored: list[NodeId] = []
        self._explore_at = float("-inf")
        self._strange: list[NodeId] = []
        self._strange_at = float("-inf")
        self._others: tuple[NodeId, ...] = ()
        self._near: set[NodeId] = set()

    def refresh(self, stewards: list[NodeId], now: Now, may_trim: bool) -> None:
        """Say whom to dial. `may_trim`: the time has come by itself; no message ever makes us hang up."""
        state = self._state
        if self._started is None:
            self._started = now.mono
        if state.halted:
            state.dialling.want((), state.links.is_linked, now.mono)
            state.dialling.want_strays((), now.mono)
            return
        wanted = self._wanted(stewards, now)
        state.dialling.want(wanted, state.links.is_linked, now.mono)
        state.dialling.want_strays(state.book.strays(), now.mono)
        if may_trim and state.is_overlay():
            self._trim(wanted, now)

    def _wanted(self, stewards: list[NodeId], now: Now) -> list[NodeId]:
        state = self._state
        standings = state.membership.standings().items()
        left = {
            node for node, each in standings if each.state.value == "left" and not self._is_announced(node)
        }
        members = [node for node in state.roster.members() if node != state.me and node not in left]
        strangers = self._strangers(now)
        here = state.membership.here()
        missing = [node for node in members if not state.membership.is_here(node)]
        presumed = members if now.mono - (self._started or 0.0) < PRESUMED_S else here
        if len(presumed) + 1 <= state.config.full_mesh_max and not state.is_overlay():
            return (
                [*members, *strangers] if len(members) < state.config.full_mesh_max * 2 else [*here, *missing]
            )
        near = self._neighbours(tuple(presumed))
        return [*sorted({*near, *stewards}), *self._exploring(missing, now), *strangers]

    def _neighbours(self, others: tuple[NodeId, ...]) -> set[NodeId]:
        if others != self._others:
            config, me = self._state.config, self._state.me
            self._others = others
            self._near = neighbours(me, [*others, me], config.full_mesh_max, config.overlay_degree)
        return self._near

    def _strangers(self, now: Now) -> list[NodeId]:
        """A few of those that are announced, in turn: anybody can announce thousands that are not there."""
        if now.mono >= self._strange_at:
            self._strange_at = now.mono + EXPLORE_TURN_S
            pool = [node for node in self._state.book.nodes() if self._is_stranger(node)]
            self._state.random.shuffle(pool)
            self._strange = pool[:EXPLORE_MAX]
        return [node for node in self._strange if self._is_stranger(node)]

    def _is_stranger(self, node: NodeId) -> bool:
        """Somebody of our site, by mDNS or a seed, whom the roster does not know: it will show its certificate."""
        state = self._state
        known = node == state.me or state.roster.is_member(node) or state.roster.is_removed(node)
        return not known and (self._is_announced(node) or self._state.book.seen_by(node, Source.SEED))

    def _is_announced(self, node: NodeId) -> bool:
        return any(self._state.book.seen_by(node, each) for each in (Source.MDNS, Source.SHARED))

    def _exploring(self, missing: list[NodeId], now: Now) -> list[NodeId]:
        """A few of the missing, in turn: this is how a large site heals."""
        if now.mono >= self._explore_at:
            self._explore_at = now.mono + EXPLORE_TURN_S
            pool = list(missing)
            self._state.random.shuffle(pool)
            self._explored = pool[:EXPLORE_MAX]
        here = self._state.membership
        return [node for node in self._explored if not here.is_here(node)]

    def _trim(self, wanted: list[NodeId], now: Now) -> None:
        if now.mono < self._trim_at:
            return
        self._trim_at = now.mono + TRIM_EVERY_S
        state, keep = self._state, set(wanted)
        linked = [peer for peer in state.links.peers() if peer not in keep]
        self._unwanted = {peer: self._unwanted.get(peer, now.mono) for peer in linked}
        for peer, since in self._unwanted.items():
            dialled = [each for each in state.links.with_peer(peer) if each.is_up]
            if dialled and now.mono - since >= TRIM_AFTER_S:
                state.send(peer, Bye("trimmed"))
                state.drop_peer(peer, "trimmed", now.mono)
                return  # one a second: gently
