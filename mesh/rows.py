"""Reachability from rows: who can be heard from here, directly or through others.

Each node signs a row of whom it hears. A node is reachable when a chain of rows leads from those we hear
ourselves to it; it is unreachable when no observer that we can reach still hears it. So one observer's silence
convicts nobody, and a stale row counts for nothing once its author cannot be reached.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from mesh.ids import SHORT_BYTES, NodeId, short_of
from mesh.wire import Row

ROWS_MAX = 2048  # one per member


def pack(nodes: Iterable[NodeId]) -> bytes:
    """The `heard` field for these nodes."""
    return b"".join(sorted(short_of(node) for node in nodes))


def unpack(heard: bytes) -> list[bytes]:
    return [heard[at : at + SHORT_BYTES] for at in range(0, len(heard), SHORT_BYTES)]


class Rows:
    """The newest row of each node, and the paths that follow from them."""

    def __init__(self, me: NodeId, node_of: Callable[[bytes], NodeId | None]) -> None:
        self._me = me
        self._node_of = node_of
        self._rows: dict[NodeId, Row] = {}
        self._digest = 0
        self._heard: dict[NodeId, tuple[NodeId, ...]] = {}  # the rows' short names looked up, once each

    def get(self, node: NodeId) -> Row | None:
        return self._rows.get(node)

    def is_news(self, row: Row) -> bool:
        """Whether this row is newer than what we hold (its signature not yet looked at)."""
        held = self._rows.get(NodeId(row.node))
        return held is None or _age(row) > _age(held)

    def put(self, row: Row) -> None:
        """Take a row whose signature has been verified and that is news."""
        node = NodeId(row.node)
        if node in self._rows or len(self._rows) < ROWS_MAX:
            self.forget(node)
            self._rows[node] = row
            self._digest ^= _hash(row)

    def forget(self, node: NodeId) -> None:
        row = self._rows.pop(node, None)
        self._heard.pop(node, None)
        if row is not None:
            self._digest ^= _hash(row)

    def forget_names(self) -> None:
        """The roster has changed: short names may mean other nodes now."""
        self._heard.clear()

    def heard_by(self, node: NodeId) -> tuple[NodeId, ...]:
        """Whom this node says it hears."""
        known = self._heard.get(node)
        if known is not None:
            return known
        row = self._rows.get(node)
        found = (self._node_of(short) for short in unpack(row.heard)) if row else ()
        return self._heard.setdefault(node, tuple(each for each in found if each is not None))

    def hears(self, node: NodeId, other: NodeId) -> bool:
        row = self._rows.get(node)
        return row is not None and short_of(other) in unpack(row.heard)

    def paths(self, heard: Sequence[NodeId]) -> dict[NodeId, NodeId]:
        """Every node that can be reached, with the directly heard peer through which: breadth first.

        Our own row is no evidence: it may still name a peer that we have just ceased to hear.
        """
        via = {node: node for node in heard}
        edge = list(heard)
        while edge:
            following: list[NodeId] = []
            for node in edge:
                for beyond in self.heard_by(node):
                    if beyond not in via and beyond != self._me:
                        via[beyond] = via[node]
                        following.append(beyond)
            edge = following
        return via

    @property
    def digest(self) -> bytes:
        """Equal on two nodes when they hold the same rows."""
        return self._digest.to_bytes(8, "big")

    def versions(self) -> tuple[tuple[str, int, int], ...]:
        return tuple((row.node, row.incarnation, row.version) for row in self._rows.values())

    def newer_than(self, versions: Iterable[tuple[str, int, int]]) -> tuple[Row, ...]:
        """My rows that are newer than, or missing from, what somebody else holds."""
        theirs = {node: (incarnation, version) for node, incarnation, version in versions}
        return tuple(row for row in self._rows.values() if _age(row) > theirs.get(row.node, (-1, -1)))


def _age(row: Row) -> tuple[int, int]:
    return (row.incarnation, row.version)


def _hash(row: Row) -> int:
    text = f"{row.node}/{row.incarnation}/{row.boot}/{row.version}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
