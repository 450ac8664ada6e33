"""Live frames: what this node's sources offer becomes one record, written no more often than is worth it."""

from crdt_state.item import Change
from crdt_state.kinds.frame import view as frame_view
from crdt_state.kinds.frame_writer import FrameWriter
from crdt_state.kinds.values import Quality
from crdt_state.record import RecordError, Register
from crdt_state.state import WorldState
from mesh.events import TagsOffered, TagsTaken
from mesh.now import Now

_QUALITIES = {quality.value: quality for quality in Quality}


class LiveFrames:
    """Owns this node's own frame. What an earlier run has shown is stale until it is told anew."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._writer = FrameWriter()

    def start(self, now: Now) -> None:
        """Begin with the tags of the earlier run."""
        item = self._state.view.item("frame", self._state.fabric.me)
        if item is not None:
            for tag, old in frame_view(item, 0).tags.items():
                self._writer.offer(tag, old.value, Quality.STALE, old.source_ms, now.mono)

    def offered(self, offered: TagsOffered, now: Now) -> None:
        """Values of tags: kept if there is room, written when their deadbands and intervals say so."""
        for tag in offered.gone:
            self._writer.forget(tag)
        refused: list[str] = []
        for tag, value, quality, source_ms in offered.values:
            before = self._writer.refused
            self._writer.offer(tag, value, _QUALITIES.get(quality, Quality.UNCERTAIN), source_ms, now.mono)
            if self._writer.refused != before:
                refused.append(tag)
                self._state.fabric.count("tag-refused")
        if offered.token:
            self._state.fabric.add(TagsTaken(offered.token, tuple(refused)))
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
