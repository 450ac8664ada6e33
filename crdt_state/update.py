"""Yjs updates (version 1), read before native code gets to see them: only what we could have drawn ourselves passes.

The native document takes any update that is well formed: arrays that loop for ever when they are read, nested maps
and values deep enough to overflow its stack, other roots, parts that wait in memory for what never comes. Here a
document is one root map of blobs, so its updates are of few forms, and whatever else there is is refused unread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crdt_state.record import KEY_CHARS, RECORD_BYTES_MAX
from crdt_state.varint import CLOCK_MAX, PEN_MAX, VARINT_BYTES_MAX

ROOT = "records"
STRUCTS_MAX = (
    500_000  # in one update: some times as many as a full document has after years without a rebuild
)

_ROOT = ROOT.encode()
_GONE, _DELETED, _VALUES = (
    0,
    1,
    8,
)  # what a struct may hold: nothing any more, deleted values, plain values ...
_BUFFER = 116  # ... of which we draw one at a time, a blob
_HAS_ORIGIN, _HAS_RIGHT, _HAS_KEY, _CONTENT = 0x80, 0x40, 0x20, 0x1F


class UpdateError(Exception):
    """An update that is not applied; `reason` is a counter's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Update:
    """What an update brings, and what must be there before it, as clocks of pens."""

    starts: dict[int, int] = field(default_factory=dict)
    stops: dict[int, int] = field(default_factory=dict)
    needs: dict[int, int] = field(default_factory=dict)

    def fits(self, clocks: Mapping[int, int]) -> bool:
        """Whether a document with these clocks has everything that it builds on."""
        return all(start <= clocks.get(pen, 0) for pen, start in self.starts.items()) and all(
            need <= max(clocks.get(pen, 0), self.stops.get(pen, 0)) for pen, need in self.needs.items()
        )


def read_update(data: bytes) -> Update:
    """UpdateError: `delta-malformed` when it is no update, `delta-foreign` when none of a map of blobs."""
    reader = _Reader(data)
    try:
        reader.read()
    except IndexError:
        raise UpdateError("delta-malformed") from None
    return reader.update


class _Reader:
    """Goes through an update once. IndexError where it ends too soon."""

    def __init__(self, data: bytes) -> None:
        self.update = Update()
        self._data = data
        self._at = 0
        self._structs = 0

    def read(self) -> None:
        for _ in range(self._number(PEN_MAX)):
            self._read_pen()
        for _ in range(self._number(PEN_MAX)):
            self._read_deletions()
        _demand(self._at == len(self._data))

    def _read_pen(self) -> None:
        count, pen, clock = self._number(PEN_MAX), self._number(PEN_MAX), self._number(CLOCK_MAX)
        update = self.update
        _demand(pen not in update.stops and count > 0)
        self._structs += count
        if self._structs > STRUCTS_MAX:
            raise UpdateError("delta-oversized")
        update.starts[pen] = clock
        for _ in range(count):
            clock += self._read_struct()
        _demand(clock <= CLOCK_MAX)
        update.stops[pen] = clock

    def _read_deletions(self) -> None:
        pen = self._number(PEN_MAX)
        for _ in range(self._number(PEN_MAX)):
            clock = self._number(CLOCK_MAX)
            self._need(pen, clock + self._number(CLOCK_MAX))

    def _read_struct(self) -> int:
        """How many clocks it takes."""
        info = self._data[self._at]
        self._at += 1
        content = info & _CONTENT
        if content == _GONE:
            _demand(info == _GONE)
            return self._length()
        if content not in (_DELETED, _VALUES) or info & _HAS_RIGHT:
            raise UpdateError("delta-foreign")
        if info & _HAS_ORIGIN:
            self._need(self._number(PEN_MAX), self._number(CLOCK_MAX) + 1)
        else:
            self._read_place(info)
        if content == _DELETED:
            return self._length()
        self._read_blob()
        return 1

    def _read_place(self, info: int) -> None:
        """The first value under a key says where that is."""
        is_root = self._number(1)
        if not is_root or self._bytes(len(_ROOT)) != _ROOT or not info & _HAS_KEY:
            raise UpdateError("delta-foreign")
        key = self._bytes(KEY_CHARS)
        if len(key) != KEY_CHARS or not key.isascii():
            raise UpdateError("delta-foreign")

    def _read_blob(self) -> None:
        if self._number(PEN_MAX) != 1 or self._data[self._at] != _BUFFER:
            raise UpdateError("delta-foreign")
        self._at += 1
        size = self._number(PEN_MAX)
        if size > RECORD_BYTES_MAX:
            raise UpdateError("delta-foreign")
        self._at += size
        _demand(self._at <= len(self._data))

    def _bytes(self, size_max: int) -> bytes:
        """Some bytes with their length; no more of them than asked for are looked at."""
        size = self._number(PEN_MAX)
        start = self._at
        self._at += size
        _demand(self._at <= len(self._data))
        return self._data[start : self._at] if size <= size_max else b""

    def _length(self) -> int:
        length = self._number(CLOCK_MAX)
        _demand(length > 0)
        return length

    def _need(self, pen: int, clock: int) -> None:
        if clock > self.update.needs.get(pen, 0):
            self.update.needs[pen] = clock

    def _number(self, largest: int) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte if byte < 0x80 and byte <= largest else self._long_number(byte & 0x7F, byte, largest)

    def _long_number(self, number: int, byte: int, largest: int) -> int:
        for place in range(1, VARINT_BYTES_MAX):
            if byte < 0x80:
                break
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << (7 * place)
            _demand(byte != 0)  # one number, one spelling: who reads longer ones, and how, is not tried
        _demand(byte < 0x80 and number <= largest)
        return number


def _demand(is_so: bool) -> None:
    if not is_so:
        raise UpdateError("delta-malformed")
