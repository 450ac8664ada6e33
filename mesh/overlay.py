"""Whom to link with: everybody while that is cheap, a few well-spread neighbours beyond.

The neighbours are fingers on the ring of sorted node ids: at distance 1, 2, 4, ... both ways. Every node that
sees the same members alive computes the same graph, so both ends of a link want it; the diameter grows with the
logarithm of the site, and losing any one node leaves the ring whole.
"""

from collections.abc import Sequence

from mesh.ids import NodeId


def is_full_mesh(members: int, full_mesh_max: int) -> bool:
    return members <= full_mesh_max


def neighbours(me: NodeId, alive: Sequence[NodeId], full_mesh_max: int) -> set[NodeId]:
    """The peers to keep links with, given the sorted ids of all live nodes, ours among them."""
    others = {node for node in alive if node != me}
    if is_full_mesh(len(alive), full_mesh_max):
        return others
    place = alive.index(me)
    wanted = set()
    distance = 1
    while distance <= len(alive) // 2:
        wanted.add(alive[(place + distance) % len(alive)])
        wanted.add(alive[(place - distance) % len(alive)])
        distance *= 2
    return wanted - {me}
