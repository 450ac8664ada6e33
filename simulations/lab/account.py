"""The account of a run: what nodes have acknowledged, what they have shown, and what of it must not have happened.

Pure. A run lasts a minute, and what is done with is kept for days: nothing that was acknowledged may be missing.
"""

from collections.abc import Iterable, Mapping

import msgspec

from crdt_state.item import items_of
from crdt_state.kinds import KINDS
from crdt_state.record import Dot, Record, Register, key_of
from mesh.ids import NodeId
from simulations.chronicle import Floor

Held = Mapping[str, Mapping[str, Record]]
"""The records of a node, by document and key."""

UNCOMPARED = ("holding",)  # what each node says of what it holds follows from the rest, seconds later


class Loss(msgspec.Struct, frozen=True):
    """Something that must not happen, by the key of the report that counts it."""

    key: str
    detail: str


class Account:
    """Fed by the writers while they write, and with what the nodes hold, whenever somebody looks."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.losses: dict[Loss, None] = {}
        self._newest: dict[tuple[str, Register], Dot] = {}  # acknowledged, by the node's name
        self._floors: dict[str, dict[Register, Floor]] = {}

    def acknowledge(self, node: str, register: Register, dot: Dot) -> None:
        """This node has said that this write of its own is safe."""
        self.acknowledged += 1
        known = self._newest.get((node, register))
        if known is None or known[1:] < dot[1:]:
            self._newest[node, register] = dot

    def look(self, node: str, held: Held) -> None:
        """What was replaced on this node, by all that it has ever held, is no head on it any more.

        What only one node writes is left out: the others save it now and then, and promise nothing.
        """
        floors = self._floors.setdefault(node, {})
        shared = (record for record in _records(held) if KINDS.get(record.register.kind).group != "owner")
        for item in items_of(shared).values():
            for versions in item.facets.values():
                floor = floors.setdefault(versions.register, Floor())
                for head in versions.heads():
                    if floor.is_under(head.dot):
                        self._lose("resurrected", f"{node} shows {head!r} again")
                for record in versions.by_author.values():
                    floor.note(record)

    def settle(self, held: Mapping[str, Held]) -> None:
        """The end: every node holds all that any node has acknowledged, and all hold the same."""
        for (author, register), dot in self._newest.items():
            for node, theirs in held.items():
                if not _holds(theirs, register, dot):
                    key = "lost_acknowledged" if node == author else "unexplained_missing"
                    self._lose(key, f"{node} lacks {dot} in {register}, which {author} had acknowledged")
        for name in differing(held):
            self._lose("diverged", f"the nodes hold different records of {name}")

    def diverged(self, node: str, document: str) -> None:
        """A node itself says so."""
        self._lose("diverged", f"{node} says that {document} has diverged")

    def count(self, key: str) -> int:
        return sum(loss.key == key for loss in self.losses)

    def _lose(self, key: str, detail: str) -> None:
        self.losses[Loss(key, detail)] = None


def differing(held: Mapping[str, Held]) -> list[str]:
    """The documents of which not all nodes hold the same records."""
    contents = [
        {
            name: records
            for name, records in theirs.items()
            if records and name.partition(":")[0] not in UNCOMPARED
        }
        for theirs in held.values()
    ]
    names = sorted({name for theirs in contents for name in theirs})
    return [name for name in names if any(each.get(name) != contents[0].get(name) for each in contents)]


def dot_of(text: str) -> Dot:
    """The inverse of `str`."""
    author, run, seq = text.rsplit(".", 2)
    return Dot(NodeId(author), int(run), int(seq))


def _records(held: Held) -> Iterable[Record]:
    return (record for records in held.values() for record in records.values())


def _holds(held: Held, register: Register, dot: Dot) -> bool:
    key = key_of(register, dot.author)
    found = (records[key] for records in held.values() if key in records)
    return any(record.dot[1:] >= dot[1:] for record in found)
