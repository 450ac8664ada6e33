"""The topics of protocol version 1: who speaks to whom is in the name, and the broker's access list keeps it true."""

from typing import NamedTuple

from mesh.ids import NodeId, SiteId, is_node_id

DOOR, TO, ALL, HERE = "hello", "to", "all", "here"


class Address(NamedTuple):
    """What a topic says: its kind, for whom it is (or None: everybody), from whom."""

    kind: str
    to: NodeId | None
    sender: NodeId


class Topics:
    """The topics of one site."""

    def __init__(self, site: SiteId) -> None:
        self._prefix = f"fm/{site}/"

    def door(self, to: NodeId, sender: NodeId | str) -> str:
        return f"{self._prefix}{DOOR}/{to}/{sender}"

    def to(self, to: NodeId, sender: NodeId | str) -> str:
        return f"{self._prefix}{TO}/{to}/{sender}"

    def all(self, sender: NodeId | str) -> str:
        return f"{self._prefix}{ALL}/{sender}"

    def here(self, sender: NodeId | str) -> str:
        return f"{self._prefix}{HERE}/{sender}"

    def read(self, topic: str) -> Address | None:
        """What this topic says; None when it is not one of ours."""
        if not topic.startswith(self._prefix):
            return None
        kind, *names = topic[len(self._prefix) :].split("/")
        if not all(is_node_id(name) for name in names):
            return None
        if kind in (DOOR, TO) and len(names) == 2:
            return Address(kind, NodeId(names[0]), NodeId(names[1]))
        if kind in (ALL, HERE) and len(names) == 1:
            return Address(kind, None, NodeId(names[0]))
        return None
