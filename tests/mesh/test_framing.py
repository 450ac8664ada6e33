import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.framing import SENT_MAX, WINDOW, Lanes
from mesh.ids import NodeId
from mesh.wire import LANE_ALL, LANE_LINK, Frame, Probe, decode

A, B = NodeId("a" * 26), NodeId("b" * 26)
BOOT = 77


def greeted(boot: int = BOOT) -> Lanes:
    lanes = Lanes(1)
    lanes.greet(A, boot)
    return lanes


def frame(sequence: int, lane: int = LANE_LINK, boot: int = BOOT) -> Frame:
    return Frame(boot, lane, sequence, ())


def test_frames_to_each_peer_are_counted_from_one_and_those_to_all_by_themselves() -> None:
    lanes = Lanes(BOOT)
    sealed = [
        lanes.seal(A, (Probe(1),)),
        lanes.seal(A, ()),
        lanes.seal(B, ()),
        lanes.seal_all(()),
        lanes.seal_all(()),
    ]
    assert [decode(each)[0] for each in sealed] == [
        Frame(BOOT, LANE_LINK, 1, (Probe(1),)),
        Frame(BOOT, LANE_LINK, 2, ()),
        Frame(BOOT, LANE_LINK, 1, ()),
        Frame(BOOT, LANE_ALL, 1, ()),
        Frame(BOOT, LANE_ALL, 2, ()),
    ]


def test_a_frame_counts_once() -> None:
    lanes = greeted()
    assert lanes.refusal(A, frame(1)) is None
    assert lanes.refusal(A, frame(1)) == "frame-replayed"


def test_the_two_lanes_count_apart() -> None:
    lanes = greeted()
    assert lanes.refusal(A, frame(1, LANE_LINK)) is None
    assert lanes.refusal(A, frame(1, LANE_ALL)) is None


def test_a_peer_that_has_not_greeted_has_no_boot() -> None:
    assert Lanes(1).refusal(A, frame(1)) == "frame-stale-boot"


@pytest.mark.parametrize("boot", [BOOT - 1, BOOT + 1, 0])
def test_a_frame_of_another_boot_is_refused(boot: int) -> None:
    assert greeted().refusal(A, frame(1, boot=boot)) == "frame-stale-boot"


def test_a_new_boot_starts_afresh_and_the_same_one_does_not() -> None:
    lanes = greeted()
    assert lanes.refusal(A, frame(5)) is None
    lanes.greet(A, BOOT)
    assert lanes.refusal(A, frame(5)) == "frame-replayed"
    lanes.greet(A, BOOT + 1)
    assert lanes.refusal(A, frame(5, boot=BOOT + 1)) is None
    assert lanes.refusal(A, frame(6)) == "frame-stale-boot"


def test_a_forgotten_peer_must_greet_anew() -> None:
    lanes = greeted()
    lanes.forget(A)
    assert lanes.refusal(A, frame(1)) == "frame-stale-boot"


def test_what_is_sent_to_a_forgotten_peer_goes_on_counting() -> None:
    """It may still remember what it has had from this boot."""
    lanes = Lanes(BOOT)
    lanes.seal(A, ())
    lanes.forget(A)
    assert decode(lanes.seal(A, ()))[0].sequence == 2


@pytest.mark.parametrize(
    ("sequences", "taken"),
    [
        ([3, 1, 2], [True, True, True]),
        ([0, 0], [True, False]),
        ([1, 2, 2, 1], [True, True, False, False]),
        ([WINDOW, 1, 1], [True, True, False]),
        ([WINDOW + 1, 1, 2], [True, False, True]),
        ([10, 10 + WINDOW, 10, 11], [True, True, False, True]),
        ([2**63 - 1, 2**63 - 1, 5], [True, False, False]),
        ([1, 2**40, 1, 2**40 - 1, 2**40 - WINDOW], [True, True, False, True, False]),
    ],
)
def test_frames_may_come_out_of_order_within_the_window(sequences: list[int], taken: list[bool]) -> None:
    lanes = greeted()
    assert [lanes.refusal(A, frame(each)) is None for each in sequences] == taken


@given(sequences=st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_each_sequence_is_taken_at_most_once(sequences: list[int]) -> None:
    lanes = greeted()
    taken = [each for each in sequences if lanes.refusal(A, frame(each)) is None]
    assert len(taken) == len(set(taken))


@given(sequences=st.lists(st.integers(0, WINDOW - 1), unique=True, max_size=60))
def test_within_the_window_each_is_taken_in_whatever_order(sequences: list[int]) -> None:
    lanes = greeted()
    assert all(lanes.refusal(A, frame(each)) is None for each in sequences)


@given(sequences=st.lists(st.integers(0, 2**63 - 1), max_size=40))
def test_the_window_does_what_a_set_would_do(sequences: list[int]) -> None:
    lanes, had, top = greeted(), set(), -1
    for each in sequences:
        is_new = each not in had and (each > top or top - each < WINDOW)
        assert (lanes.refusal(A, frame(each)) is None) == is_new
        had.add(each)
        top = max(top, each, 0)


def test_counters_for_peers_that_never_greeted_are_bounded() -> None:
    lanes = Lanes(BOOT)
    lanes.greet(A, 5)
    lanes.seal(A, ())
    for place in range(SENT_MAX * 2):
        lanes.seal(NodeId(f"stranger-{place}"), ())
    assert len(lanes._sent) <= SENT_MAX
    assert decode(lanes.seal(A, ()))[0].sequence == 2
