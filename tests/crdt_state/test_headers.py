"""Headers: which generation is the current one."""

from crdt_state.headers import NUMBER_MAX, Header, digest_of, header_of, mark_of
from crdt_state.record import Register, make_record
from mesh.hybrid import time_of
from tests.crdt_state.records import IDENTITIES, NOW, SECOND
from tests.crdt_state.worlds import Worlds


def put(worlds: Worlds, writer: int, seq: int, at_ms: int, number: int, **body: object) -> bytes:
    """A header of this writer, seen at place 0; its mark."""
    register = Register("generation", "asset")
    record = make_record(IDENTITIES[writer], register, 1, seq, time_of(at_ms), (), {"number": number, **body})
    worlds.state(0).view.put(record)
    return mark_of(record, min(number, NUMBER_MAX))


def current(worlds: Worlds) -> Header | None:
    return header_of(worlds.state(0), "asset")


def test_the_highest_number_is_current_then_the_latest_then_the_highest_author() -> None:
    worlds = Worlds(1)
    assert current(worlds) is None
    put(worlds, 3, 1, NOW + SECOND, 1)
    second = put(worlds, 0, 1, NOW, 2)
    header = current(worlds)
    assert header is not None
    assert header.mark == second
    later = put(worlds, 1, 1, NOW + SECOND, 2)
    header = current(worlds)
    assert header is not None
    assert header.mark == later
    same = put(worlds, 2, 1, NOW + SECOND, 2)
    header = current(worlds)
    assert header is not None
    assert header.mark == same


def test_numbers_beyond_all_measure_are_equal_and_the_later_wins() -> None:
    worlds = Worlds(1)
    put(worlds, 0, 1, NOW, 2**63 - 1)
    later = put(worlds, 1, 1, NOW + SECOND, NUMBER_MAX)
    header = current(worlds)
    assert header is not None
    assert (header.mark, header.number) == (later, NUMBER_MAX)


def test_what_cannot_be_read_is_no_header() -> None:
    worlds = Worlds(1)
    put(worlds, 0, 1, NOW, 7, context="all of it")
    put(worlds, 1, 1, NOW, 9, digest=5)
    first = put(worlds, 2, 1, NOW, 1)
    header = current(worlds)
    assert header is not None
    assert header.mark == first


def test_a_digest_does_not_depend_on_the_order() -> None:
    records = [make_record(IDENTITIES[0], Register("asset", f"a/{i}"), 1, i, 1, (), {}) for i in range(1, 4)]
    assert digest_of(records) == digest_of(records[::-1]) != digest_of(records[:2])
    assert digest_of([]) == bytes(16)
