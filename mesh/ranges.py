"""Where two large sets differ, found by comparing fingerprints of ever smaller ranges of their keys.

One side opens with the fingerprints of a few ranges that cover all keys. The other drops the ranges that agree and
answers the rest with smaller ones, or with its ids once few are left. Whoever receives ids knows both what it lacks
(to ask for) and what the other lacks (to give): a list is never answered by a list. Neither side remembers anything
between messages: each is a function of the set and of the message received, so a lost message, or a set that
changes meanwhile, costs at most another opening.

The idea is Aljoscha Meyer's ("Range-Based Set Reconciliation").
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

KEY_CHARS_MAX = 64
FANOUT = 16  # pieces of a range that differs: 100,000 keys are four messages deep, of half a kilobyte each
LEAF_MAX = 32  # ids are listed from here down: they cost about as much as another level, and spare it
PIECE_MIN = 8  # ids in a piece: the fingerprint of fewer costs nearly as many bytes as the ids themselves
LISTED_MAX = 128  # ids accepted per range: a later release may list more than we do
RANGES_MAX = 1_024  # per message, sent or considered: bounds the work that one message can cause
RANGES_BYTES_MAX = 98_000  # per message: under 100 kB with what it is wrapped in
KEYS_MAX = 2_048  # lacking, or to be given, per answer; the next opening finds the rest

FINGERPRINT_BYTES = 8
# Two different ranges pass for equal once in 2**64 comparisons: never by accident. A member that tries 2**32 of its
# own records could arrange it for one pair of ranges; the fingerprint covers the bounds as well, so that this ends
# as soon as the ranges are cut elsewhere, which any new key may do.

DIGEST_BYTES = 16
# Of each id, in sums and in lists, never shortened: two versions of one id that passed for equal in a list would
# never be told apart again, however the ranges were cut.

DIGEST_MODULUS = 1 << (8 * DIGEST_BYTES)
BLOCK_MAX = 512  # keys per block: a query adds up two blocks at most, a put moves no more than one

TOO_MANY = "ranges-too-many"
UNORDERED = "ranges-unordered"  # overlapping, unsorted or inverted
MALFORMED = "ranges-malformed"  # neither a fingerprint nor as many ids, inside the range, as it says

Key = Annotated[str, Meta(max_length=KEY_CHARS_MAX)]
Digest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class Range(msgspec.Struct, frozen=True, array_like=True):
    """What the sender holds from `low` up to but not including `high`: a fingerprint of it, or all its ids."""

    low: Key
    high: Key  # empty: no upper end
    count: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    fingerprint: Annotated[bytes, Meta(max_length=16)] = b""  # empty when the ids are listed
    ids: Annotated[tuple[tuple[Key, Digest], ...], Meta(max_length=LISTED_MAX)] = ()

    @property
    def lists(self) -> bool:
        """Nothing at all is a list too."""
        return len(self.ids) == self.count


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message of ranges leads to. It is the last of its exchange when `ranges` is empty."""

    ranges: tuple[Range, ...]  # to send back
    lacking: tuple[str, ...] = ()  # keys that the other has, or has differently: ask for them
    giving: tuple[
        str, ...
    ] = ()  # keys that we have, or have differently: the other does not know, so send them
    reason: str = ""  # why part of the message was ignored: a counter's name


class Fingerprints:
    """A set of keys, each with the fingerprint (128 bits) of what it stands for; sums over any range at once."""

    def __init__(self, entries: Iterable[tuple[str, int]] = ()) -> None:
        digests = {key: _digest_of(key, fingerprint) for key, fingerprint in entries}
        keys = sorted(digests)
        half = BLOCK_MAX // 2
        pieces = [keys[start : start + half] for start in range(0, len(keys), half)] or [[]]
        self._blocks = [_Block(piece, [digests[key] for key in piece]) for piece in pieces]
        self._lows = [
            "",
            *(piece[0] for piece in pieces[1:]),
        ]  # block i holds the keys from low i to low i + 1
        self._counts: list[int] = []  # of all blocks before each, and of all; empty: to be added up again
        self._sums: list[int] = []

    def __len__(self) -> int:
        self._add_up()
        return self._counts[-1]

    def put(self, key: str, fingerprint: int) -> None:
        """Add the key, or replace its fingerprint."""
        at = self._block_at(key)
        self._blocks[at].put(key, _digest_of(key, fingerprint))
        self._counts = []
        if len(self._blocks[at].keys) > BLOCK_MAX:
            upper = self._blocks[at].cut()
            self._blocks.insert(at + 1, upper)
            self._lows.insert(at + 1, upper.keys[0])

    def remove(self, key: str) -> None:
        """Forget the key, if it is there."""
        at = self._block_at(key)
        self._blocks[at].remove(key)
        self._counts = []
        if not self._blocks[at].keys and len(self._blocks) > 1:
            del self._blocks[at], self._lows[at]
            self._lows[0] = ""

    def digest(self, key: str) -> bytes | None:
        """What lists of ids say of this key."""
        found = self._blocks[self._block_at(key)].get(key)
        return None if found is None else found.to_bytes(DIGEST_BYTES, "big")

    def measure(self, low: str, high: str) -> tuple[int, bytes]:
        """How many keys there are from low to high, and the fingerprint of all of them."""
        (start, below), (stop, above) = self._before(low), self._before_high(high)
        total = ((above - below) % DIGEST_MODULUS).to_bytes(DIGEST_BYTES, "big")
        covered = msgspec.msgpack.encode((low, high, stop - start, total))
        return stop - start, hashlib.blake2b(covered, digest_size=FINGERPRINT_BYTES).digest()

    def ids(self, low: str, high: str) -> Iterator[tuple[str, bytes]]:
        """Keys and digests from low to high, in order."""
        first = self._block_at(low)
        for block in self._blocks[first:]:
            for at in range(bisect_left(block.keys, low), len(block.keys)):
                if high and block.keys[at] >= high:
                    return
                yield block.keys[at], block.digests[at].to_bytes(DIGEST_BYTES, "big")

    def cuts(self, low: str, high: str, pieces: int) -> list[str]:
        """Bounds, from low to high, of pieces that hold about as many keys each; there must be that many keys."""
        start, stop = self._before(low)[0], self._before_high(high)[0]
        ranks = (start + (stop - start) * piece // pieces for piece in range(1, pieces))
        return [low, *(_between(self._key_at(rank - 1), self._key_at(rank)) for rank in ranks), high]

    def _block_at(self, key: str) -> int:
        return bisect_right(self._lows, key) - 1

    def _key_at(self, rank: int) -> str:
        at = bisect_right(self._counts, rank) - 1
        return self._blocks[at].keys[rank - self._counts[at]]

    def _before_high(self, high: str) -> tuple[int, int]:
        self._add_up()
        return self._before(high) if high else (self._counts[-1], self._sums[-1])

    def _before(self, key: str) -> tuple[int, int]:
        """How many keys are smaller than this one, and the sum of their digests."""
        self._add_up()
        at = self._block_at(key)
        block = self._blocks[at]
        within = bisect_left(block.keys, key)
        return self._counts[at] + within, self._sums[at] + sum(block.digests[:within])

    def _add_up(self) -> None:
        if not self._counts:
            self._counts = list(accumulate((len(block.keys) for block in self._blocks), initial=0))
            self._sums = list(accumulate((block.total for block in self._blocks), initial=0))


def opening(ours: Fingerprints) -> tuple[Range, ...]:
    """The first message of an exchange."""
    return _fitting(_closer(ours, "", ""))


def answer(ours: Fingerprints, ranges: Sequence[Range]) -> Answer:
    """What follows from a peer's ranges. What does not fit is left to the next opening; nothing is ever raised."""
    sound, reason = _sound(ranges)
    unequal = (
        each
        for each in sound
        if not each.lists and ours.measure(each.low, each.high) != (each.count, each.fingerprint)
    )
    lacking: list[str] = []
    giving: list[str] = []
    for each in sound:
        if each.lists:
            _compare(ours, each, lacking, giving)
    replies = _fitting(chain.from_iterable(_closer(ours, each.low, each.high) for each in unequal))
    return Answer(replies, tuple(lacking[:KEYS_MAX]), tuple(giving), reason)


def _closer(ours: Fingerprints, low: str, high: str) -> Iterator[Range]:
    """The next closer look at a range: its ids when they are few, else the fingerprints of its pieces."""
    count, _ = ours.measure(low, high)
    if count <= LEAF_MAX:
        yield Range(low, high, count, b"", tuple(ours.ids(low, high)))
        return
    bounds = ours.cuts(low, high, min(FANOUT, count // PIECE_MIN))
    for start, stop in pairwise(bounds):
        yield Range(start, stop, *ours.measure(start, stop))


def _compare(ours: Fingerprints, theirs: Range, lacking: list[str], giving: list[str]) -> None:
    listed = dict(theirs.ids)
    lacking.extend(key for key, digest in listed.items() if ours.digest(key) != digest)
    for key, digest in ours.ids(theirs.low, theirs.high):
        if len(giving) >= KEYS_MAX:
            return
        if listed.get(key) != digest:
            giving.append(key)


def _fitting(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """As many as one message holds; no more than these are worked out."""
    fitting: list[Range] = []
    size = 0
    for each in ranges:
        size += len(msgspec.msgpack.encode(each))
        if size > RANGES_BYTES_MAX or len(fitting) == RANGES_MAX:
            break
        fitting.append(each)
    return tuple(fitting)


def _sound(ranges: Sequence[Range]) -> tuple[list[Range], str]:
    """The ranges that make sense one after the other, and what was wrong with the first that does not."""
    sound: list[Range] = []
    reason = TOO_MANY if len(ranges) > RANGES_MAX else ""
    for each in ranges[:RANGES_MAX]:
        fault = _fault(each, sound[-1] if sound else None)
        reason = reason or fault
        if not fault:
            sound.append(each)
    return sound, reason


def _fault(each: Range, previous: Range | None) -> str:
    if previous is not None and (not previous.high or each.low < previous.high):
        return UNORDERED  # each key is looked at once per message, whatever the sender says
    if each.high and each.high <= each.low:
        return UNORDERED
    return "" if _is_formed(each) else MALFORMED


def _is_formed(each: Range) -> bool:
    if not each.lists:
        return not each.ids and len(each.fingerprint) == FINGERPRINT_BYTES
    return len(each.ids) <= LISTED_MAX and all(
        each.low <= key and (not each.high or key < each.high) for key, _ in each.ids
    )


class _Block:
    """Neighbouring keys and their digests."""

    def __init__(self, keys: list[str], digests: list[int]) -> None:
        self.keys = keys
        self.digests = digests
        self.total = sum(digests)

    def get(self, key: str) -> int | None:
        at = bisect_left(self.keys, key)
        return self.digests[at] if self.keys[at : at + 1] == [key] else None

    def put(self, key: str, digest: int) -> None:
        self.remove(key)
        at = bisect_left(self.keys, key)
        self.keys.insert(at, key)
        self.digests.insert(at, digest)
        self.total += digest

    def remove(self, key: str) -> None:
        at = bisect_left(self.keys, key)
        if self.keys[at : at + 1] == [key]:
            self.total -= self.digests[at]
            del self.keys[at], self.digests[at]

    def cut(self) -> "_Block":
        """Keep the lower half, return the upper."""
        half = len(self.keys) // 2
        upper = _Block(self.keys[half:], self.digests[half:])
        self.keys, self.digests = self.keys[:half], self.digests[:half]
        self.total -= upper.total
        return upper


def _digest_of(key: str, fingerprint: int) -> int:
    """Depends on the key too, and on neither in a way that anybody could choose it by."""
    assert len(key) <= KEY_CHARS_MAX, f"a key of {len(key)} characters"
    covered = fingerprint.to_bytes(DIGEST_BYTES, "big") + key.encode()
    return int.from_bytes(hashlib.blake2b(covered, digest_size=DIGEST_BYTES).digest(), "big")


def _between(lower: str, upper: str) -> str:
    """The shortest beginning of `upper` that is greater than `lower`: bounds need not be keys, and cost bytes."""
    alike = 0
    while alike < len(lower) and lower[alike] == upper[alike]:
        alike += 1
    return upper[: alike + 1]
