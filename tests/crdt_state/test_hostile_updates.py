"""What native code never gets to see."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text

from crdt_state.update import Update, UpdateError, read_update
from crdt_state.varint import clocks_of
from tests.crdt_state.yjs import deep_values, item, number, text, update_of

KEY = "k" * 16


def refusal(data: bytes) -> str:
    with pytest.raises(UpdateError) as caught:
        read_update(data)
    return caught.value.reason


def test_an_update_says_what_it_brings_and_what_must_be_there_before() -> None:
    data = update_of({5: (3, [item(KEY, b"one"), item(origin=(9, 6), value=b"two")])}, {7: [(1, 2), (8, 1)]})
    assert read_update(data) == Update(starts={5: 3}, stops={5: 5}, needs={9: 7, 7: 9})


def test_an_update_fits_when_nothing_before_it_is_missing() -> None:
    update = Update(starts={5: 3}, stops={5: 5}, needs={9: 7})
    assert update.fits({5: 3, 9: 7}) and update.fits({5: 9, 9: 8})
    assert not update.fits({5: 2, 9: 7})
    assert not update.fits({5: 3, 9: 6})


def test_an_update_may_build_on_what_it_brings_itself() -> None:
    assert Update(starts={5: 0, 6: 0}, stops={5: 2, 6: 1}, needs={5: 2}).fits({})


def test_an_update_that_brings_nothing_is_one() -> None:
    assert read_update(b"\0\0") == Update()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\0",
        number(2**40),
        update_of({5: (0, [])}),
        update_of({5: (0, [item(KEY, b"x")])})[:-1],
        update_of({5: (0, [item(KEY, b"x")])}) + b"\0",
        update_of({2**53: (0, [item(KEY, b"x")])}),
        update_of({5: (2**31 - 1, [item(KEY, b"x")])}),
        update_of({5: (0, [b"\0" + number(0)])}),
        update_of({5: (0, [b"\0" + number(2**31)])}),
        update_of({5: (0, [b"\x20"])}),
        b"\x01\x80\x00" + update_of({5: (0, [item(KEY, b"x")])})[2:],
        b"\x02" + update_of({5: (0, [item(KEY, b"x")])})[1:-1] * 2 + b"\0",
    ],
    ids=[
        "nothing",
        "half",
        "trailing byte",
        "pens that do not come",
        "a pen without structs",
        "cut off",
        "longer",
        "a pen too large",
        "a clock that overflows",
        "an empty gap",
        "a gap beyond every clock",
        "a gone value with a key",
        "a number spelt with a zero at its end",
        "a pen that comes twice",
    ],
)
def test_what_is_no_update_is_malformed(data: bytes) -> None:
    assert refusal(data) == "delta-malformed"


@pytest.mark.parametrize(
    "struct",
    [
        item(KEY, b"x", root="record"),
        item("short", b"x"),
        item("k" * 17, b"x"),
        item("ü" * 8, b"x"),
        item(KEY, bytes(65_537)),
        item(KEY, raw=number(2) + b"\x74\x00\x74\x00"),
        item(KEY, raw=number(1) + b"\x78"),
        item(KEY, raw=deep_values(100_000)),
        b"\x08" + number(1) + text("records") + number(1) + b"\x74\x00",
        b"\x28" + number(0) + number(5) + number(0) + text(KEY) + number(1) + b"\x74\x00",
        b"\xe8" + number(5) + number(0) + number(5) + number(0) + number(1) + b"\x74\x00",
        b"\x27" + number(1) + text("records") + text(KEY) + number(1),
        b"\x24" + number(1) + text("records") + text(KEY) + text("text"),
        b"\x0a" + number(7),
    ],
    ids=[
        "another root",
        "a short key",
        "a long key",
        "a key that is not ASCII",
        "a value larger than a record",
        "two values",
        "true",
        "lists that would overflow the stack",
        "a list in the map",
        "a parent that is a value",
        "a neighbour to the right",
        "a nested type",
        "text",
        "a gap",
    ],
)
def test_what_no_map_of_blobs_has_is_foreign(struct: bytes) -> None:
    assert refusal(update_of({5: (0, [struct])})) == "delta-foreign"


def test_more_structs_than_any_document_has_are_too_many() -> None:
    assert refusal(update_of({5: (0, [b"\0\1"] * 500_001)})) == "delta-oversized"


@pytest.mark.parametrize("kind", [Array([1]), Text("x"), Map({"a": 1}), 7, None, "text", {"a": [1]}, True])
def test_what_a_stock_client_may_put_under_a_key_is_foreign(kind: Any) -> None:
    doc: Doc[Any] = Doc(client_id=5)
    doc.get("records", type=Map)[KEY] = kind
    assert refusal(doc.get_update()) == "delta-foreign"


@given(st.integers(0, 2**32), st.integers(1, 120))
def test_whatever_honest_replicas_do_their_deltas_are_read_and_fit(seed: int, steps: int) -> None:
    random = Random(seed)
    docs: list[Doc[Any]] = [Doc(client_id=random.getrandbits(52) + 1) for _ in range(3)]
    maps: list[Map[Any]] = [doc.get("records", type=Map) for doc in docs]
    for _ in range(steps):
        here, there, key = random.randrange(3), random.randrange(3), f"{random.randrange(9):016d}"
        if random.random() < 0.6:
            maps[here][key] = random.randbytes(random.randrange(40))
        elif random.random() < 0.3 and key in maps[here]:
            del maps[here][key]
        else:
            delta = docs[here].get_update(docs[there].get_state())
            assert read_update(delta).fits(clocks_of(docs[there].get_state()))
            docs[there].apply_update(delta)
    for doc in docs:
        update = read_update(doc.get_update())
        assert update.fits({}) and update.stops == clocks_of(doc.get_state())
