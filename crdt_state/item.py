"""Items: all versions of one thing, resolved into heads, a winner, and what lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crdt_state.record import OVER_MAX, Body, Dot, Record, Register
from mesh.ids import NodeId

DOTS_MAX = (
    OVER_MAX - 1
)  # one is for the writer's own; a version over hundreds of made-up ones must not be the last


@dataclass(slots=True)
class Versions:
    """The newest version of one register by each author that ever wrote it."""

    register: Register
    by_author: dict[NodeId, Record] = field(default_factory=dict)

    def put(self, record: Record) -> None:
        self.by_author[record.author] = record

    def take_out(self, record: Record) -> None:
        if self.by_author.get(record.author) is record:
            del self.by_author[record.author]

    def heads(self) -> list[Record]:
        """Versions that no other has replaced, the winner first: latest by hybrid time, then by author."""
        every = self.by_author.values()
        heads = [one for one in every if not any(other.replaces(one) for other in every if other is not one)]
        found = heads or every  # a ring of forged claims hides nothing
        return sorted(found, key=lambda head: (head.time, head.author), reverse=True)

    def winner(self) -> Record | None:
        """The head that counts, deletions included."""
        heads = self.heads()
        return heads[0] if heads else None

    def value(self) -> Body | None:
        """What the register holds; None when there is nothing, or it was deleted."""
        winner = self.winner()
        return None if winner is None or winner.is_deletion else winner.body

    def dots(self, author: NodeId) -> tuple[Dot, ...]:
        """What the next version by this author is over: each other author's newest, and what those were over."""
        newest: dict[NodeId, Dot] = {}
        for record in self.by_author.values():
            for dot in (record.dot, *record.over):
                if dot.author not in newest or newest[dot.author][1:] < dot[1:]:
                    newest[dot.author] = dot
        newest.pop(author, None)
        nearest = sorted(newest, key=lambda each: (each not in self.by_author, each))[:DOTS_MAX]
        return tuple(newest[each] for each in sorted(nearest))

    def __bool__(self) -> bool:
        return bool(self.by_author)


@dataclass(slots=True)
class Item:
    """One thing of a kind, with its facets."""

    kind: str
    name: str
    facets: dict[str, Versions] = field(default_factory=dict)

    def facet(self, name: str = "") -> Versions:
        """The versions of a facet; empty when nobody has written it."""
        return self.facets.get(name) or Versions(Register(self.kind, self.name, name))

    def value(self, facet: str = "") -> Body | None:
        return self.facet(facet).value()

    @property
    def is_deleted(self) -> bool:
        """Whether every facet that was written has been deleted."""
        return all(versions.value() is None for versions in self.facets.values())

    @property
    def latest(self) -> int:
        """The hybrid time of the newest version of any facet."""
        return max(
            (each.time for versions in self.facets.values() for each in versions.by_author.values()),
            default=0,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A write that is asked for: a facet's new body, or None to delete it."""

    register: Register
    body: Body | None


def evolved(body: Mapping[str, object] | None, **fields: object) -> Body:
    """A body with some fields changed; those that this node does not know stay. A field set to None goes."""
    merged = {**(body or {}), **fields}
    return {name: value for name, value in merged.items() if value is not None}


def items_of(records: Iterable[Record]) -> dict[tuple[str, str], Item]:
    """Items built from loose records, for tests and for what is not in view."""
    items: dict[tuple[str, str], Item] = {}
    for record in records:
        kind, name, facet = record.register
        item = items.setdefault((kind, name), Item(kind, name))
        item.facets.setdefault(facet, Versions(record.register)).put(record)
    return items
