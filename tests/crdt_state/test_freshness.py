"""How old an answer is, and whose later word it may lack."""

from hypothesis import given
from hypothesis import strategies as st

from crdt_state.freshness import Freshness, Presence, Source, Unreachable, freshness
from mesh.ids import NodeId

ME, A, B, C = (NodeId(name * 26) for name in "mabc")
NOW = 1_800_000_000_000
HERE = Presence("press-1", is_here=True)


def away(name: str, away_ms: int | None) -> Presence:
    return Presence(name, is_here=False, away_ms=away_ms)


def test_an_answer_without_anything_in_it_is_of_now() -> None:
    assert freshness([], {}, ME, NOW) == Freshness(NOW, 0.0, (), 0)


def test_what_this_node_and_those_that_are_here_wrote_is_of_now_however_long_ago_they_wrote_it() -> None:
    sources = [Source(ME, NOW - 90_000), Source(A, NOW - 3_600_000)]
    assert freshness(sources, {A: HERE}, ME, NOW) == Freshness(NOW, 0.0, (), 0)


def test_an_old_value_of_a_node_that_is_here_is_told_beside_the_answer_which_is_of_now() -> None:
    sources = [Source(A, NOW - 1_000, measured_ms=NOW - 1_055_000), Source(ME, NOW)]
    assert freshness(sources, {A: HERE}, ME, NOW) == Freshness(NOW, 1_055.0, (), 0)


def test_a_frame_of_a_node_that_is_away_is_held_as_of_when_it_was_last_heard() -> None:
    sources = [Source(B, NOW - 200_000, measured_ms=NOW - 300_000)]
    found = freshness(sources, {B: away("press-2", 60_000)}, ME, NOW)
    gone = Unreachable(B, "press-2", NOW - 60_000, NOW - 60_000)
    assert found == Freshness(NOW - 60_000, 300.0, (gone,), 0)


def test_of_several_frames_values_of_one_node_the_newest_counts() -> None:
    sources = [Source(A, NOW, measured_ms=NOW - 9_000), Source(A, NOW, measured_ms=NOW - 2_000)]
    assert freshness(sources, {A: HERE}, ME, NOW).oldest_s == 2.0


def test_a_sensor_whose_clock_is_ahead_makes_nothing_newer_than_now() -> None:
    sources = [Source(A, NOW, measured_ms=NOW + 60_000)]
    assert freshness(sources, {A: HERE}, ME, NOW) == Freshness(NOW, 0.0, (), 0)


def test_an_author_that_is_away_is_named_with_the_time_since_when_and_the_rest_is_of_now() -> None:
    sources = [Source(A, NOW - 500_000), Source(B, NOW - 400_000)]
    found = freshness(sources, {A: HERE, B: away("press-2", 120_000)}, ME, NOW)
    assert found == Freshness(NOW, 120.0, (Unreachable(B, "press-2", NOW - 120_000, NOW - 120_000),), 0)


def test_who_was_never_heard_in_this_run_is_known_as_of_its_newest_record() -> None:
    sources = [Source(B, NOW - 400_000), Source(B, NOW - 300_000), Source(B, NOW - 500_000)]
    found = freshness(sources, {B: away("press-2", None)}, ME, NOW)
    assert found == Freshness(NOW - 300_000, 300.0, (Unreachable(B, "press-2", None, NOW - 300_000),), 0)


def test_what_others_passed_on_after_a_node_was_lost_counts_as_its_later_word() -> None:
    sources = [Source(B, NOW - 1_000)]
    assert freshness(sources, {B: away("press-2", 60_000)}, ME, NOW).oldest_s == 1.0


def test_those_that_are_away_stand_in_the_order_of_their_names() -> None:
    presences = {A: away("saw", 1), B: away("mill", 2), C: away("drill", 3)}
    found = freshness([Source(A, 1), Source(B, 1), Source(C, 1)], presences, ME, NOW)
    assert [each.name for each in found.unreachable] == ["drill", "mill", "saw"]


def test_members_that_are_away_and_have_no_part_in_it_are_only_counted() -> None:
    presences = {A: HERE, B: away("press-2", 1_000), C: away("press-3", None)}
    assert freshness([Source(A, NOW)], presences, ME, NOW) == Freshness(NOW, 0.0, (), 2)


def test_who_is_no_member_any_more_has_no_later_word() -> None:
    assert freshness([Source(C, NOW - 10_000)], {}, ME, NOW) == Freshness(NOW, 0.0, (), 0)


times = st.integers(NOW - 10**9, NOW + 10**6)
nodes = st.sampled_from([ME, A, B, C])


@given(
    st.lists(st.builds(Source, nodes, times, st.none() | times)),
    st.dictionaries(
        nodes, st.builds(Presence, st.just("x"), st.booleans(), st.none() | st.integers(0, 10**9))
    ),
)
def test_no_answer_is_newer_than_now_or_older_than_its_oldest_part(
    sources: list[Source], presences: dict[NodeId, Presence]
) -> None:
    found = freshness(sources, presences, ME, NOW)
    assert NOW - found.oldest_s * 1000 <= found.as_of_ms <= NOW
    named = {each.node for each in found.unreachable}
    assert named == {s.node for s in sources if s.node in presences and not presences[s.node].is_here} - {ME}
