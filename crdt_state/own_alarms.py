"""Alarms about the shared state itself: raised by each node for what it finds, returned when it is over."""

from collections.abc import Mapping

from crdt_state.item import Change, Item
from crdt_state.kinds import alarm
from crdt_state.kinds.refusal import RefusedError
from crdt_state.record import RecordError
from crdt_state.state import WorldState
from mesh.now import Now

LOOK_EVERY_S = 2.0
SEVERITIES = {
    "document-diverged": 3,
    "author-equivocates": 4,
    "records-from-the-future": 2,
    "records-in-quarantine": 2,
    "own-writes-forgotten": 3,
    "generation-omits": 3,
}
"""What is alarmed; a finding that is not listed here is told as news only."""


def standing(state: WorldState, now: Now) -> dict[str, str]:
    """This node's own alarms that stand: a text for each code."""
    ms = state.ms(now)
    found = {code: state.view.item("alarm", _name(state, code)) for code in SEVERITIES}
    seen = {code: alarm.view(item, ms) for code, item in found.items() if item is not None}
    return {code: each.text for code, each in seen.items() if each.is_active}


class OwnAlarms:
    """Keeps one alarm a finding under `mesh/<this node>` in step with what is so."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._look_at = float("-inf")

    def tick(self, findings: Mapping[str, str], now: Now) -> None:
        """`findings`: a text for each of SEVERITIES that is so at this moment."""
        self._look_at = now.mono + LOOK_EVERY_S
        if self._state.fabric.halted:
            return
        for code, severity in SEVERITIES.items():
            changes = self._changes(code, severity, findings.get(code), now)
            try:
                self._state.write(changes, now)
            except RecordError as error:
                self._state.fabric.count(error.reason)

    def is_due(self, now: Now) -> bool:
        return now.mono >= self._look_at

    def wake_at(self) -> float:
        return self._look_at

    def _changes(self, code: str, severity: int, text: str | None, now: Now) -> tuple[Change, ...]:
        name = _name(self._state, code)
        item = self._state.view.item("alarm", name) or Item("alarm", name)
        ms = self._state.ms(now)
        is_active = alarm.view(item, ms).is_active
        try:
            if text is not None and not is_active:
                return alarm.raise_(item, str(self._state.clock.stamp(ms)), ms, severity, text)
            if text is None and is_active:
                return alarm.return_to_normal(item, ms)
        except RefusedError:
            pass  # somebody has changed it meanwhile: the next look sees how it stands
        return ()


def _name(state: WorldState, code: str) -> str:
    return f"mesh/{state.fabric.own.name}#{code}"
