"""Holdings: what a node durably holds of each document. Proof of convergence, and acknowledgement for collection."""

import msgspec

from crdt_state.item import Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import read_own
from mesh.wire import Count

KIND = Kind("holding", group="owner", writers="owner")


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    docs: dict[
        str, tuple[str, str, Count]
    ] = {}  # by document: mark and digest in hexadecimal, number of records
    run: Count = 0  # the incarnation that says so
    at_ms: Count = 0  # when: it is said again now and then, so that its author is known to be there


def view(item: Item, _now_ms: int) -> tuple[Holding, bool]:
    """What the node says it holds, and whether all of that could be read."""
    said = read_own(item, Holding, item.name)
    return (Holding(), True) if said is None else (said.body, said.is_readable)
