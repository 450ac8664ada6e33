"""The shared documents of one node without its links: peers are met by calling each other's shelf.

For runs of weeks, where beats and frames on links would be all there is. The documents, their upkeep and what is
merged are the real ones; what crosses between two of these is what crosses on a link.
"""

from collections.abc import Sequence

from crdt_state.item import Change
from crdt_state.kinds import KINDS
from crdt_state.record import Record
from crdt_state.world import World as Documents
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import Birth, CoreConfig, FabricState, Keys
from mesh.world_config import WorldConfig
from simulations.chance import chance
from simulations.keys import NodeKeys
from simulations.real_core import founding_tables

ROUNDS_MAX = 8  # of meeting until all are equal: headers first, contents next


class Shelves:
    """One node's documents, in memory."""

    def __init__(self, keys: NodeKeys, everybody: Sequence[NodeKeys], config: WorldConfig, seed: int) -> None:
        self.me = keys.identity.node
        own = Keys(keys.identity, keys.root, keys.chain, keys.tls_public, keys.authority)
        core_config = CoreConfig(release="simulated", world=config)
        saved = founding_tables(everybody)
        stream = chance(seed, "shelves", self.me)
        self.fabric = FabricState(core_config, own, Birth(1, 1, 0), saved, stream)
        self.documents = Documents(self.fabric, KINDS, saved)

    def start(self, now: Now, peers: Sequence[NodeId]) -> None:
        """All the others are here, and stay."""
        for peer in peers:
            if peer != self.me:
                self.fabric.hearing.hear(peer, now.mono)
        self.fabric.membership.reassess(now.mono, lambda _: "")
        self.documents.start(now)
        self.settle(now)

    def write(self, changes: Sequence[Change], now: Now) -> list[Record]:
        """Write all of these; what a peer would be pushed at once waits for the next meeting, as does `settle`."""
        return self.documents.state.write(changes, now) if changes else []

    def tick(self, now: Now) -> None:
        self.documents.tick(now)
        self.settle(now)

    def settle(self, now: Now) -> None:
        self.documents.settle(now)
        self.fabric.take_effects()

    def fetch(self, peer: "Shelves", now: Now) -> bool:
        """Take what this peer has and we lack, one document after the other; whether anything differed."""
        differed = False
        for name in peer.documents.state.library.names():
            if self._fetch(peer, name, now):
                differed = True
                self.settle(now)
        return differed

    def _fetch(self, peer: "Shelves", name: str, now: Now) -> bool:
        theirs, ours = peer.documents.entry(name), self.documents.entry(name)
        if theirs is None or (ours is not None and ours == theirs):
            return False
        have = self.documents.summary(name, theirs.mark)
        delta = None if have is None else peer.documents.delta_since(name, theirs.mark, have)
        if delta is None:
            return False
        self.documents.merge(peer.me, name, theirs.mark, [delta], now)
        self.documents.fetched(peer.me, name, now)
        return True


def meet(everybody: Sequence[Shelves], now: Now) -> int:
    """All become equal, by way of the first: it takes what the others have, they take what it has; the rounds."""
    hub, others = everybody[0], everybody[1:]
    for rounds in range(1, ROUNDS_MAX + 1):
        taken = [hub.fetch(other, now) for other in others]
        given = [other.fetch(hub, now) for other in others]
        if not any(taken) and not any(given):
            return rounds
    return ROUNDS_MAX
