"""Redating: what this node wrote while its clock was far ahead is written again, dated by the mesh's time."""

from crdt_state.item import Change
from crdt_state.record import RecordError
from crdt_state.state import WorldState
from mesh.now import Now

REDATED_PER_TICK = 64  # signatures: some milliseconds


def redate(state: WorldState, now: Now) -> int:
    """Write our own records from the far future anew, once enough peers' clocks say that they are; how many."""
    fabric = state.fabric
    if not state.waiting or fabric.halted or fabric.clock.is_unjudged():
        return 0
    mine = [record for record in state.waiting.values() if record.author == fabric.me][:REDATED_PER_TICK]
    changes = [Change(record.register, None if record.is_deletion else record.body) for record in mine]
    try:
        state.write(changes, now)
    except RecordError as error:
        fabric.count(error.reason)
        return 0
    return len(mine)
