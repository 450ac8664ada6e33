"""Redating: what this node wrote while its clock was far ahead is written again, dated by the mesh's time."""

from crdt_state.item import Change
from crdt_state.record import Record, RecordError
from crdt_state.state import WorldState
from mesh.hybrid import FUTURE_MS, ms_of
from mesh.now import Now

REDATED_PER_TICK = 64  # signatures: some milliseconds
NEVER_REDATED = (
    "generation",
    "holding",
)  # what was judged by a wrong clock must not be said again as if by a right one


class Redating:
    """Sees that the date went back, takes what is of the future out of view, and writes our own part of it anew."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._last: tuple[float, int] | None = None  # by the monotonic clock, and by the mesh's

    def tick(self, now: Now) -> None:
        ms, last = self._state.ms(now), self._last
        self._last = now.mono, ms
        if last is not None and ms < last[1] + (now.mono - last[0]) * 1000 - FUTURE_MS / 2:
            self._state.hide_future(now)
        if self._state.waiting and not self._state.fabric.halted:
            self._redate(now)

    def _redate(self, now: Now) -> None:
        me = self._state.fabric.me
        waiting = self._state.waiting.values()
        mine = [each for each in waiting if each.author == me and each.register.kind not in NEVER_REDATED]
        for record in mine[:REDATED_PER_TICK]:
            if self._is_surely_future(record, now):
                self._write_anew(record, now)

    def _is_surely_future(self, record: Record, now: Now) -> bool:
        """Whether most clocks say so; of two, both. A node that has peers does not trust its own clock alone."""
        fabric = self._state.fabric
        is_alone = len(fabric.roster.members()) == 1
        has_judges = is_alone or fabric.clock.judges > 0
        return has_judges and not fabric.clock.is_believed(ms_of(record.time), now.wall_ms)

    def _write_anew(self, record: Record, now: Now) -> None:
        try:
            self._state.write([Change(record.register, None if record.is_deletion else record.body)], now)
        except RecordError as error:
            self._state.fabric.count(error.reason)
            return
        self._state.fabric.count("record-redated")
