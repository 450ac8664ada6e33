"""The picture: what every node says about every other, and the questions that scenarios put to it.

Pure. A view counts only when it was asked for after the moment in question: what a node said before a cut says
nothing about the cut.
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

Pair = tuple[str, str]
"""An observer and the peer that it speaks of."""

ALIVE, UNREACHABLE = "alive", "unreachable"


class PeerView(msgspec.Struct, frozen=True):
    """One peer, in the words of one observer."""

    name: str
    state: str
    why: str = ""
    linked: bool = False
    path: str = "none"
    link: str = "none"  # "hosted" by the observer's broker, or "dialled"
    rtt_ms: float | None = None


class View(NamedTuple):
    """One node's answer: when it was asked, when it answered, and what it said."""

    observer: str
    asked_at: float
    answered_at: float
    isolated: bool
    incarnation: int | None
    peers: dict[str, PeerView]


class Picture:
    """The newest view of each node that runs."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self.nodes = tuple(nodes)
        self.views: dict[str, View] = {}

    def see(self, view: View) -> None:
        self.views[view.observer] = view

    def forget(self, node: str) -> None:
        """This node has stopped: what it said last is no view any more."""
        self.views.pop(node, None)

    def says(self, pair: Pair, since: float) -> PeerView | None:
        """What an observer says of a peer, if it was asked since."""
        view = self.views.get(pair[0])
        return view.peers.get(pair[1]) if view is not None and view.asked_at >= since else None

    def lacking(self, pairs: Iterable[Pair], since: float, holds: Callable[[PeerView], bool]) -> list[Pair]:
        """The pairs for which it does not hold, or is not known yet."""
        return [pair for pair in pairs if (said := self.says(pair, since)) is None or not holds(said)]

    def strangers(self, since: float) -> list[Pair]:
        """Peers that somebody lists and that do not exist."""
        return [
            (view.observer, name)
            for view in self.views.values()
            if view.asked_at >= since
            for name in view.peers
            if name not in self.nodes
        ]

    def describe(self, pairs: Collection[Pair]) -> str:
        """These pairs as they are now, for a person to read."""
        shown = [self._describe(pair) for pair in list(pairs)[:_PAIRS_SHOWN]]
        more = len(pairs) - len(shown)
        return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)

    def _describe(self, pair: Pair) -> str:
        said = self.says(pair, float("-inf"))
        if said is None:
            return f"{pair[0]} says nothing of {pair[1]}"
        linked = "linked" if said.linked else "not linked"
        return f"{pair[0]} calls {pair[1]} {said.state}, {linked}, path {said.path} ({said.why})"


_PAIRS_SHOWN = 4


def is_whole(said: PeerView) -> bool:
    """Alive and linked: nothing is left to mend between these two."""
    return said.state == ALIVE and said.linked


def is_whole_and_direct(said: PeerView) -> bool:
    return is_whole(said) and said.path == "direct"


def is_unreachable(said: PeerView) -> bool:
    return said.state == UNREACHABLE


def is_detour(said: PeerView) -> bool:
    """Reached through somebody else."""
    return said.path.startswith("via ")


def pairs_among(nodes: Iterable[str]) -> list[Pair]:
    """Everybody with everybody else, both ways."""
    names = list(nodes)
    return [(one, other) for one in names for other in names if one != other]


def pairs_between(some: Iterable[str], others: Iterable[str]) -> list[Pair]:
    """Each of `some` with each of `others`, both ways."""
    right = list(others)
    return [pair for one in some for other in right for pair in ((one, other), (other, one))]
