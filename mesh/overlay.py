"""Whom to link with: everybody while that is cheap, a few well-spread neighbours beyond.

Beyond the full mesh, the live nodes stand on several rings, each in an order of its own (by hash), and a node
links with the one before and the one after it on every ring. All who see the same nodes alive compute the same
graph, so both ends of a link want it; it is a few steps across; and when a node comes or goes only its own
neighbours change their links.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache, partial

from mesh.ids import NodeId

PLACES_CACHED = 65_536  # rings times nodes of the largest sites


def is_full_mesh(members: int, full_mesh_max: int) -> bool:
    return members <= full_mesh_max


def neighbours(me: NodeId, alive: Sequence[NodeId], full_mesh_max: int, degree: int) -> set[NodeId]:
    """The peers to keep links with, given the ids of all live nodes, ours among them."""
    if is_full_mesh(len(alive), full_mesh_max):
        return {node for node in alive if node != me}
    wanted: set[NodeId] = set()
    for ring in range(max(degree // 2, 1)):
        ordered = sorted(alive, key=partial(_place, ring))
        at = ordered.index(me)
        wanted |= {ordered[at - 1], ordered[(at + 1) % len(ordered)]}
    return wanted - {me}


@lru_cache(maxsize=PLACES_CACHED)
def _place(ring: int, node: NodeId) -> bytes:
    return hashlib.sha256(f"{ring}/{node}".encode()).digest()
