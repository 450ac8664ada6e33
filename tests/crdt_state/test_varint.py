import pytest

from crdt_state.varint import CLOCK_MAX, PEN_MAX, clocks_of
from tests.crdt_state.yjs import number, state_vector


def test_an_empty_state_vector_has_no_clocks() -> None:
    assert clocks_of(b"\0") == {}


def test_each_pen_has_its_clock() -> None:
    assert clocks_of(bytes([2, 5, 3, 0x80, 0x01, 7])) == {5: 3, 128: 7}


def test_the_largest_pen_and_clock_are_read() -> None:
    assert clocks_of(state_vector({PEN_MAX: CLOCK_MAX})) == {9007199254740991: 2147483647}


@pytest.mark.parametrize(
    ("summary", "fault"),
    [
        (b"", "ends too soon"),
        (b"\x01", "ends too soon"),
        (b"\x01\x05", "ends too soon"),
        (b"\x00\x00", "bytes after"),
        (b"\x01\x05\x80", "ends too soon"),
        (b"\x80" * 11, "does not end"),
        (number(2**40), "ends too soon"),
        (state_vector({2**53: 1}), "nobody has"),
        (state_vector({1: 2**31}), "nobody has"),
    ],
)
def test_what_is_no_state_vector_is_named(summary: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        clocks_of(summary)
