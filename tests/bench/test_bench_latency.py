"""The statistics: percentiles by nearest rank, and ratios of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.bench.latency import Latency, Ratio, percentile


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([1, 2], 50, 1),
        ([1, 2], 99, 2),
        ([30, 10, 20], 50, 20),
        (range(1, 101), 50, 50),
        (range(1, 101), 99, 99),
        (range(1, 101), 100, 100),
        (range(1, 1001), 99, 990),
        ([1] * 99 + [1000], 99, 1),
        ([1] * 98 + [1000] * 2, 99, 1000),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[int], percent: int, expected: int
) -> None:
    assert percentile(values, percent) == expected


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_one_of_the_values_and_enough_of_them_are_no_larger(
    values: list[int], percent: int
) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_latency_is_in_milliseconds() -> None:
    assert Latency.of([1_000_000] * 98 + [2_500_000] * 2) == Latency(1.0, 2.5)


def test_a_ratio_compares_like_with_like() -> None:
    assert Latency(0.75, 3.0).over(Latency(0.5, 1.0)) == Ratio(1.5, 3.0)
