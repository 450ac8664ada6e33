"""Level three of anti-entropy: with equal heads and other content, ranges of record ids are compared until it is known
which records differ, and those are exchanged one by one."""

from collections import OrderedDict
from dataclasses import dataclass

from mesh.envelopes import is_sealed, seal
from mesh.events import Traffic
from mesh.ids import NodeId
from mesh.now import Now
from mesh.ranges import Fingerprints, answer, opening
from mesh.replicas import Shelf
from mesh.state import FabricState
from mesh.wire import LOOSE_MAX, Ranges, Records, RecordsWanted, Wanted

RANGES_EVERY_S = 0.3  # of one replica with one peer, while content changes ...
RANGES_EVERY_MAX_S = (
    10.0  # ... and at the most, while nothing does: a twin of each other they will not become
)
LOOSE_BYTES_MAX = 120_000  # records in one message, under a frame
SORTED_MAX = (
    2  # replicas whose ids are kept sorted for the next message: a large one takes some tenths of a second
)


@dataclass(slots=True)
class _Tried:
    digests: tuple[bytes, bytes]  # ours and theirs
    last: float
    pause_s: float = RANGES_EVERY_S


class Reconciling:
    """Owns the comparison of record ids."""

    def __init__(self, state: FabricState, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf
        self._tried: dict[NodeId, dict[str, _Tried]] = {}  # by linked peer and replica
        self._sorted: OrderedDict[tuple[str, bytes, bytes], Fingerprints] = OrderedDict()

    def begin(self, peer: NodeId, wanted: Wanted, digest: bytes, now: Now) -> None:
        """A peer's question shows the heads that we have, and not our digest: find the records that differ."""
        if not self._may(peer, wanted.name, (digest, wanted.digest), now.mono):
            return
        ours = self._fingerprints(wanted.name, wanted.mark)
        if ours is not None:
            if wanted.settled:
                self._shelf.diverged(peer, wanted.name, now)
            self._state.send(peer, Ranges(wanted.name, wanted.mark, opening(ours)), traffic=Traffic.STATE)

    def ranges(self, sender: NodeId, ranges: Ranges, _: Now) -> None:
        """The next closer look; a look that finds everything equal, or only ids, is the last."""
        ours = self._fingerprints(ranges.name, ranges.mark)
        if ours is None:
            return
        found = answer(ours, ranges.ranges)
        if found.reason:
            self._state.count(found.reason, sender)
        if found.ranges:
            self._state.send(sender, Ranges(ranges.name, ranges.mark, found.ranges), traffic=Traffic.STATE)
        if found.lacking:
            keys = found.lacking[:LOOSE_MAX]
            self._state.send(sender, RecordsWanted(ranges.name, ranges.mark, keys), traffic=Traffic.STATE)
        if found.giving:
            self._give(sender, ranges.name, ranges.mark, found.giving)

    def records_wanted(self, sender: NodeId, wanted: RecordsWanted, _: Now) -> None:
        self._give(sender, wanted.name, wanted.mark, wanted.keys)

    def records(self, sender: NodeId, records: Records, now: Now) -> None:
        if self._shelf.listens_to(sender, now) and is_sealed(self._state, sender, records):
            self._shelf.take_loose(sender, records.name, records.mark, records.blobs, now)

    def settled(self, peer: NodeId) -> None:
        """We are equal, or not linked any more."""
        self._tried.pop(peer, None)

    # -- inside

    def _may(self, peer: NodeId, name: str, digests: tuple[bytes, bytes], now: float) -> bool:
        tried_of = self._tried.setdefault(peer, {})
        tried = tried_of.get(name)
        if tried is None:
            tried_of[name] = _Tried(digests, now)
            return True
        if tried.digests != digests:
            tried.digests, tried.pause_s = digests, RANGES_EVERY_S
        if now < tried.last + tried.pause_s:
            return False
        tried.last = now
        tried.pause_s = min(tried.pause_s * 2, RANGES_EVERY_MAX_S)
        return True

    def _fingerprints(self, name: str, mark: bytes) -> Fingerprints | None:
        entry = self._shelf.entry(name)
        if entry is None or entry.mark != mark:
            return None
        key = (name, mark, entry.digest)
        ours = self._sorted.pop(key, None) or self._shelf.fingerprints(name, mark)
        if ours is not None:
            self._sorted[key] = ours
            if len(self._sorted) > SORTED_MAX:
                self._sorted.popitem(last=False)
        return ours

    def _give(self, peer: NodeId, name: str, mark: bytes, keys: tuple[str, ...]) -> None:
        """Send single records, as many as fit; what is left will be found again."""
        room, blobs = LOOSE_BYTES_MAX, []
        for blob in self._shelf.records(name, mark, keys[:LOOSE_MAX]):
            room -= len(blob)
            if room < 0:
                break
            blobs.append(blob)
        if blobs:
            sealed = seal(self._state, Records(name, mark, tuple(blobs)))
            self._state.send(peer, sealed, traffic=Traffic.STATE)
