"""What the simulator may read of the shared documents in a process's memory."""

from crdt_state.record import Record
from crdt_state.state import WorldState
from node.core import NodeCore
from simulations.host import Process


def state_of(process: Process) -> WorldState | None:
    """The shared documents of a process; None of a core that has none."""
    return process.core.world.state if isinstance(process.core, NodeCore) else None


def holds(process: Process, record: Record) -> bool:
    """Whether this record is here: itself, or a later one by its author, or one that is over it, or set aside."""
    assert isinstance(process.core, NodeCore)
    state = process.core.world.state
    document = state.library.get(state.kinds.document_of(record.register) or "")
    held = document.records.get(record.key) if document else None
    if held is not None and held.dot[1:] >= record.dot[1:]:
        return True
    if is_aside(process, record):
        return True
    versions = state.view.versions(record.register).by_author.values()
    return any(each.replaces(record) for each in versions)


def is_aside(process: Process, record: Record) -> bool:
    """Whether it waits in this node's quarantine."""
    assert isinstance(process.core, NodeCore)
    waiting = (each.record for each in process.core.world.quarantine.listed())
    return any(each.key == record.key and each.dot[1:] >= record.dot[1:] for each in waiting)
