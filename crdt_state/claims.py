"""Claims lost: a node that claimed a task beside another, and does not have it, is told so."""

from crdt_state.kinds import task
from crdt_state.record import Register
from crdt_state.state import WorldState
from mesh.events import ClaimLost
from mesh.ids import NodeId
from mesh.now import Now

KIND, FACET = "task", "claim"
TOLD_MAX = 4096  # tasks; a node holds a handful


class ClaimsWatch:
    """Tells once for each task."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._told: dict[str, None] = {}

    def changed(self, register: Register, now: Now) -> None:
        """The versions of this register have changed."""
        item = self._state.view.item(KIND, register.item)
        if (register.kind, register.facet) != (KIND, FACET) or item is None:
            return
        seen = task.view(item, self._state.ms(now))
        if self._state.fabric.me not in seen.lost_claims:
            self._told.pop(register.item, None)
        elif register.item not in self._told and len(self._told) < TOLD_MAX:
            self._told[register.item] = None
            self._state.fabric.add(ClaimLost(register.item, seen.owner or "", self._name(seen.owner)))

    def _name(self, owner: NodeId | None) -> str:
        return self._state.fabric.roster.name(owner) if owner else ""
