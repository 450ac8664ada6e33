"""Level two: slices are lost, come twice, in another order, from the wrong pull, and forged."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from mesh.events import Effect
from mesh.ids import NodeId
from mesh.wire import PART_BYTES_MAX, Busy, Entry, Part, Summaries, Wanted
from tests.mesh.cores import sent_to
from tests.mesh.exchanges import SITE, B, C, D, Side, Wire, causes
from tests.mesh.shelf import MemoryShelf

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def asking(name: str = "asset", mono: float = 0.0) -> tuple[Side, Wanted]:
    """A side that has begun to fetch from B, and its question."""
    side = Side(0, [B, C])
    return side, begin(side, name, mono)


def begin(side: Side, name: str = "asset", mono: float = 0.0) -> Wanted:
    entry = Entry(name, b"", b"other".ljust(16))
    (wanted,) = sent_to(B, side.reads(B, Summaries((entry,), "join"), mono=mono))
    assert isinstance(wanted, Wanted)
    return wanted


def large(pen: int = 9) -> bytes:
    """A delta of five slices and a bit."""
    shelf = MemoryShelf(pen)
    shelf.write("asset", *(letter * 62_000 for letter in LETTERS[:10]))
    delta = shelf.delta_since("asset", b"", b"\x90")
    assert delta is not None and len(delta) // PART_BYTES_MAX == 5
    return delta


def slices(wanted: Wanted, delta: bytes, sender: int = 1) -> list[Part]:
    return [
        part_of(wanted, offset, len(delta), delta[offset : offset + PART_BYTES_MAX], sender)
        for offset in range(0, len(delta) or 1, PART_BYTES_MAX)
    ]


def part_of(wanted: Wanted, start: int, size: int, piece: bytes, sender: int = 1, **changes: object) -> Part:
    """A slice signed by the member at this place."""
    answering = hashlib.blake2b(wanted.have, digest_size=8).digest()
    unsigned = Part(wanted.name, wanted.mark, answering, start, size, piece)
    unsigned = msgspec.structs.replace(unsigned, **changes)
    return msgspec.structs.replace(unsigned, signature=SITE.keys[sender].identity.sign(unsigned.content()))


def questions(effects: Sequence[Effect], peer: NodeId = B) -> list[int]:
    """The offsets that are asked for."""
    return [each.offset for each in sent_to(peer, effects) if isinstance(each, Wanted)]


def test_a_question_says_what_we_have_and_why_we_ask() -> None:
    _, wanted = asking()
    assert wanted == Wanted("asset", b"", b"\x90", b"", 0, "join")


def test_a_small_delta_comes_in_one_slice_and_is_merged() -> None:
    side, wanted = asking()
    theirs = MemoryShelf(9)
    theirs.write("asset", "pump", "valve")
    assert side.reads(B, *slices(wanted, theirs.delta_since("asset", b"", wanted.have) or b"")) == []
    assert side.shelf.words("asset") == ["pump", "valve"]
    assert side.shelf.calls == [("merge", "asset", "pulled"), ("fetched", "asset")]


def test_an_empty_delta_ends_the_pull_without_a_merge() -> None:
    side, wanted = asking()
    assert side.reads(B, *slices(wanted, b"")) == []
    assert side.shelf.calls == [("fetched", "asset")]


def test_after_four_slices_the_next_are_asked_for() -> None:
    side, wanted = asking()
    parts = slices(wanted, large())
    assert questions(side.reads(B, *parts[:3], mono=0.01)) == []
    assert questions(side.reads(B, parts[3], mono=0.02)) == [480_000]
    side.reads(B, *parts[4:], mono=0.03)
    assert [word[0] for word in side.shelf.words("asset")] == list("abcdefghij")


def test_slices_may_come_in_any_order_and_twice() -> None:
    side, wanted = asking()
    parts = slices(wanted, large())
    effects = side.reads(B, *(parts[place] for place in (1, 0, 0, 2, 1, 3)), mono=0.01)
    assert questions(effects) == [480_000]
    side.reads(B, parts[5], parts[4], parts[5], mono=0.02)
    assert len(side.shelf.words("asset")) == 10
    assert [call for call in side.shelf.calls if call[0] == "merge"] == [("merge", "asset", "pulled")]


def test_a_hole_is_asked_for_again_as_soon_as_the_last_slice_shows_it_and_only_once() -> None:
    side, wanted = asking()
    parts = slices(wanted, large())
    assert questions(side.reads(B, parts[0], parts[2], mono=0.01)) == []
    assert questions(side.reads(B, parts[3], mono=0.02)) == [120_000]
    assert questions(side.reads(B, parts[3], parts[2], mono=0.03)) == []
    assert questions(side.reads(B, parts[1], parts[4], mono=0.04)) == [600_000]
    side.reads(B, parts[5], mono=0.05)
    assert len(side.shelf.words("asset")) == 10


def test_what_does_not_come_is_asked_for_again_after_the_usual_answering_time() -> None:
    side, _ = asking()
    assert side.exchange.wake_at() == pytest.approx(0.2)
    assert questions(side.ticks(0.19)) == []
    assert questions(side.ticks(0.2)) == [0]
    side, wanted = asking()
    side.reads(B, *slices(wanted, b""), mono=0.05)  # fifty milliseconds: three times that are waited for
    begin(side, mono=1.0)
    assert questions(side.ticks(1.14)) == []
    assert questions(side.ticks(1.15)) == [0]


def test_a_quick_peer_is_given_a_tenth_of_a_second() -> None:
    side, wanted = asking()
    side.reads(B, *slices(wanted, b""), mono=0.001)
    begin(side, mono=1.0)
    assert questions(side.ticks(1.09)) == []
    assert questions(side.ticks(1.1)) == [0]


def test_pauses_grow_and_after_ten_questions_more_the_pull_is_given_up() -> None:
    side, _ = asking()
    asked, now = [], 0.0
    effects: list[Effect] = []
    while side.exchange.wake_at() < float("inf") and now < 60:
        now = side.exchange.wake_at()
        effects = side.ticks(now)
        asked.append(round(now, 3))
    assert asked == [0.2, 0.4, 0.6, 0.8, 1.0, 1.4, 2.2, 3.8, 5.4, 7.0, 8.6]
    assert causes(effects) == ["resync-given-up"]


def test_a_busy_peer_is_asked_again_when_it_says() -> None:
    side, _ = asking()
    side.reads(B, Busy("asset", 700), mono=0.1)
    assert questions(side.ticks(0.79)) == []
    assert questions(side.ticks(0.8)) == [0]
    side.reads(B, Busy("asset", 2**62), mono=0.9)
    assert questions(side.ticks(10.9)) == [0]  # ten seconds at the most, whatever it says


def test_a_peer_that_does_not_have_it_is_not_asked_again_and_the_next_one_is() -> None:
    side, _ = asking()
    entry = Entry("asset", b"", b"third".ljust(16))
    assert questions(side.reads(C, Summaries((entry,), "join")), C) == []  # never from two peers at once
    assert questions(side.reads(B, Busy("asset", 0), mono=0.1), C) == [0]


def test_one_replica_after_the_other_is_fetched_from_a_peer() -> None:
    side = Side(0, [B])
    entries = tuple(Entry(name, b"", b"other".ljust(16)) for name in ("alarm", "asset"))
    (first,) = sent_to(B, side.reads(B, Summaries(entries, "join")))
    assert isinstance(first, Wanted) and first.name == "alarm"
    (second,) = sent_to(B, side.reads(B, *slices(first, b"")))
    assert isinstance(second, Wanted) and second.name == "asset"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "alarm"},
        {"mark": b"newer"},
        {"answering": b"x" * 8},
        {"offset": 1},
        {"offset": 480_000},
        {"offset": 2**62},
    ],
)
def test_a_part_of_another_pull_is_ignored(changes: dict[str, Any]) -> None:
    side, wanted = asking()
    assert side.reads(B, part_of(wanted, 0, 600_000, b"x", **changes)) == []
    assert questions(side.ticks(0.2)) == [0]  # the pull goes on


def test_a_part_from_whom_nothing_was_asked_is_ignored() -> None:
    side, wanted = asking()
    assert side.reads(C, *slices(wanted, b"", sender=2)) == []
    assert side.shelf.calls == []


def test_slices_of_two_deltas_are_not_mixed() -> None:
    side, wanted = asking()
    side.reads(B, part_of(wanted, 0, 600_000, bytes(PART_BYTES_MAX)))
    assert side.reads(B, part_of(wanted, PART_BYTES_MAX, 600_001, b"x")) == []
    assert questions(side.ticks(0.3)) == [PART_BYTES_MAX]


def test_a_forged_slice_ends_the_pull_with_its_sender_named() -> None:
    side, wanted = asking()
    effects = side.reads(B, *slices(wanted, b"", sender=2))
    assert causes(effects) == ["envelope-forged"]
    assert side.exchange.wake_at() == float("inf")


@pytest.mark.parametrize(("total", "data"), [(134_217_729, b"x"), (3, b"four"), (2**62, b"")])
def test_a_total_that_cannot_be_ends_the_pull_with_its_sender_named(total: int, data: bytes) -> None:
    side, wanted = asking()
    assert causes(side.reads(B, part_of(wanted, 0, total, data))) == ["delta-oversized"]
    assert side.exchange.wake_at() == float("inf")


def test_a_peer_that_goes_takes_its_pull_with_it() -> None:
    side, wanted = asking()
    side.exchange.forget(B)
    assert side.reads(B, *slices(wanted, large())) == []
    assert side.shelf.calls == [] and side.exchange.wake_at() == float("inf")


# -- serving


def serving(*words: str) -> tuple[Side, Wanted]:
    side = Side(0, [B, C, D])
    side.shelf.write("asset", *words)
    side.settles(0.0)
    return side, Wanted("asset", b"", b"\x90", side.shelf.replicas["asset"].digest(), 0, "join")


def test_a_question_is_answered_with_four_slices_and_nothing_after_the_end() -> None:
    side, wanted = serving(*(letter * 62_000 for letter in LETTERS[:10]))
    parts = [each for each in sent_to(B, side.reads(B, wanted)) if isinstance(each, Part)]
    assert [part.offset for part in parts] == [0, 120_000, 240_000, 360_000]
    assert {part.total for part in parts} == {parts[0].total}
    later = msgspec.structs.replace(wanted, offset=480_000)
    assert [part.offset for part in sent_to(B, side.reads(B, later)) if isinstance(part, Part)] == [
        480_000,
        600_000,
    ]
    assert sent_to(B, side.reads(B, msgspec.structs.replace(wanted, offset=2**40))) == []


def test_a_large_delta_is_made_once_while_it_is_being_fetched() -> None:
    side, wanted = serving(*(letter * 62_000 for letter in LETTERS[:10]))
    for offset in (0, 0, 480_000, 120_000):
        side.reads(B, msgspec.structs.replace(wanted, offset=offset), mono=0.5)
    assert side.shelf.calls.count(("delta", "asset")) == 1
    side.reads(B, wanted, mono=2.0)  # from the beginning again, and not at once: it may have grown
    assert side.shelf.calls.count(("delta", "asset")) == 2


def test_who_asks_for_much_holds_one_delta_at_a_time() -> None:
    side, wanted = serving(*(letter * 62_000 for letter in LETTERS[:10]))
    for heads in range(100):
        side.reads(B, msgspec.structs.replace(wanted, have=msgspec.msgpack.encode([(77, heads)])))
    assert sent_to(C, side.reads(C, wanted)) != [Busy("asset", 300)]


def test_asked_by_too_many_at_once_we_are_busy() -> None:
    side, wanted = serving(*(letter * 62_000 for letter in LETTERS[:10]))
    for place in range(8):
        side.reads(NodeId(f"peer {place}"), wanted)
    assert sent_to(B, side.reads(B, wanted)) == [Busy("asset", 300)]
    side.ticks(5.1)  # nobody has asked any further
    assert len(sent_to(B, side.reads(B, wanted, mono=5.1))) == 4


def test_what_we_do_not_have_or_not_all_of_is_refused_for_good() -> None:
    side, wanted = serving("pump")
    assert sent_to(B, side.reads(B, msgspec.structs.replace(wanted, mark=b"newer"))) == [Busy("asset", 0)]
    assert sent_to(B, side.reads(B, msgspec.structs.replace(wanted, have=b"\xc1"))) == [Busy("asset", 0)]
    side.shelf.is_servable = False
    assert sent_to(B, side.reads(B, wanted)) == [Busy("asset", 0)]


# -- both


@pytest.mark.parametrize("seed", range(4))
def test_at_thirty_per_cent_loss_a_large_delta_arrives_whole(seed: int) -> None:
    wire = Wire(loss=0.3, seed=seed)
    wire.shelves[0].write("asset", *(letter * 62_000 for letter in LETTERS[:10]))
    wire.sides[0].settles(0.0)
    wire.join()
    wire.run_until_equal(within_s=6.0)
    assert len(wire.shelves[1].words("asset")) == 10
