"""Live frames: what this node's sources offer becomes one record, written no more often than is worth it."""

from crdt_state.item import Change
from crdt_state.kinds.frame_writer import FrameWriter
from crdt_state.kinds.values import Quality
from crdt_state.record import RecordError, Register
from crdt_state.state import WorldState
from mesh.events import TagsOffered
from mesh.now import Now

_QUALITIES = {quality.value: quality for quality in Quality}


class LiveFrames:
    """Owns this node's own frame. It begins empty: what an earlier run has shown is superseded with the first value."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._writer = FrameWriter()

    def offered(self, offered: TagsOffered, now: Now) -> None:
        """Values of tags: kept if there is room, written when their deadbands and intervals say so."""
        refused = self._writer.refused
        for tag, value, quality, source_ms in offered.values:
            self._writer.offer(tag, value, _QUALITIES.get(quality, Quality.UNCERTAIN), source_ms, now.mono)
        for _ in range(self._writer.refused - refused):
            self._state.fabric.count("tag-refused")
        for tag in offered.gone:
            self._writer.forget(tag)
        self.tick(now)

    def tick(self, now: Now) -> None:
        """Write the frame if it is due."""
        fabric = self._state.fabric
        if fabric.halted or not self._writer.due(now.mono):
            return
        change = Change(Register("frame", fabric.me), self._writer.take(now.mono))
        try:
            self._state.write([change], now)
        except RecordError as error:
            fabric.count(error.reason)

    def wake_at(self) -> float:
        due_at = self._writer.due_at()
        return float("inf") if due_at is None or self._state.fabric.halted else due_at
