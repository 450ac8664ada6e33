"""Tellings and summaries: who says what to whom, how often, and that no answer is answered for ever."""

from itertools import pairwise

import pytest

from mesh.wire import Busy, Entry, Part, Ranges, Records, RecordsWanted, Summaries, Told, Wanted
from tests.mesh.cores import at, sent_to
from tests.mesh.exchanges import A, B, C, Side, Wire, causes


def told(side: Side, cause: str = "tick") -> Told:
    return Told(side.shelf.digests(), cause)


OTHER = Told((b"differs!",), "tick")


def other(name: str, mark: bytes = b"") -> Entry:
    return Entry(name, mark, b"other".ljust(16))


# -- telling


def test_a_peer_that_has_come_is_told_at_once_and_again_for_three_seconds() -> None:
    side = Side(0, [B])
    side.exchange.linked(B, at(0.0))
    assert sent_to(B, side.settles(0.0)) == [told(side, "join")]
    times = []
    for tenth in range(1, 60):
        messages = sent_to(B, side.ticks(tenth / 10))
        times.extend([tenth / 10] * messages.count(told(side, "join")))
    assert times == [0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3.0]


def test_an_equal_peer_is_not_told_again() -> None:
    side = Side(0, [B])
    side.exchange.linked(B, at(0.0))
    side.settles(0.0)
    assert side.reads(B, told(side)) == []
    assert sent_to(B, side.ticks(0.3)) == []


def test_one_random_peer_is_told_every_second_or_two() -> None:
    side = Side(0, [B, C])
    side.exchange.linked(B, at(0.0))
    side.reads(B, told(side))
    said: list[tuple[float, str]] = []
    for hundredth in range(1, 3000):
        effects = side.ticks(hundredth / 100)
        said.extend((hundredth / 100, peer) for peer in (B, C) if sent_to(peer, effects))
    pauses = [after - before for (before, _), (after, _) in pairwise(said)]
    assert min(pauses) >= 1.0 and max(pauses) <= 2.02
    assert {peer for _, peer in said} == {B, C}


def test_a_node_without_peers_has_nothing_to_wake_up_for() -> None:
    side = Side(0, [])
    assert side.exchange.wake_at() == float("inf")


def test_a_halted_node_tells_nobody() -> None:
    side = Side(0, [B])
    side.state.halted = "removed"
    side.exchange.linked(B, at(0.0))
    assert side.settles(0.0) == []


# -- answering


def test_an_equal_telling_is_not_answered() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    assert side.reads(B, told(side)) == []


def test_another_telling_is_answered_with_what_we_hold() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    entry = Entry("asset", b"", side.shelf.replicas["asset"].digest())
    assert sent_to(B, side.reads(B, OTHER)) == [Summaries((entry,), "tick")]


def test_more_replicas_than_fit_a_frame_are_summed_up_in_several_messages() -> None:
    side = Side(0, [B])
    names = [f"{number:04}".rjust(80, "x") for number in range(4096)]
    for name in names:
        side.shelf.write(name, "pump")
    side.settles(0.0)
    answers = [each for each in sent_to(B, side.reads(B, OTHER)) if isinstance(each, Summaries)]
    assert len(answers) > 1
    assert [entry.name for answer in answers for entry in answer.entries] == names


def test_answers_to_tellings_are_paced_ever_more_slowly_until_we_are_equal() -> None:
    side = Side(0, [B])
    times = [ms / 1000 for ms in range(10_000) if sent_to(B, side.reads(B, OTHER, mono=ms / 1000))]
    assert [round(time, 1) for time in times] == [0.0, 0.2, 0.6, 1.4, 3.0, 5.0, 7.0, 9.0]
    side.reads(B, told(side), mono=10.0)
    assert len(sent_to(B, side.reads(B, OTHER, mono=10.0))) == 1


def test_a_peer_that_has_just_come_is_answered_more_often() -> None:
    side = Side(0, [B])
    joining = Told((b"differs!",), "join")
    times = [ms / 1000 for ms in range(2_000) if sent_to(B, side.reads(B, joining, mono=ms / 1000))]
    assert [round(time, 1) for time in times] == [0.0, 0.2, 0.5, 0.8, 1.1, 1.4, 1.7]


def test_a_peer_that_differs_is_told_for_a_second_and_later_for_ever_less_of_the_time() -> None:
    side = Side(0, [B])
    side.reads(B, OTHER, mono=0.0)
    times: list[int] = []
    for tenth in range(1, 400):
        times.extend(
            tenth // 10
            for message in sent_to(B, side.ticks(tenth / 10))
            if isinstance(message, Told) and message.cause == "join"
        )
        if tenth % 10 == 0:
            side.reads(B, OTHER, mono=tenth / 10)
    assert times == [0, 0, 0, 1, 2, 2, 2, 3, 6, 6, 6, 7, 14, 14, 15, 30, 30, 31]


# -- what is wanted


def test_replicas_that_differ_are_fetched_in_the_order_of_the_summary() -> None:
    side = Side(0, [B])
    side.shelf.write("equal", "pump")
    side.settles(0.0)
    equal = Entry("equal", b"", side.shelf.replicas["equal"].digest())
    effects = side.reads(B, Summaries((equal, other("alarm"), other("asset")), "tick"))
    (wanted,) = sent_to(B, effects)
    assert isinstance(wanted, Wanted) and wanted.name == "alarm"
    assert causes(effects) == ["resync-tick"]


def test_another_generation_is_not_fetched() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    assert side.reads(B, Summaries((other("asset", b"newer"), other("alarm", b"newer")), "tick")) == []


def test_an_unknown_cause_is_counted_as_other() -> None:
    side = Side(0, [B])
    assert causes(side.reads(B, Summaries((other("asset"),), "made up"))) == ["resync-other"]


def test_nothing_is_fetched_from_a_peer_that_is_ignored_but_it_is_still_served() -> None:
    side = Side(0, [B])
    side.shelf.ignored.add(B)
    assert side.reads(B, Summaries((other("asset"),), "tick")) == []
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    wanted = Wanted("asset", b"", b"\x90", b"", 0, "tick")
    (part,) = sent_to(B, side.reads(B, wanted))
    assert isinstance(part, Part) and part.total > 0
    assert side.reads(B, Records("asset", b"", (b"blob",))) == []


def test_summaries_of_everything_there_is_are_remembered_once() -> None:
    side = Side(0, [B])
    entries = tuple(other(f"name {place}") for place in range(4096))
    for _ in range(3):
        side.reads(B, Summaries(entries, "tick"))
    assert len(side.exchange._pulling._wanted[B]) == 4096


# -- reconciling


def diverged() -> Wire:
    """Two sides that have heard the same, of which one has lost a word."""
    wire = Wire()
    wire.shelves[0].write("asset", *(f"word {place:03d}" for place in range(200)))
    wire.join()
    wire.run_until_equal(within_s=1.0)
    wire.shelves[1].lose("asset", "word 077")
    wire.said.clear()
    return wire


def test_equal_heads_with_other_content_are_found_and_repaired() -> None:
    wire = diverged()
    wire.run_until_equal(within_s=3.0)
    assert wire.shelves[1].words("asset")[77] == "word 077"
    assert ("diverged", "asset") in wire.shelves[0].calls + wire.shelves[1].calls
    assert sum(len(each.blobs) for _, each in wire.said if isinstance(each, Records)) <= 3


def test_heads_that_differ_are_not_reconciled_but_fetched() -> None:
    wire = Wire()
    wire.shelves[0].write("asset", "ours")
    wire.shelves[1].write("asset", "theirs")
    for side in wire.sides:
        side.settles(0.0)
    wire.join()
    wire.run_until_equal(within_s=1.0)
    assert not [each for _, each in wire.said if isinstance(each, Ranges | Records | RecordsWanted)]
    assert ("diverged", "asset") not in wire.shelves[0].calls + wire.shelves[1].calls


def test_reconciling_that_does_not_help_becomes_rare() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    have = side.shelf.summary("asset", b"") or b""
    question = Wanted("asset", b"", have, b"stubborn".ljust(16), 0, "tick")
    times = [
        tenth / 10
        for tenth in range(500)
        if any(isinstance(each, Ranges) for each in sent_to(B, side.reads(B, question, mono=tenth / 10)))
    ]
    assert times == [0.0, 0.3, 0.9, 2.1, 4.5, 9.3, 18.9, 28.9, 38.9, 48.9]


def test_reconciling_goes_on_quickly_while_content_changes() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    have = side.shelf.summary("asset", b"") or b""
    times: list[int] = []
    for tenth in range(20):
        question = Wanted("asset", b"", have, bytes([tenth]) * 16, 0, "tick")
        effects = side.reads(B, question, mono=tenth / 10)
        times.extend(tenth for each in sent_to(B, effects) if isinstance(each, Ranges))
    assert times == [0, 3, 6, 9, 12, 15, 18]


def test_ids_are_sorted_once_for_unchanged_content() -> None:
    side = Side(0, [B])
    side.shelf.write("asset", "pump")
    side.settles(0.0)
    for _ in range(5):
        side.reads(B, Ranges("asset", b"", ()))
    assert side.shelf.calls.count(("fingerprints", "asset")) == 1


def test_loose_records_in_a_forged_envelope_are_dropped() -> None:
    side = Side(0, [B])
    assert causes(side.reads(B, Records("asset", b"", (b"blob",)))) == ["envelope-forged"]
    assert side.shelf.calls == []


# -- both sides


@pytest.mark.parametrize("seed", range(5))
def test_two_sides_become_equal_at_thirty_per_cent_loss(seed: int) -> None:
    wire = Wire(loss=0.3, seed=seed)
    for place, shelf in enumerate(wire.shelves):
        for name in ("alarm", "asset", "fact"):
            shelf.write(name, *(f"{name} {place} {number}" for number in range(20)))
        wire.sides[place].settles(0.0)
    wire.join()
    assert wire.run_until_equal(within_s=5.0) > 0
    assert wire.shelves[0].words("fact") == wire.shelves[1].words("fact")


def test_equal_sides_fall_silent_but_for_a_telling_every_second_or_two() -> None:
    wire = Wire()
    wire.shelves[0].write("asset", "pump")
    wire.sides[0].settles(0.0)
    wire.join()
    wire.run(4.0)
    wire.said.clear()
    wire.run(20.0)
    assert {type(each) for _, each in wire.said} == {Told}
    assert 20 <= len(wire.said) <= 41


@pytest.mark.parametrize(
    "message",
    [Busy("asset", 0), Busy("asset", 300), Summaries((), "tick"), Ranges("asset", b"", ()), OTHER],
    ids=["never", "busy", "nothing", "no ranges", "telling"],
)
def test_a_control_reply_causes_at_most_one_reply_and_that_causes_none(message: Busy) -> None:
    ours, theirs = Side(0, [B]), Side(1, [A])
    replies = sent_to(B, ours.reads(B, message))
    assert len(replies) <= 1
    for reply in replies:
        assert not isinstance(reply, Told | Busy)
        assert sent_to(A, theirs.reads(A, reply)) == []
