"""Pacing: how often one kind of repair may be asked of one peer."""

from mesh.ids import NodeId


class Pacing:
    """At once the first time, then with doubling pauses until the difference is settled."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._next: dict[
            NodeId, tuple[float, float]
        ] = {}  # when again, and the pause after that; per linked peer

    def may(self, peer: NodeId, now: float) -> bool:
        next_at, pause_s = self._next.get(peer, (float("-inf"), self._first_s))
        if now < next_at:
            return False
        self._next[peer] = (now + pause_s, min(pause_s * 2, self._max_s))
        return True

    def settled(self, peer: NodeId) -> None:
        """The difference is gone, or repair gets on with it: the next question may be asked at once."""
        self._next.pop(peer, None)
