from hypothesis import given
from hypothesis import strategies as st

from mesh.hybrid import HybridClock, is_future, ms_of, time_of

NOW = 1_795_300_000_000
MINUTE = 60_000


def test_a_time_is_its_millisecond_and_a_counter() -> None:
    assert time_of(NOW) == NOW * 65_536
    assert ms_of(time_of(NOW) + 65_535) == NOW


def test_more_than_five_minutes_ahead_is_the_far_future() -> None:
    assert not is_future(time_of(NOW + 5 * MINUTE), NOW)
    assert not is_future(time_of(NOW + 5 * MINUTE) + 65_535, NOW)
    assert is_future(time_of(NOW + 5 * MINUTE + 1), NOW)


def test_writes_of_one_millisecond_are_counted() -> None:
    clock = HybridClock()
    assert [clock.stamp(NOW) for _ in range(3)] == [time_of(NOW), time_of(NOW) + 1, time_of(NOW) + 2]
    assert clock.stamp(NOW + 1) == time_of(NOW + 1)


def test_a_clock_that_is_set_back_a_little_does_not_go_back() -> None:
    clock = HybridClock()
    clock.stamp(NOW)
    assert clock.stamp(NOW - 1000) == time_of(NOW) + 1


def test_a_clock_that_is_set_back_from_the_far_future_starts_again() -> None:
    clock = HybridClock()
    clock.stamp(NOW + 6 * MINUTE)
    assert clock.stamp(NOW) == time_of(NOW)


def test_what_was_seen_is_followed() -> None:
    clock = HybridClock()
    clock.saw(time_of(NOW + MINUTE) + 7, NOW)
    assert clock.stamp(NOW) == time_of(NOW + MINUTE) + 8


def test_the_far_future_is_not_followed() -> None:
    clock = HybridClock()
    clock.saw(time_of(NOW + 365 * 24 * 60 * MINUTE), NOW)
    assert clock.stamp(NOW) == time_of(NOW)


def test_whoever_follows_as_far_as_it_may_writes_nothing_that_is_refused() -> None:
    clock = HybridClock()
    clock.saw(time_of(NOW + 4 * MINUTE) + 65_535, NOW)
    assert clock.stamp(NOW) == time_of(NOW + 4 * MINUTE + 1)
    assert not is_future(clock.stamp(NOW), NOW - 59_000)  # nor by a clock that is a minute behind ours


def test_what_is_nearly_the_far_future_is_shown_and_not_followed() -> None:
    clock = HybridClock()
    clock.saw(time_of(NOW + 4 * MINUTE + 1), NOW)
    assert clock.stamp(NOW) == time_of(NOW)


@given(st.lists(st.tuples(st.booleans(), st.integers(NOW - MINUTE, NOW + MINUTE)), max_size=40))
def test_within_a_minute_stamps_only_rise(steps: list[tuple[bool, int]]) -> None:
    clock, last = HybridClock(), 0
    for is_stamp, ms in steps:
        if is_stamp:
            stamp = clock.stamp(ms)
            assert stamp > last
            last = stamp
        else:
            clock.saw(time_of(ms), NOW)
            last = max(last, time_of(ms))
