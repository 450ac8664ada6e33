"""y-websocket's messages: each as the stock client writes it, and whatever else a client may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_state.varint import clocks_of
from node.live_protocol import (
    HEARTBEAT,
    Asked,
    MalformedMessageError,
    Message,
    Offered,
    Passed,
    read_message,
    shared_part,
    step2_message,
    update_message,
    write_number,
)

VECTOR = bytes.fromhex("02 a1 06 05 07 02")  # client 801 at 5, client 7 at 2


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"\0\0\1\0", Asked(b"\0")),
        (b"\0\0\6" + VECTOR, Asked(VECTOR)),
        (b"\0\0\0", Asked(b"")),
        (b"\0\1\2\0\0", Offered(b"\0\0")),
        (b"\0\2\3abc", Offered(b"abc")),
        (b"\0\2\x80\1" + b"x" * 128, Offered(b"x" * 128)),
        (b"\0\x82\0\3abc", Offered(b"abc")),  # a number may be written longer than it needs
        (b"\1\1\0", Passed()),
        (b"\1\xff\xff\xff", Passed()),  # awareness is not even looked at
        (b"\2\0\2no", Passed()),
        (b"\3", Passed()),
        (b"\x64", Passed()),  # a kind that only newer clients know
    ],
)
def test_a_message_is_understood(written: bytes, message: Message) -> None:
    assert read_message(written) == message


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0\0\2\0",  # shorter than it says
        b"\0\0\1\0\0",  # longer than it says
        b"\0\3\0",  # there is no step 3
        b"\0\2\xff\xff\xff\xff\xff\xff\xff\x7f",  # 2**56 bytes
        b"\x80" * 9 + b"\0",  # a number that does not end
    ],
)
def test_bytes_that_are_no_message_are_refused(written: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        read_message(written)


@pytest.mark.parametrize(
    ("update", "is_empty"), [(b"\0\0", True), (b"\0", False), (b"", False), (b"\1\0", False)]
)
def test_only_the_empty_update_offers_nothing(update: bytes, is_empty: bool) -> None:
    assert Offered(update).is_empty is is_empty


def test_what_is_sent_is_what_the_stock_client_reads() -> None:
    assert step2_message(b"abc") == b"\0\1\3abc"
    assert update_message(b"x" * 300) == b"\0\2\xac\2" + b"x" * 300
    assert HEARTBEAT == b"\1\1\0"


@pytest.mark.parametrize(
    ("number", "written"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (2**53 - 1, b"\xff" * 7 + b"\x0f")]
)
def test_a_number_is_written_seven_bits_a_byte(number: int, written: bytes) -> None:
    assert write_number(number) == written


@pytest.mark.parametrize(
    ("theirs", "shared"),
    [
        (b"\0", {}),
        (VECTOR, {801: 5, 7: 2}),
        (bytes.fromhex("01 07 01"), {7: 1}),
        (bytes.fromhex("01 09 00"), {}),  # a client at 0 is nothing
        (bytes.fromhex("01 07 03"), None),  # more of client 7 than we have
        (bytes.fromhex("01 09 01"), None),  # a client that we do not know
        (bytes.fromhex("01 ff ff ff ff ff ff ff 0f 01"), None),  # the highest client there can be
    ],
)
def test_a_vector_is_shared_as_far_as_it_is_ours(theirs: bytes, shared: dict[int, int] | None) -> None:
    part = shared_part(theirs, VECTOR)
    assert (None if part is None else clocks_of(part)) == shared


@pytest.mark.parametrize("theirs", [b"", b"\1", b"\1\7", b"\0\0", b"\xff" * 20, b"\xff\xff\xff\xff\x0f"])
def test_what_is_no_vector_is_refused(theirs: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        shared_part(theirs, VECTOR)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_refused(written: bytes) -> None:
    try:
        message = read_message(written)
    except MalformedMessageError:
        return
    if isinstance(message, Asked):
        try:
            part = shared_part(message.vector, VECTOR)
        except MalformedMessageError:
            return
        assert part is None or clocks_of(part).items() <= {801: 5, 7: 2}.items() or _is_older(clocks_of(part))


@given(st.binary(max_size=300))
def test_an_update_comes_back_as_it_was_sent(update: bytes) -> None:
    assert read_message(update_message(update)) == read_message(step2_message(update)) == Offered(update)


def _is_older(clocks: dict[int, int]) -> bool:
    return all(clock <= {801: 5, 7: 2}[client] for client, clock in clocks.items())
