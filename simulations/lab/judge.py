"""The judge: compares what the nodes say with what the lab has done, and keeps the record.

Pure. It alone knows which pairs are cut off from each other; anybody who is called unreachable without that is
called so falsely.
"""

from collections.abc import Iterable

import msgspec

from simulations.lab.picture import UNREACHABLE, Pair, PeerView, View

CHANGES_MAX = 2000  # some hundred of a scenario with 30 nodes; a mesh gone mad must not fill the report
VIOLATIONS_MAX = 100
_NOTHING = PeerView("", "", path="")


class Violation(msgspec.Struct, frozen=True):
    """An invariant of the design that did not hold, and how that showed."""

    invariant: str
    detail: str


class Change(msgspec.Struct, frozen=True):
    """One observer's verdict on one peer changed, or only the path by which it reaches it."""

    at_s: float
    observer: str
    peer: str
    was: str  # empty: nothing was known before
    became: str
    path_was: str
    path: str
    why: str


class Judge:
    """Fed every view in order. `started_at` is the zero of the times in its record."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._said: dict[Pair, PeerView] = {}
        self._incarnations: dict[str, int] = {}
        self._restarted: set[str] = set()  # those whose next incarnation has not been seen yet
        self._apart: frozenset[Pair] = frozenset()
        self.changes: list[Change] = []
        self.violations: list[Violation] = []
        self.false_unreachable = 0

    def apart(self, pairs: Iterable[Pair]) -> None:
        """From now on these pairs, and only these, are really cut off from each other."""
        self._apart = frozenset(pairs)

    def restarted(self, node: str) -> None:
        """The lab has ended this node: it may come back knowing nothing, under a higher incarnation."""
        self._said = {pair: said for pair, said in self._said.items() if pair[0] != node}
        if node in self._incarnations:
            self._restarted.add(node)

    def see(self, view: View) -> None:
        self._see_incarnation(view)
        for peer in view.peers.values():
            pair = (view.observer, peer.name)
            was = self._said.get(pair, _NOTHING)
            self._said[pair] = peer
            if (peer.state, peer.path) != (was.state, was.path):
                at_s = self.clock(view.answered_at)
                self._record(Change(at_s, *pair, was.state, peer.state, was.path, peer.path, peer.why))

    def violate(self, invariant: str, detail: str) -> None:
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(invariant, detail))

    def clock(self, at: float) -> float:
        return round(at - self._started_at, 3)

    def _record(self, change: Change) -> None:
        if len(self.changes) < CHANGES_MAX:
            self.changes.append(change)
        # a node that has just started calls everybody unreachable until it hears them: that is no change
        is_verdict = change.became == UNREACHABLE and change.was not in ("", UNREACHABLE)
        if is_verdict and (change.observer, change.peer) not in self._apart:
            self.false_unreachable += 1
            self.violate(
                "L3",
                f"{change.observer} called {change.peer} unreachable at {change.at_s} s, "
                f"and nothing kept them apart: {change.why}",
            )

    def _see_incarnation(self, view: View) -> None:
        if view.incarnation is None:
            return
        node, found = view.observer, view.incarnation
        known = self._incarnations.get(node, found)
        had_to = "rise above" if node in self._restarted else "stay"
        is_right = found > known if node in self._restarted else found == known
        self._incarnations[node] = found
        self._restarted.discard(node)
        if not is_right:
            self.violate("S5", f"{node} has incarnation {found}; it had to {had_to} {known}")
