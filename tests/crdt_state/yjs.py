"""Yjs updates written by hand, byte by byte: also those that no library would write."""

from collections.abc import Iterable, Mapping

_HAS_ORIGIN, _HAS_KEY, _VALUES, _BUFFER, _ARRAY, _UNDEFINED = 0x80, 0x20, 8, 116, 117, 127

Deletions = Mapping[int, Iterable[tuple[int, int]]]


def number(value: int) -> bytes:
    """A variable-length whole number."""
    spelt = b""
    while value >= 0x80:
        spelt += bytes([value & 0x7F | 0x80])
        value >>= 7
    return spelt + bytes([value])


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return number(len(data)) + data


def buffer(value: bytes) -> bytes:
    """One plain value: bytes."""
    return number(1) + bytes([_BUFFER]) + text(value)


def deep_values(depth: int) -> bytes:
    """One plain value: lists within lists."""
    return number(1) + (bytes([_ARRAY]) + number(1)) * depth + bytes([_UNDEFINED])


def item(
    key: str = "",
    value: bytes = b"",
    origin: tuple[int, int] | None = None,
    raw: bytes | None = None,
    root: str = "records",
) -> bytes:
    """A value under a key of a root map, or one that replaces another (its origin)."""
    content = buffer(value) if raw is None else raw
    if origin is not None:
        return bytes([_HAS_ORIGIN | _HAS_KEY | _VALUES]) + number(origin[0]) + number(origin[1]) + content
    return bytes([_HAS_KEY | _VALUES]) + number(1) + text(root) + text(key) + content


def update_of(pens: Mapping[int, tuple[int, Iterable[bytes]]], deletions: Deletions | None = None) -> bytes:
    """An update: each pen's structs from a clock on, then what is deleted."""
    data = number(len(pens))
    for pen, (clock, structs) in pens.items():
        listed = list(structs)
        data += number(len(listed)) + number(pen) + number(clock) + b"".join(listed)
    gone = {pen: list(ranges) for pen, ranges in (deletions or {}).items()}
    data += number(len(gone))
    for pen, ranges in gone.items():
        data += number(pen) + number(len(ranges))
        data += b"".join(number(clock) + number(length) for clock, length in ranges)
    return data


def state_vector(clocks: Mapping[int, int]) -> bytes:
    return number(len(clocks)) + b"".join(number(pen) + number(clock) for pen, clock in clocks.items())
