"""Casts: something for everybody, each delivered once.

A cast goes at once over every link of its origin. In an overlay each node passes it on along its eager links; a
copy that came too late turns that link lazy. What was missed, by loss or by a broken path, is found by telling a
random peer now and then what we still hold. Casts are news, not truth: what must survive is a replica.
"""

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
ORIGINS_MAX = 4096  # incarnations whose sequences we remember
GAPS_MAX = 1024  # per origin, sequences above the contiguous part

Key = tuple[NodeId, int]  # origin, incarnation
Range = tuple[str, int, int, int]  # origin, incarnation, first, last


@dataclass(slots=True)
class _Had:
    """Which sequences of one origin have been delivered: all up to `upto`, and some above."""

    upto: int = 0
    above: set[int] = field(default_factory=set)

    def has(self, sequence: int) -> bool:
        return sequence <= self.upto or sequence in self.above

    def take(self, sequence: int) -> bool:
        if self.has(sequence):
            return False
        self.above.add(sequence)
        if len(self.above) > GAPS_MAX:
            self.upto = min(self.above)  # give the oldest gap up: bounded memory beats an old cast
        while self.upto + 1 in self.above:
            self.upto += 1
        self.above = {each for each in self.above if each > self.upto}
        return True

    def lacks(self, first: int, last: int) -> list[int]:
        start = max(first, self.upto + 1)
        return [each for each in range(start, min(last, start + GAPS_MAX) + 1) if each not in self.above]


class Casts:
    """What has been delivered, and what is held for others."""

    def __init__(self, identity: Identity, incarnation: int) -> None:
        self._identity = identity
        self._incarnation = incarnation
        self._sequence = 0
        self._had: OrderedDict[Key, _Had] = OrderedDict()
        self._held: OrderedDict[tuple[NodeId, int, int], tuple[float, Cast]] = OrderedDict()
        self._held_bytes = 0

    def make(self, topic: str, payload: bytes, now: float) -> Cast:
        """A new cast of our own."""
        self._sequence += 1
        unsigned = Cast(self._identity.node, self._incarnation, self._sequence, topic, payload)
        cast = msgspec.structs.replace(unsigned, signature=self._identity.sign(unsigned.content()))
        self._had_of((self._identity.node, self._incarnation)).take(self._sequence)
        self._hold(cast, now)
        return cast

    def take(self, cast: Cast, origin_public: bytes, is_direct: bool, now: float) -> str | None:
        """None when this cast is new and genuine and must be delivered; else why not, as a counter's name.

        `is_direct`: it came over the origin's own link, which has proven who speaks; the signature is then
        left for those to whom we pass it on.
        """
        if cast.hops > HOPS_MAX:
            return "cast-hops"
        key = (NodeId(cast.origin), cast.incarnation)
        if key in self._had and self._had[key].has(cast.sequence):
            return "cast-duplicate"
        if not is_direct and not verify(origin_public, cast.signature, cast.content()):
            return "cast-forged"
        self._had_of(key).take(cast.sequence)  # only what is genuine may fill memory
        self._hold(cast, now)
        return None

    def held(self, now: float) -> tuple[Range, ...]:
        """What we can still give, as ranges."""
        self._expire(now)
        by_origin: dict[Key, list[int]] = {}
        for origin, incarnation, sequence in self._held:
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
            missing = self._had.get((NodeId(origin), incarnation), _Had()).lacks(first, last)[:left]
            left -= len(missing)
            wanted.extend((origin, incarnation, low, high) for low, high in _ranges(missing))
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
                if held is None:
                    continue
                bytes_max -= len(held[1].payload) + 200
                if bytes_max < 0:
                    return given
                given.append(held[1])
        return given

    @property
    def is_idle(self) -> bool:
        return not self._held

    def __len__(self) -> int:
        return len(self._held)

    def _had_of(self, key: Key) -> _Had:
        had = self._had.get(key)
        if had is None:
            had = self._had[key] = _Had()
            if len(self._had) > ORIGINS_MAX:
                self._had.popitem(last=False)
        self._had.move_to_end(key)  # who casts is remembered longest
        return had

    def _hold(self, cast: Cast, now: float) -> None:
        self._held[(NodeId(cast.origin), cast.incarnation, cast.sequence)] = (now, cast)
        self._held_bytes += len(cast.payload)
        self._expire(now)

    def _expire(self, now: float) -> None:
        while self._held:
            at, cast = next(iter(self._held.values()))
            if len(self._held) <= HELD_MAX and self._held_bytes <= HELD_BYTES_MAX and now - at <= HELD_S:
                return
            self._held.popitem(last=False)
            self._held_bytes -= len(cast.payload)


def _ranges(ordered: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for each in ordered:
        if found and found[-1][1] == each - 1:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found
