"""What goes into a node's next live frame, and when: a deadband and a rate limit for each tag.

A change of quality passes at once. A value beyond the deadband goes out as soon as the tag's interval is over, the
latest one only. A value within the deadband goes out once the tag has shown another for `refresh_s`: nothing that was
offered stays unsent for ever. The caller keeps time: `mono` is its monotonic clock, in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crdt_state.kinds.values import Quality, Value, is_same, settled
from crdt_state.record import RECORD_BYTES_MAX, Body

TAGS_MAX = 1000  # what a gateway reads; a frame of so many is half of what a record may be
TAG_CHARS_MAX = 120
TEXT_CHARS_MAX = 200  # of a value that is text: a state or a recipe's name, no document
FRAME_BYTES_MAX = RECORD_BYTES_MAX - 16_384  # the rest is the record's: its names, signature, up to 256 dots
_ENTRY_BYTES = 32  # of a tag in the body beside its name and text: headers, a number, the quality, the time


@dataclass(frozen=True, slots=True)
class TagSettings:
    """What is worth telling of a tag."""

    deadband: float = 0.0  # a change up to this, in the tag's unit, is not worth a write ...
    deadband_percent: float = 0.0  # ... or up to this part of the span; the larger of the two counts
    span: float = 0.0
    interval_s: float = 1.0  # at most one change in so long
    refresh_s: float = 60.0  # what is shown is at most so much older than what was offered

    @property
    def band(self) -> float:
        return max(self.deadband, self.deadband_percent * self.span / 100)


_Entry = tuple[Value, Quality, int]  # value, quality, source_ms


@dataclass(slots=True)
class _Tag:
    settings: TagSettings
    shown: _Entry | None = None
    shown_at: float = 0.0
    waiting: _Entry | None = None
    due_at: float = 0.0
    bytes_held: int = 0


class FrameWriter:
    """The tags of one node."""

    def __init__(
        self,
        defaults: TagSettings | None = None,
        per_tag: Mapping[str, TagSettings] | None = None,
        tags_max: int = TAGS_MAX,
    ) -> None:
        self._defaults = defaults or TagSettings()
        self._per_tag = dict(per_tag or {})
        self._tags_max = tags_max
        self._tags: dict[str, _Tag] = {}
        self._bytes_held = 0
        self._is_forgetful = False
        self.refused = 0  # offers for which there was no room

    def offer(self, tag: str, value: Value, quality: Quality, source_ms: int, now_mono: float) -> bool:
        """Note a tag's latest value. True when it is to go out now."""
        entry = (*_told(value, Quality(quality)), max(0, source_ms))
        state = self._admitted(tag, entry)
        if state is None:
            self.refused += 1
            return False
        state.waiting = entry
        state.due_at = _due_at(state, entry, now_mono)
        return state.due_at <= now_mono

    def due(self, now_mono: float) -> bool:
        """Whether a frame is to be written now."""
        due_at = self.due_at()
        return due_at is not None and due_at <= now_mono

    def due_at(self) -> float | None:
        """When the next frame is to be written, if nothing else is offered; None: not at all."""
        if self._is_forgetful:
            return 0.0
        return min((state.due_at for state in self._tags.values() if state.waiting is not None), default=None)

    def take(self, now_mono: float) -> Body:
        """The frame's body: every tag that was ever shown, with the values that are to go out by now."""
        for state in self._tags.values():
            if state.waiting is not None and state.due_at <= now_mono:
                state.shown, state.waiting, state.shown_at = state.waiting, None, now_mono
        self._is_forgetful = False
        return {
            "t": {
                tag: [state.shown[0], state.shown[1].value, state.shown[2]]
                for tag, state in self._tags.items()
                if state.shown is not None
            }
        }

    def forget(self, tag: str) -> None:
        """The tag is gone: the next frame, due now if the tag was shown, is without it."""
        state = self._tags.pop(tag, None)
        if state is not None:
            self._bytes_held -= state.bytes_held
            self._is_forgetful |= state.shown is not None

    def _admitted(self, tag: str, entry: _Entry) -> _Tag | None:
        """The tag's state; None when there is no room for the tag or its value."""
        known = self._tags.get(tag)
        if known is None and (len(self._tags) >= self._tags_max or not _is_tag(tag)):
            return None
        state = known or _Tag(self._per_tag.get(tag, self._defaults))
        held = _bytes_of(tag, entry)
        if state.shown is not None:
            held = max(held, _bytes_of(tag, state.shown))  # either may be in the next frame
        if self._bytes_held - state.bytes_held + held > FRAME_BYTES_MAX:
            return None
        self._bytes_held += held - state.bytes_held
        state.bytes_held = held
        self._tags[tag] = state
        return state


def _is_tag(tag: str) -> bool:
    return 0 < len(tag) <= TAG_CHARS_MAX and tag.isprintable()  # half a surrogate pair could not travel


def _told(value: Value, quality: Quality) -> tuple[Value, Quality]:
    """The pair as it can travel: no NaN, no endless text, no whole number beyond 64 bits."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()[:TEXT_CHARS_MAX], quality
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return settled(_as_float(value), quality)
    return settled(value, quality)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _due_at(state: _Tag, entry: _Entry, now_mono: float) -> float:
    if state.shown is None or state.shown[1] is not entry[1]:
        return now_mono
    changed = _is_beyond(state.shown[0], entry[0], state.settings.band)
    wait_s = state.settings.interval_s if changed else state.settings.refresh_s
    return max(now_mono, state.shown_at + wait_s)


def _is_beyond(old: Value, new: Value, band: float) -> bool:
    if _is_number(old) and _is_number(new):
        assert isinstance(old, int | float) and isinstance(new, int | float)
        return abs(new - old) > band
    return not is_same(old, new)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bytes_of(tag: str, entry: _Entry) -> int:
    return _ENTRY_BYTES + len(tag.encode()) + (len(entry[0].encode()) if isinstance(entry[0], str) else 0)
