import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_state.record import (
    Dot,
    Record,
    RecordError,
    Register,
    check_record,
    decode_record,
    key_of,
    make_record,
)
from mesh.hybrid import time_of
from tests.crdt_state.documents import Writing
from tests.mesh.site import WALL_MS

WRITING = Writing()
ME, OTHER = WRITING.identity(0), WRITING.identity(1)
REGISTER = Register("asset", "a/pump")


def made(body: object = None, item: str = "a/pump", over: tuple[Dot, ...] = ()) -> Record:
    return make_record(ME, Register("asset", item), 1, 7, time_of(WALL_MS), over, body)  # type: ignore[arg-type]  # also what is no body


def refusal(blob: bytes) -> str:
    with pytest.raises(RecordError) as caught:
        decode_record(blob)
    return caught.value.reason


def pair_of(record: Record) -> list[bytes]:
    pair = msgspec.msgpack.decode(record.blob)
    assert isinstance(pair, list)
    return pair


def test_a_record_says_who_wrote_what_when_and_over_what() -> None:
    seen = Dot(OTHER.node, 3, 4)
    record = decode_record(made({"n": 1}, over=(seen,)).blob)
    assert record.register == ("asset", "a/pump", "")
    assert record.dot == Dot(ME.node, 1, 7)
    assert record.time == time_of(WALL_MS)
    assert record.over == (seen,)
    assert record.body == {"n": 1} and not record.is_deletion
    check_record(record, ME.public)


def test_a_deletion_is_a_record_without_a_body() -> None:
    record = made(None)
    assert record.is_deletion and record.body == {} and record.body_bytes is None
    check_record(record, ME.public)


def test_a_version_is_over_what_its_author_saw_and_all_that_came_before_it() -> None:
    record = made({}, over=(Dot(OTHER.node, 3, 4),))
    assert record.is_over(Dot(OTHER.node, 3, 4)) and record.is_over(Dot(OTHER.node, 2, 99))
    assert not record.is_over(Dot(OTHER.node, 3, 5)) and not record.is_over(Dot(ME.node, 1, 1))


def test_each_author_has_its_place_for_each_register() -> None:
    keys = {
        key_of(Register(kind, item, facet), author)
        for kind in ("asset", "fact")
        for item in ("a", "b")
        for facet in ("", "x")
        for author in (ME.node, OTHER.node)
    }
    assert len(keys) == 16 and {len(key) for key in keys} == {16}
    assert made({}).key == key_of(REGISTER, ME.node)


def test_anybody_elses_signature_is_forged() -> None:
    with pytest.raises(RecordError, match="record-forged"):
        check_record(made({"n": 1}), OTHER.public)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_bit_of_a_record_can_be_changed(at: int, bit: int) -> None:
    blob = bytearray(made({"n": 1}).blob)
    blob[at % len(blob)] ^= 1 << bit
    with pytest.raises(RecordError):
        check_record(decode_record(bytes(blob)), ME.public)


def test_there_is_one_spelling_of_a_record() -> None:
    content, signature = pair_of(made({"n": 1}))
    longer = b"\x92\xc6" + len(content).to_bytes(4, "big") + content + b"\xc4\x40" + signature
    assert msgspec.msgpack.decode(longer) == [content, signature]
    assert refusal(longer) == "record-malformed"
    assert refusal(msgspec.msgpack.encode([content, signature, b"more"])) == "record-malformed"
    assert refusal(made({"n": 1}).blob + b"\0") == "record-malformed"


def test_a_field_that_a_later_release_adds_is_carried_and_costs_no_signature() -> None:
    fields = msgspec.msgpack.decode(pair_of(made({"n": 1}))[0])
    content = msgspec.msgpack.encode([*fields, "later"])
    signature = ME.sign(b"fieldmesh record\0" + content)
    record = decode_record(msgspec.msgpack.encode([content, signature]))
    check_record(record, ME.public)
    assert record.body == {"n": 1}


@pytest.mark.parametrize(
    "change",
    [
        {0: ""},
        {0: "k" * 25},
        {1: ""},
        {1: "i" * 301},
        {2: "f" * 25},
        {4: -1},
        {5: 2**63},
        {6: "now"},
        {7: [["x", 1, 1]] * 257},
        {8: "text"},
        {8: {}},
    ],
    ids=str,
)
def test_a_content_that_breaks_a_bound_is_malformed(change: dict[int, object]) -> None:
    fields = msgspec.msgpack.decode(pair_of(made({"n": 1}))[0])
    fields = [change.get(place, value) for place, value in enumerate(fields)]
    assert refusal(msgspec.msgpack.encode([msgspec.msgpack.encode(fields), bytes(64)])) == "record-malformed"


@pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x91" * 70, b"\x92\xc4\x00\xc4\x00", b"text", b"\x80"])
def test_rubbish_is_malformed(blob: bytes) -> None:
    assert refusal(blob) == "record-malformed"


def test_a_blob_that_is_too_large_is_not_even_read() -> None:
    assert refusal(bytes(65_537)) == "record-oversized"
    with pytest.raises(RecordError, match="record-oversized"):
        made({"x": "y" * 65_500})


@pytest.mark.parametrize(
    "body",
    [{"n": 2**70}, {"n": object()}, {"n": "\ud800"}, {1: "x"}],
    ids=["a huge number", "an object", "half a character", "a key that is no text"],
)
def test_a_body_that_nobody_could_read_is_not_signed(body: object) -> None:
    with pytest.raises(RecordError, match="record-malformed"):
        check_record(made(body), ME.public)


@pytest.mark.parametrize(("depth", "is_taken"), [(15, True), (16, False), (400, False)])
def test_a_body_nests_fifteen_deep_at_the_most(depth: int, is_taken: bool) -> None:
    body: object = 1
    for _ in range(depth):
        body = {"d": body}
    record = made(body)
    if is_taken:
        check_record(record, ME.public)
    else:
        with pytest.raises(RecordError, match="record-malformed"):
            check_record(record, ME.public)


def test_what_is_signed_and_deep_enough_to_break_a_decoder_is_malformed() -> None:
    fields = msgspec.msgpack.decode(pair_of(made({"n": 1}))[0])
    fields[8] = b"\x81\xa1d" * 20_000 + b"\x01"
    content = msgspec.msgpack.encode(fields)
    record = decode_record(msgspec.msgpack.encode([content, ME.sign(b"fieldmesh record\0" + content)]))
    with pytest.raises(RecordError, match="record-malformed"):
        check_record(record, ME.public)


def test_the_same_write_signed_alike_is_the_same_record() -> None:
    assert made({"n": 1}) == made({"n": 1}) and made({"n": 1}).hash == made({"n": 1}).hash
    assert made({"n": 1}) != made({"n": 2}) and made({"n": 1}).hash != made({"n": 2}).hash
