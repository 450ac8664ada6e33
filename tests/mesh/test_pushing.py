"""Level one: what is written goes out at once, and no further than it must."""

import msgspec

from mesh.events import SendAll, Traffic
from mesh.rows import pack
from mesh.wire import Push, Row, Told
from tests.mesh.cores import none_of, only, sent_to
from tests.mesh.exchanges import SITE, A, B, C, D, Side, causes, traffic


def push(words: tuple[str, ...], start: int = 0, pen: int = 9, sender: int = 1, name: str = "alarm") -> Push:
    """A push by the member at this place, of words that fit onto the pen's clock at `start`."""
    updates = tuple(
        msgspec.msgpack.encode([(pen, start + place, word)]) for place, word in enumerate(words, start=1)
    )
    unsigned = Push(name, b"", pen, start, start + len(words), updates)
    signature = SITE.keys[sender].identity.sign(unsigned.content())
    return msgspec.structs.replace(unsigned, signature=signature)


def row_of(place: int, hears: tuple[str, ...]) -> Row:
    unsigned = Row(SITE.nodes[place], 1, 1, 1, 0, True, pack(hears))  # type: ignore[arg-type]  # ids are texts
    return msgspec.structs.replace(unsigned, signature=SITE.keys[place].identity.sign(unsigned.content()))


def test_a_first_write_goes_out_at_once_to_every_linked_peer_in_one_signed_envelope() -> None:
    side = Side(0, [B, C])
    side.shelf.write("asset", "pump")
    effects = side.settles(10.0)
    (sent,) = only(effects, SendAll)
    assert [peer for peer, _ in sent.links] == sorted([B, C])
    (message,) = sent_to(B, effects)
    assert isinstance(message, Push)
    assert (message.name, message.pen, message.start, message.stop) == ("asset", 1, 0, 1)
    assert message.signature == SITE.keys[0].identity.sign(message.content())


def test_after_eight_pushes_in_a_row_writes_travel_together_every_twenty_milliseconds() -> None:
    side = Side(0, [B])
    for number in range(8):
        side.shelf.write("asset", f"quick {number}")
        assert len(sent_to(B, side.settles(10.0))) == 1
    side.shelf.write("asset", "two")
    assert none_of(side.settles(10.001), SendAll)
    side.shelf.write("asset", "three")
    assert none_of(side.settles(10.019), SendAll)
    assert round(side.exchange.wake_at(), 6) == 10.02
    (message,) = sent_to(B, side.settles(10.02))
    assert isinstance(message, Push) and (message.start, message.stop) == (8, 10)


def test_alarms_go_before_the_rest_of_the_state() -> None:
    side = Side(0, [B])
    side.shelf.write("alarm", "hot")
    assert traffic(side.settles(10.0)) == [Traffic.ALARM]
    side.shelf.write("asset", "pump")
    assert traffic(side.settles(11.0)) == [Traffic.STATE]


def test_what_is_too_large_to_push_is_told_of_instead() -> None:
    side = Side(0, [B, C])
    side.shelf.write("asset", "x" * 120_001)
    effects = side.settles(10.0)
    for peer in (B, C):
        assert sent_to(peer, effects) == [Told(side.shelf.digests(), "large")]


def test_too_many_updates_are_told_of_instead() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", *(str(place) for place in range(257)))
    assert sent_to(B, side.settles(10.0)) == [Told(side.shelf.digests(), "large")]


def test_a_node_that_has_been_halted_pushes_nothing() -> None:
    side = Side(0, [B])
    side.state.halted = "removed"
    side.shelf.write("asset", "pump")
    side.shelf.write("alarm", "x" * 120_001)
    assert side.settles(10.0) == []


def test_what_fits_is_merged_and_answered_with_nothing() -> None:
    side = Side(0, [B])
    assert side.reads(B, push(("hot",))) == []
    assert side.shelf.words("alarm") == ["hot"]
    assert side.shelf.calls == [("merge", "alarm", "pushed")]


def test_what_is_known_is_not_merged_again_nor_passed_on() -> None:
    side = Side(0, [B, C])
    side.reads(B, push(("hot",)))
    assert side.reads(B, push(("hot",))) == []
    assert side.shelf.calls == [("merge", "alarm", "pushed")]


def test_what_does_not_fit_makes_us_fetch_from_its_sender() -> None:
    side = Side(0, [B, C])
    effects = side.reads(B, push(("hot",), start=3))
    assert causes(effects) == ["resync-gap"]
    assert sent_to(C, effects) == []
    assert side.shelf.words("alarm") == []


def test_what_fits_and_is_not_all_good_makes_us_fetch_and_is_not_passed_on() -> None:
    side = Side(0, [B, C])
    side.reads(B, push(("hot",)))
    again = push(("hot",), start=1)  # a new clock, and nothing that is new
    effects = side.reads(B, again)
    assert causes(effects) == ["resync-gap"] and sent_to(C, effects) == []


def test_another_generation_is_asked_about_and_not_merged() -> None:
    side = Side(0, [B])
    unsigned = msgspec.structs.replace(push(("hot",)), mark=b"newer", signature=b"")
    other = msgspec.structs.replace(unsigned, signature=SITE.keys[1].identity.sign(unsigned.content()))
    assert sent_to(B, side.reads(B, other)) == [Told(side.shelf.digests(), "generation")]
    assert sent_to(B, side.reads(B, other, mono=0.1)) == []
    assert side.shelf.calls == []


def test_an_envelope_that_its_sender_did_not_sign_is_counted_and_dropped() -> None:
    side = Side(0, [B, C])
    effects = side.reads(B, push(("hot",), sender=2))
    assert causes(effects) == ["envelope-forged"] and side.shelf.words("alarm") == []
    tampered = msgspec.structs.replace(push(("hot",)), stop=2)
    assert causes(side.reads(B, tampered)) == ["envelope-forged"]


def test_a_push_is_passed_on_only_to_who_cannot_hear_its_sender() -> None:
    side = Side(0, [B, C, D])
    side.hears_of(C, row_of(2, (A, B)))
    side.hears_of(D, row_of(3, (A,)))
    original = push(("hot",))
    effects = side.reads(B, original)
    assert sent_to(B, effects) == [] and sent_to(C, effects) == []
    (passed,) = sent_to(D, effects)
    assert isinstance(passed, Push)
    assert passed.updates == original.updates
    assert passed.signature == SITE.keys[0].identity.sign(passed.content()) != original.signature


def test_whom_nobody_has_heard_of_is_told_too() -> None:
    side = Side(0, [B, C])
    assert len(sent_to(C, side.reads(B, push(("hot",))))) == 1


def test_nothing_is_taken_from_a_peer_that_is_ignored() -> None:
    side = Side(0, [B])
    side.shelf.ignored.add(B)
    assert side.reads(B, push(("hot",))) == []
    assert side.shelf.words("alarm") == []
