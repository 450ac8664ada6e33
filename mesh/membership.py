"""Membership: the state of every member as this node sees it, and why.

Broker dead, node dead and path dead are told apart: a node that is heard by anybody we can reach is alive,
whatever has become of its broker or of the path between it and us; only when no reachable observer hears it is
it unreachable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mesh.events import PeerChanged
from mesh.hearing import Hearing
from mesh.ids import NodeId
from mesh.roster import Roster
from mesh.rows import Rows


class PeerState(StrEnum):
    ALIVE = "alive"
    SUSPECT = "suspect"
    BROKER_DOWN = "broker-down"
    UNREACHABLE = "unreachable"
    LEFT = "left"
    REMOVED = "removed"


SETTLE_S = 1.0  # after a crash all observers give up within about this: no peer is called alive in between

HERE = (PeerState.ALIVE, PeerState.SUSPECT, PeerState.BROKER_DOWN)
"""The states of a node that takes part."""


@dataclass(slots=True)
class Standing:
    """How a peer stands: its state, since when, why, and through whom it is reached."""

    state: PeerState
    since: float
    why: str
    via: NodeId | None = None  # itself when heard directly
    was_here: bool = False
    stopped: bool = False  # it told us that it was stopping
    incarnation: int = -1  # the highest proven by a greeting


class Membership:
    """Derives standings from what is heard, the rows, and the roster."""

    def __init__(self, me: NodeId, roster: Roster, hearing: Hearing, rows: Rows) -> None:
        self._me = me
        self._roster = roster
        self._hearing = hearing
        self._rows = rows
        self._standings: dict[NodeId, Standing] = {}
        self._paths: dict[NodeId, NodeId] = {}
        self._here: list[NodeId] = []

    def standing(self, node: NodeId) -> Standing | None:
        return self._standings.get(node)

    def standings(self) -> dict[NodeId, Standing]:
        return self._standings

    def here(self) -> list[NodeId]:
        """Peers that take part, sorted."""
        return self._here

    def is_here(self, node: NodeId) -> bool:
        standing = self._standings.get(node)
        return standing is not None and standing.state in HERE

    def greeted(self, node: NodeId, incarnation: int, now: float) -> None:
        """A fresh greeting has proven this incarnation."""
        standing = self._standings.get(node) or self._standings.setdefault(node, _unheard(now))
        standing.incarnation = max(standing.incarnation, incarnation)
        standing.stopped = False

    def stopped(self, node: NodeId) -> None:
        standing = self._standings.get(node)
        if standing is not None:
            standing.stopped = True

    def reassess(
        self, now: float, explain: Callable[[NodeId], str], repath: bool = True
    ) -> list[PeerChanged]:
        """Work out every member's state anew; what has changed."""
        if repath:
            self._paths = self._rows.paths(self._hearing.heard())
        changes = []
        for node in [*self._roster.members(), *self._roster.removed()]:
            if node == self._me:
                continue
            standing = self._standings.get(node) or self._standings.setdefault(node, _unheard(now))
            change = self._assess(node, standing, now, explain)
            if change is not None:
                changes.append(change)
        for node in [node for node in self._standings if not self._is_known(node)]:
            del self._standings[node]  # its certificate has become void: it is nobody here
        self._here = [node for node in sorted(self._standings) if self._standings[node].state in HERE]
        return changes

    def _is_known(self, node: NodeId) -> bool:
        return self._roster.is_member(node) or self._roster.is_removed(node)

    def has_doubts(self, now: float) -> bool:
        """Whether a state may change by the mere passing of time."""
        return any(
            standing.state is PeerState.SUSPECT or self._hearing.is_suspect(node, now)
            for node, standing in self._standings.items()
        )

    def _assess(
        self, node: NodeId, standing: Standing, now: float, explain: Callable[[NodeId], str]
    ) -> PeerChanged | None:
        state, why = self._judge(node, standing, now, explain)
        standing.via = self._paths.get(node)
        standing.why = why
        if state is standing.state:
            return None
        standing.state = state
        standing.since = now
        standing.was_here = standing.was_here or state in HERE
        return PeerChanged(node, self._roster.name(node), state.value, why)

    def _judge(
        self, node: NodeId, standing: Standing, now: float, explain: Callable[[NodeId], str]
    ) -> tuple[PeerState, str]:
        if self._roster.is_removed(node):
            removal = self._roster.removal(node)
            return PeerState.REMOVED, f"removed: {removal.reason}" if removal else "removed"
        row = self._rows.get(node)
        incarnation = max(standing.incarnation, row.incarnation if row else -1)
        left_at = self._roster.left_at(node)
        may_be_back = incarnation < 0 and not self._paths  # before we hear anybody, old news is no news
        if left_at >= max(incarnation, 0) and not may_be_back:
            return PeerState.LEFT, "it said goodbye"
        via = self._paths.get(node)
        if via is None:
            return PeerState.UNREACHABLE, _absence(standing, explain(node))
        if via == node and self._hearing.is_suspect(node, now):
            return PeerState.SUSPECT, "silent; probes are unanswered so far"
        if standing.state is PeerState.SUSPECT and via != node and now - standing.since < SETTLE_S:
            return PeerState.SUSPECT, f"silent to us; {self._roster.name(via)} still hears it"
        how = "heard directly" if via == node else f"no direct path; heard through {self._roster.name(via)}"
        if row is not None and not row.broker_up:
            return PeerState.BROKER_DOWN, f"its broker is down; {how}"
        return PeerState.ALIVE, how


def _unheard(now: float) -> Standing:
    return Standing(PeerState.UNREACHABLE, now, "not heard since this node started")


def _absence(standing: Standing, explanation: str) -> str:
    if standing.stopped:
        return "it was stopped"
    if not standing.was_here:
        return f"not heard since this node started{explanation}"
    return f"nobody in reach hears it{explanation}"
