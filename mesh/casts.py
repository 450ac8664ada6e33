"""Casts: something for everybody, each delivered once.

A cast goes at once over every link of its origin. In an overlay each node passes it on along its eager links; a
copy that came too late turns that link lazy. What was missed, by loss or by a broken path, is found by telling a
random peer now and then what we still hold. Casts are news, not truth: what must survive is a replica.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from mesh.ids import NodeId
from mesh.trust import Identity, verify
from mesh.wire import Cast

HOPS_MAX = 16  # the overlay of a thousand nodes is under ten across
HELD_MAX = 1024  # casts kept for repair ...
HELD_BYTES_MAX = 4_194_304  # ... of at most this size in all ...
HELD_S = 120.0  # ... for as long as a short cut lasts
ORIGINS_MAX = 2048  # whose sequences we remember; as many as there may be members
INCARNATIONS_MAX = 4  # per origin, the newest: one member that cycles through its own flushes nobody else's
GAPS_MAX = 256  # per incarnation: runs of sequences that are missing
PROVE_MAX = 128  # signatures checked per telling: some ten milliseconds

Key = tuple[NodeId, int]  # origin, incarnation
Range = tuple[str, int, int, int]  # origin, incarnation, first, last


@dataclass(slots=True)
class _Had:
    """Which sequences of one incarnation have been delivered: all up to `top`, except those in the gaps."""

    top: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)  # first and last, ascending

    def has(self, sequence: int) -> bool:
        return sequence <= self.top and self._gap_with(sequence) is None

    def take(self, sequence: int) -> None:
        """Note a sequence that was not had."""
        if sequence > self.top:
            self._put(len(self.gaps), (self.top + 1, sequence - 1))
            self.top = sequence
            return
        place = self._gap_with(sequence)
        assert place is not None
        first, last = self.gaps.pop(place)
        self._put(place, (first, sequence - 1), (sequence + 1, last))

    def lacks(self, first: int, last: int) -> list[tuple[int, int]]:
        """What is missing between these two, as runs."""
        runs = ((max(first, low), min(last, high)) for low, high in (*self.gaps, (self.top + 1, last)))
        return [(low, high) for low, high in runs if low <= high]

    def _gap_with(self, sequence: int) -> int | None:
        place = bisect_right(self.gaps, sequence, key=lambda gap: gap[0]) - 1
        return place if place >= 0 and sequence <= self.gaps[place][1] else None

    def _put(self, place: int, *gaps: tuple[int, int]) -> None:
        self.gaps[place:place] = [(first, last) for first, last in gaps if first <= last]
        if len(self.gaps) > GAPS_MAX:
            del self.gaps[0]  # give the oldest gap up: bounded memory beats an old cast


@dataclass(slots=True)
class _Held:
    at: float
    cast: Cast
    unproven: bytes | None  # the identity that must have signed it, while that has not been checked


class Casts:
    """What has been delivered, and what is held for others."""

    def __init__(self, identity: Identity, incarnation: int) -> None:
        self._identity = identity
        self._incarnation = incarnation
        self._sequence = 0
        self._had: OrderedDict[NodeId, dict[int, _Had]] = OrderedDict()  # by origin and incarnation
        self._held: OrderedDict[tuple[NodeId, int, int], _Held] = OrderedDict()
        self._held_bytes = 0
        self._forgers: list[NodeId] = []

    def make(self, topic: str, payload: bytes, now: float) -> Cast:
        """A new cast of our own."""
        self._sequence += 1
        unsigned = Cast(self._identity.node, self._incarnation, self._sequence, topic, payload)
        cast = msgspec.structs.replace(unsigned, signature=self._identity.sign(unsigned.content()))
        self._note(cast)
        self._hold(cast, None, now)
        return cast

    def take(self, cast: Cast, origin_public: bytes, is_direct: bool, now: float) -> str | None:
        """None when this cast is new and genuine and must be delivered; else why not, as a counter's name.

        `is_direct`: it came over the origin's own link, which has proven who speaks; the signature is then
        checked before anybody else is told of it.
        """
        if cast.hops > HOPS_MAX:
            return "cast-hops"
        if self._is_stale(NodeId(cast.origin), cast.incarnation):
            return "cast-stale"
        if self._had_of(NodeId(cast.origin), cast.incarnation).has(cast.sequence):
            return "cast-duplicate"
        if not is_direct and not verify(origin_public, cast.signature, cast.content()):
            return "cast-forged"
        self._note(cast)  # only what is genuine may fill memory
        self._hold(cast, origin_public if is_direct else None, now)
        return None

    def prove(self, cast: Cast) -> bool:
        """Whether a held cast may be passed on: its signature is checked once, and a bad one held no longer."""
        key = (NodeId(cast.origin), cast.incarnation, cast.sequence)
        held = self._held.get(key)
        if held is None:
            return False
        if held.unproven is not None and not verify(held.unproven, held.cast.signature, held.cast.content()):
            self._let_go(key)
            self._forgers.append(key[0])
            return False
        held.unproven = None
        return True

    def take_forgers(self) -> list[NodeId]:
        """Origins whose own signature turned out to be wrong, one for each such cast since last asked."""
        taken, self._forgers = self._forgers, []
        return taken

    def held(self, now: float) -> tuple[Range, ...]:
        """What we can still give, as ranges."""
        self._expire(now)
        self._prove_some()
        by_origin: dict[Key, list[int]] = {}
        for (origin, incarnation, sequence), held in self._held.items():
            if held.unproven is None:
                by_origin.setdefault((origin, incarnation), []).append(sequence)
        return tuple(
            (origin, incarnation, first, last)
            for (origin, incarnation), sequences in sorted(by_origin.items())
            for first, last in _ranges(sorted(sequences))
        )

    def lacking(self, ranges: Iterable[Range]) -> tuple[Range, ...]:
        """Of what somebody else holds, what we have not had."""
        wanted: list[Range] = []
        left = HELD_MAX  # nobody holds more
        for origin, incarnation, first, last in ranges:
            if left <= 0:
                break
            if self._is_stale(NodeId(origin), incarnation):
                continue
            for low, high in self._had_of(NodeId(origin), incarnation).lacks(max(first, 1), last):
                high = min(high, low + left - 1)
                if low <= high:
                    wanted.append((origin, incarnation, low, high))
                    left -= high - low + 1
        return tuple(wanted)

    def give(self, ranges: Iterable[Range], bytes_max: int) -> list[Cast]:
        """The held casts in these ranges, up to a size; what is left will be asked for again."""
        given: list[Cast] = []
        left = HELD_MAX * 2  # sequences looked up: nobody who is honest names more
        for origin, incarnation, first, last in ranges:
            stop = min(last, first + left) + 1
            left -= max(stop - first, 1)
            if left <= 0:
                break
            for sequence in range(first, stop):
                held = self._held.get((NodeId(origin), incarnation, sequence))
                if held is None or not self.prove(held.cast):
                    continue
                bytes_max -= len(held.cast.payload) + 200
                if bytes_max < 0:
                    return given
                given.append(held.cast)
        return given

    @property
    def is_idle(self) -> bool:
        return not self._held

    def __len__(self) -> int:
        return len(self._held)

    def _is_stale(self, origin: NodeId, incarnation: int) -> bool:
        """Whether it is older than all those that we remember of this origin, and there is no room for it."""
        known = self._had.get(origin, {})
        return len(known) >= INCARNATIONS_MAX and incarnation < min(known)

    def _had_of(self, origin: NodeId, incarnation: int) -> _Had:
        return self._had.get(origin, {}).get(incarnation) or _Had()

    def _note(self, cast: Cast) -> None:
        """This cast is being delivered."""
        origin = NodeId(cast.origin)
        known = self._had.setdefault(origin, {})
        self._had.move_to_end(origin)  # who casts is remembered longest
        known.setdefault(cast.incarnation, _Had()).take(cast.sequence)
        if len(known) > INCARNATIONS_MAX:
            del known[min(known)]
        if len(self._had) > ORIGINS_MAX:
            self._had.popitem(last=False)

    def _hold(self, cast: Cast, unproven: bytes | None, now: float) -> None:
        self._held[(NodeId(cast.origin), cast.incarnation, cast.sequence)] = _Held(now, cast, unproven)
        self._held_bytes += len(cast.payload)
        self._expire(now)

    def _let_go(self, key: tuple[NodeId, int, int]) -> None:
        self._held_bytes -= len(self._held.pop(key).cast.payload)

    def _prove_some(self) -> None:
        unproven = [held.cast for held in self._held.values() if held.unproven is not None]
        for cast in unproven[:PROVE_MAX]:
            self.prove(cast)

    def _expire(self, now: float) -> None:
        while self._held:
            key, oldest = next(iter(self._held.items()))
            is_room = len(self._held) <= HELD_MAX and self._held_bytes <= HELD_BYTES_MAX
            if is_room and now - oldest.at <= HELD_S:
                return
            self._let_go(key)


def _ranges(ordered: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for each in ordered:
        if found and found[-1][1] == each - 1:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found
