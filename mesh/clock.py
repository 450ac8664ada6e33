"""What this node may believe of the date: its own clock, a persisted floor, and its peers' clocks."""

from mesh.ids import NodeId

BUILT_MS = 1_795_219_200_000  # this release cannot be running before it was written
FAR_OFF_MS = 300_000  # five minutes: certificates are backdated by one, logs stay readable
PEERS_MAX = 64  # enough for a median
JUDGES_MIN = 2  # two clocks: neither outvotes the other
FLOOR_STEP_MS = 3_600_000  # the floor is written again when it has risen by this much


class ClockGuard:
    """Says whether our clock can be trusted and what the mesh's time is."""

    def __init__(self, floor_ms: int) -> None:
        self.floor_ms = max(floor_ms, BUILT_MS)
        self._offsets: dict[NodeId, int] = {}

    def heard(self, node: NodeId, offset_ms: int) -> None:
        """A peer's clock was `offset_ms` ahead of ours when we asked it."""
        self._offsets.pop(node, None)
        if len(self._offsets) >= PEERS_MAX:
            del self._offsets[next(iter(self._offsets))]
        self._offsets[node] = offset_ms

    def forget(self, node: NodeId) -> None:
        self._offsets.pop(node, None)

    @property
    def judges(self) -> int:
        """How many peers' clocks are known."""
        return len(self._offsets)

    def offset_ms(self) -> int:
        """How far our clock is behind the middle of everybody's, ours included."""
        ordered = sorted([0, *self._offsets.values()])
        middle = (ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2])
        return min(middle, key=abs)  # of two clocks neither outvotes the other: stay with our own

    def mesh_ms(self, wall_ms: int) -> int:
        """The date to judge others by: ours, or the mesh's when ours is far off it, never below the floor."""
        offset = self.offset_ms()
        return max(wall_ms + (offset if abs(offset) > FAR_OFF_MS else 0), self.floor_ms)

    def doubt(self, wall_ms: int) -> str | None:
        """Why our clock must not date certificates, or None."""
        if wall_ms < self.floor_ms - FAR_OFF_MS:
            return "the clock is before a time that this node has already seen signed"
        if abs(self.offset_ms()) > FAR_OFF_MS:
            return "the clock is far off most peers' clocks"
        return None

    def is_unjudged(self) -> bool:
        """Whether too few peers' clocks are known to tell a certificate from the future from a clock of the past."""
        return len(self._offsets) < JUDGES_MIN

    def is_believed(self, signed_ms: int, wall_ms: int) -> bool:
        """Whether most clocks, ours included, have come as far as a date that somebody else has signed.

        Else one steward whose clock runs years ahead would take the whole site's floor with it.
        """
        ordered = sorted([0, *self._offsets.values()])
        return signed_ms <= wall_ms + ordered[len(ordered) // 2] + FAR_OFF_MS

    def raise_floor(self, signed_ms: int) -> bool:
        """This time has surely come; whether the floor has risen enough to be written down."""
        if signed_ms < self.floor_ms + FLOOR_STEP_MS:
            return False
        self.floor_ms = signed_ms
        return True
