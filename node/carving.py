"""Carving: rows out of a database file that SQLite itself can no longer read.

Each row of the store carries a check, so it does not matter how we came upon it: every leaf page that is left is
taken apart, and what its check confirms is sound. Freed pages hold nothing old: `connect` has SQLite wipe them.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from node.wal_tail import PAGE_BYTES, committed_pages, read_frames, wal_of

TABLE_LEAF, INDEX_LEAF = 0x0D, 0x0A
FILE_HEADER_BYTES = 100  # before the content of page 1
LOCAL_MAX = PAGE_BYTES - 35  # a payload up to this stays on its leaf
LOCAL_MIN = (PAGE_BYTES - 12) * 32 // 255 - 23
INDEX_LOCAL_MAX = (PAGE_BYTES - 12) * 64 // 255 - 23
VALUE_BYTES_MAX = 1 << 30  # SQLite's own
COLUMNS_MAX = 8  # more than any row that we look for has
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)

Values = tuple[bytes | int | str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry of a leaf page; `rowid` 0 in an index."""

    rowid: int
    values: Values


class Pages:
    """The newest committed content of each page, of the file and its log. A page that cannot be read is b""."""

    def __init__(self, database: Path) -> None:
        self._database, self._wal = database, wal_of(database)
        self._in_wal: Mapping[int, int] = {}
        self._file: BinaryIO | None = None
        self._log: BinaryIO | None = None
        self._stack = ExitStack()
        self.count = 0

    def __enter__(self) -> Self:
        self._in_wal = committed_pages(read_frames(self._wal))
        if self._database.exists():
            self._file = self._stack.enter_context(self._database.open("rb"))
            self.count = -(-self._database.stat().st_size // PAGE_BYTES)
        if self._in_wal:
            self._log = self._stack.enter_context(self._wal.open("rb"))
            self.count = max(self.count, *self._in_wal)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, page: int) -> bytes:
        at = self._in_wal.get(page)
        source, at = (self._file, (page - 1) * PAGE_BYTES) if at is None else (self._log, at)
        if source is None or page < 1:
            return b""
        try:
            source.seek(at)
            return source.read(PAGE_BYTES)
        except OSError:  # a bad sector
            return b""

    def cells(self, kind: int) -> Iterator[Cell]:
        """Every entry of every leaf of this kind that can be taken apart."""
        for number in range(1, self.count + 1):
            page = self.read(number)
            begin = FILE_HEADER_BYTES if number == 1 else 0
            if len(page) == PAGE_BYTES and page[begin] == kind:
                yield from self._cells_on(page, begin, kind)

    def _cells_on(self, page: bytes, begin: int, kind: int) -> Iterator[Cell]:
        pointers = begin + 8
        for number in range(int.from_bytes(page[begin + 3 : begin + 5], "big")):
            at = int.from_bytes(page[pointers + 2 * number : pointers + 2 * number + 2], "big")
            try:
                cell = self._cell(page, at, kind)
            except (IndexError, ValueError):
                continue
            if cell is not None:
                yield cell

    def _cell(self, page: bytes, at: int, kind: int) -> Cell | None:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at) if kind == TABLE_LEAF else (0, at)
        if kind == TABLE_LEAF:
            payload = self._payload(page, at, size)
        else:
            payload = page[at : at + size] if size <= INDEX_LOCAL_MAX else b""
        return Cell(rowid, _values(payload)) if payload else None

    def _payload(self, page: bytes, at: int, size: int) -> bytes:
        """What of it is on the leaf, and the rest from the chain of pages that it names."""
        if size <= LOCAL_MAX:
            return page[at : at + size]
        if size > VALUE_BYTES_MAX:
            return b""
        local = LOCAL_MIN + (size - LOCAL_MIN) % (PAGE_BYTES - 4)
        local = local if local <= LOCAL_MAX else LOCAL_MIN
        parts = [page[at : at + local]]
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        for _ in range(-(-(size - local) // (PAGE_BYTES - 4))):
            part = self.read(following) if following <= self.count else b""
            if len(part) < PAGE_BYTES:
                return b""
            parts.append(part[4:])
            following = int.from_bytes(part[:4], "big")
        return b"".join(parts)[:size]


def _values(payload: bytes) -> Values:
    """The columns of one record; ValueError or IndexError when it is none of ours."""
    header_bytes, at = _varint(payload, 0)
    kinds = []
    while at < header_bytes:
        kind, at = _varint(payload, at)
        kinds.append(kind)
        if len(kinds) > COLUMNS_MAX:
            raise ValueError("more columns than any row of ours")
    values: list[bytes | int | str] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[bytes | int | str, int]:
    if kind < 12:
        end = at + _INTEGER_BYTES[kind]
        return (kind - 8 if kind in (8, 9) else int.from_bytes(payload[at:end], "big", signed=True)), end
    end = at + (kind - 12) // 2
    if end > len(payload):
        raise ValueError("a column that ends behind its row")
    value = payload[at:end]
    return (value.decode() if kind % 2 else value), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's: big-endian, seven bits a byte, the ninth byte whole."""
    value = 0
    for number in range(8):
        byte = data[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    return value << 8 | data[at + 8], at + 9
