import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.wire import (
    ENDPOINTS_MAX,
    FRAME_BYTES_MAX,
    LANE_ALL,
    LANE_LINK,
    MESSAGES_MAX,
    PEERS_MAX,
    VERSION,
    Addresses,
    Beat,
    Bye,
    Card,
    Cast,
    CastsHeld,
    CastsWanted,
    Confirm,
    Endpoint,
    Frame,
    Hello,
    Inquiry,
    Message,
    PathNote,
    Probe,
    ProbeReply,
    Prune,
    Refuse,
    Renew,
    Renewed,
    RenewRefused,
    Report,
    RosterEntries,
    RosterWanted,
    Row,
    Rows,
    RowsWanted,
    Welcome,
    WireError,
    decode,
    encode,
)
from tests.mesh.some_messages import frames, message_of, message_types

CARD = Card("site", "node", 1, 2, 3, bytes(32), (b"leaf", b"authority"), (Endpoint("h", 1),), "0.1.0")
ROW = Row("node", 1, 2, 3, 4, True, b"aaaabbbb", b"sig")

GOLDEN: list[tuple[Message, str]] = [
    (Bye("stopping"), "9210a873746f7070696e67"),
    (Probe(7), "920607"),
    (ProbeReply(7, 300), "930707cd012c"),
    (Prune(), "9114"),
    (Inquiry(1), "921501"),
    (Renew(b"k" * 32), "920dc420" + "6b" * 32),
    (RenewRefused("no"), "920fa26e6f"),
    (Renewed((b"l", b"a")), "920e92c4016cc40161"),
    (Confirm(b"n" * 16, b"s"), "9303c410" + "6e" * 16 + "c40173"),
    (RosterWanted(b"12345678"), "920ac4083132333435363738"),
    (RosterEntries((b"e",)), "920b91c40165"),
    (RowsWanted((("n", 1, 2),)), "92099193a16e0102"),
    (Rows((ROW,)), "92089199a46e6f646501020304c3c4086161616162626262c40373696700"),
    (Beat(ROW, b"r", b"w"), "940599a46e6f646501020304c3c4086161616162626262c40373696700c40172c40177"),
    (Addresses((("n", (Endpoint("h", 80),)),)), "920c9192a16e9192a16850"),
    (Cast("n", 1, 2, "t", b"p"), "9811a16e0102a174c40170c40000"),
    (CastsHeld((("n", 1, 2, 3),)), "92129194a16e010203"),
    (CastsWanted((("n", 1, 2, 3),)), "92139194a16e010203"),
    (Refuse("code"), "9504a4636f6465a09090"),
    (
        Report(1, "n", True, 2, (PathNote("m", "alive", True, False, ""),)),
        "961601a16ec3029195a16da5616c697665c3c2a0",
    ),
]


@pytest.mark.parametrize(("message", "bytes_hex"), GOLDEN, ids=[type(each).__name__ for each, _ in GOLDEN])
def test_a_message_has_these_bytes_for_ever(message: Message, bytes_hex: str) -> None:
    data = encode(Frame(1, LANE_LINK, 2, (message,)))
    assert data.hex() == "01" + "94010002" + "91" + bytes_hex
    assert decode(data) == (Frame(1, LANE_LINK, 2, (message,)), 0)


def test_the_greeting_has_these_bytes_for_ever() -> None:
    card = (
        "99a473697465a46e6f6465010203c420"
        + "00" * 32
        + "92c4046c656166c409617574686f7269747991"
        + "92a16801a5302e312e30"
    )
    hello = encode(Frame(9, LANE_LINK, 1, (Hello(1, 1, b"n" * 16, CARD),)))
    assert hello.hex() == "0194090001" + "91" + "95010101c410" + "6e" * 16 + card
    welcome = encode(Frame(9, LANE_ALL, 1, (Welcome(1, b"e" * 16, b"n" * 16, CARD, b"s"),)))
    assert (
        welcome.hex() == "0194090101" + "91" + "960201c410" + "65" * 16 + "c410" + "6e" * 16 + card + "c40173"
    )


def test_tags_are_never_used_twice_and_never_change() -> None:
    assert {each.__struct_config__.tag: each.__name__ for each in message_types()} == {
        1: "Hello",
        2: "Welcome",
        3: "Confirm",
        4: "Refuse",
        5: "Beat",
        6: "Probe",
        7: "ProbeReply",
        8: "Rows",
        9: "RowsWanted",
        10: "RosterWanted",
        11: "RosterEntries",
        12: "Addresses",
        13: "Renew",
        14: "Renewed",
        15: "RenewRefused",
        16: "Bye",
        17: "Cast",
        18: "CastsHeld",
        19: "CastsWanted",
        20: "Prune",
        21: "Inquiry",
        22: "Report",
        23: "Told",
        24: "Summaries",
        25: "Wanted",
        26: "Part",
        27: "Busy",
        28: "Push",
        29: "Ranges",
        30: "RecordsWanted",
        31: "Records",
    }


@given(frame=frames())
def test_what_is_encoded_is_decoded_again(frame: Frame) -> None:
    assert decode(encode(frame)) == (frame, 0)


@pytest.mark.parametrize("kind", message_types(), ids=lambda kind: kind.__name__)
@settings(max_examples=15)
@given(data=st.data())
def test_every_kind_of_message_survives_the_wire(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    message = data.draw(message_of(kind))
    assert decode(encode(Frame(1, LANE_ALL, 3, (message,)))) == (Frame(1, LANE_ALL, 3, (message,)), 0)


# ---------------------------------------------------------------- old and new nodes together


def test_a_newer_senders_extra_fields_are_ignored() -> None:
    data = bytes((VERSION,)) + msgspec.msgpack.encode([1, 0, 2, [[6, 7, "a field of the future"]], "another"])
    assert decode(data) == (Frame(1, LANE_LINK, 2, (Probe(7),)), 0)


def test_an_older_senders_missing_fields_have_their_defaults() -> None:
    row = ["node", 1, 2, 3, 4, True, b""]
    data = bytes((VERSION,)) + msgspec.msgpack.encode([1, 0, 2, [[5, row, b"r", b"w"]]])
    assert decode(data) == (
        Frame(1, 0, 2, (Beat(Row("node", 1, 2, 3, 4, True, b""), b"r", b"w"),)),
        0,
    )


def test_a_message_of_the_future_is_skipped_and_the_rest_is_used() -> None:
    data = bytes((VERSION,)) + msgspec.msgpack.encode([1, 0, 2, [[6, 1], [99, "what?"], [6, 2], ["text"], 5]])
    assert decode(data) == (Frame(1, 0, 2, (Probe(1), Probe(2))), 3)


# ---------------------------------------------------------------- what is no frame


def raw(*parts: object) -> bytes:
    return bytes((VERSION,)) + b"".join(
        each if isinstance(each, bytes) else msgspec.msgpack.encode(each) for each in parts
    )


NO_FRAMES: list[tuple[str, bytes, str]] = [
    ("empty", b"", "frame-truncated"),
    ("one byte", b"\x01", "frame-truncated"),
    ("cut in the middle", encode(Frame(1, 0, 1, (Probe(1),)))[:-1], "frame-truncated"),
    ("larger than allowed", bytes(FRAME_BYTES_MAX + 1), "frame-oversized"),
    ("version 0", b"\x00\x94\x01\x00\x01\x90", "frame-version"),
    ("version 2", b"\x02\x94\x01\x00\x01\x90", "frame-version"),
    ("version 255", b"\xff\x94\x01\x00\x01\x90", "frame-version"),
    ("a string", raw("frame"), "frame-shape"),
    ("a number", raw(5), "frame-shape"),
    ("nothing", raw(None), "frame-shape"),
    ("a map", raw({"boot": 1}), "frame-shape"),
    ("too few fields", raw([1, 0]), "frame-shape"),
    ("a text for a boot", raw(["1", 0, 1, []]), "frame-shape"),
    ("a negative boot", raw([-1, 0, 1, []]), "frame-shape"),
    ("a boot of 64 bits", raw([2**64 - 1, 0, 1, []]), "frame-shape"),
    ("a lane that is none", raw([1, 2, 1, []]), "frame-shape"),
    ("a fraction for a sequence", raw([1, 0, 1.5, []]), "frame-shape"),
    ("not a number", raw([1, 0, float("nan"), []]), "frame-shape"),
    ("infinity", raw([1, 0, float("inf"), []]), "frame-shape"),
    ("too many messages", raw([1, 0, 1, [[20]] * (MESSAGES_MAX + 1)]), "frame-shape"),
    ("bytes after the end", encode(Frame(1, 0, 1, ())) + b"\x00", "frame-malformed"),
    ("a byte that MessagePack does not use", b"\x01\xc1\xc1", "frame-malformed"),
    ("four billion messages announced", b"\x01\x94\x01\x00\x01\xdd\xff\xff\xff\xff", "frame-shape"),
    (
        "four billion bytes announced",
        b"\x01\x94\x01\x00\x01\x91\x92\x0b\xc6\xff\xff\xff\xff",
        "frame-truncated",
    ),
    ("a map of four billion announced", b"\x01\x94\x01\x00\x01\x91\xdf\xff\xff\xff\xff", "frame-truncated"),
    ("200,000 arrays in one another", b"\x01" + b"\x91" * 200_000, "frame-shape"),
    (
        "deep nesting inside a message",
        b"\x01\x94\x01\x00\x01\x91\x92\x63" + b"\x91" * 99_999 + b"\x90",
        "frame-malformed",
    ),
]


@pytest.mark.parametrize(
    ("data", "reason"), [each[1:] for each in NO_FRAMES], ids=[each[0] for each in NO_FRAMES]
)
def test_what_is_no_frame_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(WireError) as refused:
        decode(data)
    assert refused.value.reason == reason


NO_MESSAGES: list[tuple[str, object]] = [
    ("text that is no UTF-8", msgspec.Raw(b"\x92\x10\xa2\xff\xfe")),
    ("a token that is no number", [6, float("nan")]),
    ("a negative token", [6, -1]),
    ("a token of 64 bits", [6, 2**64 - 1]),
    ("a tag that is text", ["6", 1]),
    ("no tag", []),
    ("a map", {"type": 6}),
    ("a reason of 401 characters", [16, "x" * 401]),
    ("a nonce of 15 bytes", [3, b"n" * 15, b"s"]),
    ("a signature of 65 bytes", [3, b"n" * 16, b"s" * 65]),
    ("a key of 33 bytes", [13, b"k" * 33]),
    ("a chain of four", [14, [b"c"] * 4]),
    ("a certificate of 4097 bytes", [14, [bytes(4097)]]),
    ("a port of 65,536", [12, [["n", [["h", 65536]]]]]),
    ("a host of 256 characters", [12, [["n", [["h" * 256, 1]]]]]),
    ("17 endpoints of one node", [12, [["n", [["h", port] for port in range(ENDPOINTS_MAX + 1)]]]]),
    ("more peers than there can be", [12, [["n", []]] * (PEERS_MAX + 1)]),
    ("an id of 33 characters", [12, [["n" * 33, []]]]),
    ("a cast that has gone 33 hops", [17, "n", 1, 1, "t", b"", b"", 33]),
    ("a cast on a topic of 121 characters", [17, "n", 1, 1, "t" * 121, b""]),
    ("a row that hears too many", [8, [["n", 1, 1, 1, 1, True, bytes(PEERS_MAX * 4 + 4)]]]),
    ("an extension of MessagePack", [6, msgspec.msgpack.Ext(5, b"x")]),
]


@pytest.mark.parametrize("message", [each[1] for each in NO_MESSAGES], ids=[each[0] for each in NO_MESSAGES])
def test_what_is_no_message_is_skipped_and_its_neighbour_used(message: object) -> None:
    data = raw([1, 0, 2, [message, [6, 5]]])
    assert decode(data) == (Frame(1, 0, 2, (Probe(5),)), 1)


@given(data=st.binary(max_size=400))
def test_any_bytes_decode_or_raise_the_one_error(data: bytes) -> None:
    for body in (data, bytes((VERSION,)) + data):
        try:
            frame, skipped = decode(body)
        except WireError as error:
            assert error.reason.startswith("frame-")
        else:
            assert len(frame.messages) + skipped <= MESSAGES_MAX


@given(frame=frames(), place=st.integers(0, 100_000), flip=st.integers(1, 255))
def test_a_changed_byte_decodes_or_raises_the_one_error(frame: Frame, place: int, flip: int) -> None:
    data = bytearray(encode(frame))
    data[place % len(data)] ^= flip
    try:
        decode(bytes(data))
    except WireError as error:
        assert error.reason in ("frame-truncated", "frame-malformed", "frame-shape", "frame-version")


def test_a_frame_of_exactly_the_largest_size_is_a_frame() -> None:
    padding = FRAME_BYTES_MAX - len(encode(Frame(1, 0, 1, (RosterEntries((bytes(100_000),)),)))) + 100_000
    data = encode(Frame(1, 0, 1, (RosterEntries((bytes(padding),)),)))
    assert len(data) == FRAME_BYTES_MAX
    assert decode(data)[0].messages == (RosterEntries((bytes(padding),)),)


# ---------------------------------------------------------------- what is signed


def test_a_rows_signature_is_not_part_of_what_is_signed() -> None:
    assert msgspec.structs.replace(ROW, signature=b"another").content() == ROW.content()


@pytest.mark.parametrize("field", [each for each in Row.__struct_fields__ if each != "signature"])
def test_every_other_field_of_a_row_is_signed(field: str) -> None:
    value = getattr(ROW, field)
    other = (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value + value[:1]
    )
    assert msgspec.structs.replace(ROW, **{field: other}).content() != ROW.content()


def test_a_casts_hops_are_not_signed_but_everything_else_is() -> None:
    cast = Cast("node", 1, 2, "topic", b"payload", b"sig", 0)
    assert msgspec.structs.replace(cast, hops=3).content() == cast.content()
    for changes in (
        {"origin": "other"},
        {"incarnation": 2},
        {"sequence": 3},
        {"topic": "x"},
        {"payload": b"x"},
    ):
        assert msgspec.structs.replace(cast, **changes).content() != cast.content()


@pytest.mark.parametrize(
    ("host", "text"), [("10.0.0.1", "10.0.0.1:8883"), ("fe80::1", "[fe80::1]:8883"), ("press", "press:8883")]
)
def test_an_endpoint_reads_as_people_write_it(host: str, text: str) -> None:
    assert str(Endpoint(host, 8883)) == text
