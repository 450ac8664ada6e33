"""What goes into the next live frame, and when."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_state.kinds.frame_writer import FRAME_BYTES_MAX, FrameWriter, TagSettings
from crdt_state.kinds.values import Quality, Value
from crdt_state.record import RECORD_BYTES_MAX, Register, encode_body, make_record
from mesh.ids import NodeId
from tests.crdt_state.records import IDENTITIES

GOOD, BAD = Quality.GOOD, Quality.BAD


def shown(writer: FrameWriter, mono: float) -> dict[str, list[object]]:
    tags: dict[str, list[object]] = writer.take(mono)["t"]
    return tags


@pytest.fixture
def writer() -> FrameWriter:
    """One that has shown p = 10.0 at 0 s; a change of up to 1 is not worth a write."""
    writer = FrameWriter(TagSettings(deadband=1.0, interval_s=1.0, refresh_s=60.0))
    assert writer.offer("p", 10.0, GOOD, 1, 0.0)
    assert shown(writer, 0.0) == {"p": [10.0, "good", 1]}
    return writer


def test_a_writer_without_offers_is_never_due() -> None:
    writer = FrameWriter()
    assert (writer.due(1e9), writer.due_at(), writer.take(0.0)) == (False, None, {"t": {}})


def test_a_first_value_goes_out_at_once() -> None:
    writer = FrameWriter()
    assert writer.offer("p", 10.0, GOOD, 1, 5.0)
    assert writer.due(5.0)
    assert shown(writer, 5.0) == {"p": [10.0, "good", 1]}
    assert not writer.due(5.0)


def test_a_change_beyond_the_deadband_goes_out_when_the_interval_is_over(writer: FrameWriter) -> None:
    assert not writer.offer("p", 11.1, GOOD, 2, 0.5)
    assert (writer.due(0.9), writer.due_at(), writer.due(1.0)) == (False, 1.0, True)
    assert shown(writer, 0.9) == {"p": [10.0, "good", 1]}
    assert shown(writer, 1.0) == {"p": [11.1, "good", 2]}


def test_a_change_beyond_the_deadband_goes_out_at_once_after_a_quiet_interval(writer: FrameWriter) -> None:
    assert writer.offer("p", 11.1, GOOD, 2, 1.0)


def test_of_values_held_back_the_last_goes_out(writer: FrameWriter) -> None:
    for place, value in enumerate((12.0, 13.0, 14.0)):
        writer.offer("p", value, GOOD, 2 + place, 0.5)
    assert shown(writer, 1.0) == {"p": [14.0, "good", 4]}


@pytest.mark.parametrize("value", [9.0, 10.0, 11.0])
def test_a_value_within_the_deadband_goes_out_after_the_refresh_time(
    writer: FrameWriter, value: float
) -> None:
    assert not writer.offer("p", value, GOOD, 2, 5.0)
    assert (writer.due(59.9), writer.due_at()) == (False, 60.0)
    assert shown(writer, 60.0) == {"p": [value, "good", 2]}


def test_offers_within_the_deadband_do_not_put_the_refresh_off(writer: FrameWriter) -> None:
    for second in range(1, 60):
        assert not writer.offer("p", 10.5, GOOD, second, float(second))
    assert writer.offer("p", 10.5, GOOD, 60, 60.0)


def test_a_value_that_comes_back_into_the_deadband_is_not_worth_a_write(writer: FrameWriter) -> None:
    writer.offer("p", 15.0, GOOD, 2, 0.5)
    writer.offer("p", 10.2, GOOD, 3, 0.6)
    assert writer.due_at() == 60.0


def test_drift_is_measured_from_what_was_shown(writer: FrameWriter) -> None:
    assert not writer.offer("p", 10.9, GOOD, 2, 2.0)
    assert writer.offer("p", 11.8, GOOD, 3, 3.0)


@pytest.mark.parametrize("quality", [Quality.UNCERTAIN, Quality.BAD, Quality.STALE])
def test_a_change_of_quality_passes_at_once(writer: FrameWriter, quality: Quality) -> None:
    assert writer.offer("p", 10.0, quality, 2, 0.1)
    assert shown(writer, 0.1) == {"p": [10.0, quality.value, 2]}


def test_a_deadband_may_be_a_part_of_the_span() -> None:
    writer = FrameWriter(TagSettings(deadband=0.5, deadband_percent=2.0, span=200.0))
    writer.offer("p", 100.0, GOOD, 1, 0.0)
    writer.take(0.0)
    assert not writer.offer("p", 104.0, GOOD, 2, 5.0)
    assert writer.offer("p", 104.1, GOOD, 3, 5.0)


def test_a_tag_may_have_settings_of_its_own() -> None:
    writer = FrameWriter(TagSettings(interval_s=10.0), {"fast": TagSettings(interval_s=0.0)})
    for mono in (0.0, 1.0):
        assert writer.offer("fast", mono, GOOD, 1, mono)
        assert writer.offer("slow", mono, GOOD, 1, mono) is (mono == 0.0)
        writer.take(mono)


@pytest.mark.parametrize(
    ("old", "new", "passes"),
    [
        (False, True, True),
        (True, True, False),
        ("idle", "running", True),
        ("idle", "idle", False),
        (1, True, True),
        (1, 1.0, False),
        (1, 1.5, False),
        (1, None, True),
        (None, None, False),
        (0, "0", True),
    ],
)
def test_what_is_not_a_number_passes_when_it_changes(old: Value, new: Value, passes: bool) -> None:
    writer = FrameWriter(TagSettings(deadband=1.0))
    writer.offer("t", old, GOOD, 1, 0.0)
    writer.take(0.0)
    assert writer.offer("t", new, GOOD, 2, 5.0) is passes


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_what_is_not_a_number_is_told_as_no_value_and_bad(writer: FrameWriter, value: float) -> None:
    assert writer.offer("p", value, GOOD, 2, 0.1)
    assert shown(writer, 0.1) == {"p": [None, "bad", 2]}
    assert not writer.offer("p", value, GOOD, 3, 5.0)


def test_a_whole_number_beyond_64_bits_is_told_as_near_as_it_can(writer: FrameWriter) -> None:
    writer.offer("p", 2**70, GOOD, 2, 5.0)
    assert shown(writer, 5.0) == {"p": [2.0**70, "good", 2]}


def test_a_long_text_is_cut_short_and_one_that_cannot_travel_is_mended() -> None:
    writer = FrameWriter()
    writer.offer("a", "x" * 999, GOOD, 1, 0.0)
    writer.offer("b", "\ud800", GOOD, 1, 0.0)
    assert shown(writer, 0.0) == {"a": ["x" * 200, "good", 1], "b": ["?", "good", 1]}


@pytest.mark.parametrize("tag", ["", "x" * 121, "a\nb", "\ud800"])
def test_a_name_that_cannot_be_a_tags_is_refused_and_counted(tag: str) -> None:
    writer = FrameWriter()
    assert not writer.offer(tag, 1, GOOD, 1, 0.0)
    assert (writer.refused, writer.due_at()) == (1, None)


def test_tags_beyond_the_bound_are_refused_until_one_is_forgotten() -> None:
    writer = FrameWriter(tags_max=2)
    assert [writer.offer(tag, 1, GOOD, 1, 0.0) for tag in "abca"] == [True, True, False, True]
    assert writer.refused == 1
    writer.forget("a")
    assert writer.offer("c", 1, GOOD, 1, 0.0)
    assert list(shown(writer, 0.0)) == ["b", "c"]


def test_a_forgotten_tag_is_gone_from_the_next_frame_which_is_due_now(writer: FrameWriter) -> None:
    writer.forget("p")
    assert writer.due(0.0)
    assert shown(writer, 0.0) == {}
    assert not writer.due(1e9)
    writer.forget("p")
    assert not writer.due(1e9)


def test_a_full_frame_fits_into_a_record() -> None:
    writer = FrameWriter(tags_max=100_000)
    text = "\u00e9" * 200
    taken = sum(writer.offer(f"{place:0120}", text, GOOD, 2**62, 0.0) for place in range(1000))
    body = writer.take(0.0)
    assert (taken, writer.refused, len(body["t"])) == (89, 911, 89)
    assert len(encode_body(body)) <= FRAME_BYTES_MAX
    owner = IDENTITIES[0]
    blob = make_record(owner, Register("frame", owner.node), 2**62, 2**62, 2**62, (), body).blob
    assert len(blob) <= RECORD_BYTES_MAX


def test_a_thousand_ordinary_tags_fit() -> None:
    writer = FrameWriter()
    assert all(writer.offer(f"line/cell/tag{place}", 1.5, GOOD, 1, 0.0) for place in range(1000))


values = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none(), st.text(max_size=3))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), values, st.sampled_from(Quality), st.floats(0, 3)), max_size=40)
)
def test_whatever_is_offered_is_shown_in_time_and_never_too_often(
    offers: list[tuple[str, Value, Quality, float]],
) -> None:
    writer = FrameWriter(TagSettings(deadband=0.5, interval_s=1.0, refresh_s=5.0))
    mono, changed_at, before = 0.0, dict.fromkeys("ab", -9.0), dict[str, list[object]]()
    for place, (tag, value, quality, wait) in enumerate(offers):
        mono += wait
        is_now = writer.offer(tag, value, quality, place, mono)
        assert writer.due(mono) or not is_now
        after = shown(writer, mono)
        encode_body({"t": after})
        for name in after:
            if name in before and after[name] != before[name]:
                assert mono - changed_at[name] >= 1.0 or after[name][1] != before[name][1]
            if after[name] != before.get(name):
                changed_at[name] = mono
        before = after
    last = {tag: place for place, (tag, *_) in enumerate(offers)}
    due_at = writer.due_at()
    assert due_at is None or due_at <= mono + 5.0
    assert {tag: entry[2] for tag, entry in shown(writer, mono + 5.0).items()} == last


def test_the_nodes_id_names_its_frame() -> None:
    owner = IDENTITIES[0]
    record = make_record(owner, Register("frame", owner.node), 1, 1, 1, (), FrameWriter().take(0.0))
    assert (record.register.item, record.body) == (NodeId(owner.node), {"t": {}})
