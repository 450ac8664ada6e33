"""Who is on a shared fabric: there is no mDNS through a broker, so everybody says now and then that they are here."""

from collections.abc import Collection

from mesh.ids import NodeId
from mesh.wire import PEERS_MAX

PERIOD_S_MIN, PERIOD_S_MAX = 2.0, 10.0
HEARD_PER_S_MAX = 25.0  # of everybody's beacons together, while the longest period allows it
FORGET_AFTER = 4  # periods without a beacon


class Presence:
    """Who was heard lately, and how often to be heard."""

    def __init__(self) -> None:
        self._seen: dict[NodeId, float] = {}

    def saw(self, node: NodeId, now: float) -> None:
        if node in self._seen or len(self._seen) < PEERS_MAX:
            self._seen[node] = now

    def period_s(self) -> float:
        """Until the next beacon of ours: the more there are, the longer."""
        return min(max(PERIOD_S_MIN, len(self._seen) / HEARD_PER_S_MAX), PERIOD_S_MAX)

    def forget_silent(self, now: float) -> None:
        patience_s = FORGET_AFTER * self.period_s()
        self._seen = {node: at for node, at in self._seen.items() if now - at <= patience_s}

    def is_within(self, nodes: Collection[NodeId]) -> bool:
        """Whether everybody who is here is among these."""
        return len(self._seen) <= len(nodes) and self._seen.keys() <= set(nodes)
