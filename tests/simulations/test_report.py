import io

import msgspec
from rich.console import Console

from simulations.measure import Timed, Times
from simulations.report import Report, histogram, percentile, reproduce_command, show, summarise
from simulations.runner import Outcome
from simulations.watch import Violation
from simulations.worldly import Losses

LOSSES = ["diverged", "lost_acknowledged", "resurrected", "unexplained_missing", "writes_acknowledged"]

KEYS = [
    "scenario",
    "nodes",
    "seeds",
    "without",
    "formed_s_p95",
    "detect_all_s_p50",
    "detect_all_s_p95",
    "heal_s",
    "heal_s_p50",
    "heal_s_p95",
    "isolated_s_p95",
    "false_unreachable",
    "diverged",
    "lost_acknowledged",
    "resurrected",
    "unexplained_missing",
    "writes_acknowledged",
    "bytes_per_node_s",
    "trace",
    "violations",
    "counters",
    "simulated_s",
    "steps",
    "elapsed_s",
]


def outcome(seed: int, detect_s: float, *violations: Violation) -> Outcome:
    times = Times(detect=[Timed(detect_s, f"last in {seed}")])
    return Outcome(
        seed, f"trace{seed}", times, 1, 100.0, None, list(violations), {"row-forged": seed}, 10, 20.0, 0.5
    )


def report(*outcomes: Outcome) -> Report:
    return summarise("crash-one", 10, "1-2", outcomes, 1.0)


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 21)]
    assert percentile(values, 50) == 10.0
    assert percentile(values, 95) == 19.0
    assert percentile([7.0], 95) == 7.0
    assert percentile([], 95) is None


def test_the_keys_are_stable() -> None:
    assert list(report(outcome(1, 1.0)).as_json()) == KEYS


def test_seeds_count_in_their_order_whatever_order_they_finish_in() -> None:
    one, two = outcome(1, 1.0), outcome(2, 3.0)
    assert report(one, two) == report(two, one)
    assert report(one, two).trace != report(one, one).trace


def test_outcomes_are_added_up() -> None:
    summed = report(outcome(1, 1.0), outcome(2, 3.0))
    assert (summed.detect_all_s_p50, summed.detect_all_s_p95) == (1.0, 3.0)
    assert (summed.false_unreachable, summed.counters) == (2, {"row-forged": 3})


def test_losses_are_added_up_and_null_where_nothing_was_written() -> None:
    written = msgspec.structs.replace(outcome(1, 1.0), losses=Losses(1, 2, 3, 4, 100))
    summed = report(written, msgspec.structs.replace(written, seed=2)).as_json()
    assert [summed[key] for key in LOSSES] == [2, 4, 6, 8, 200]
    assert [report(outcome(1, 1.0)).as_json()[key] for key in LOSSES] == [None] * 5


def test_where_documents_are_written_healed_means_that_they_are_equal() -> None:
    times = Times(heal=[Timed(0.2, "a link")], equal=[Timed(1.5, "alarm of node-001 and node-000")])
    written = msgspec.structs.replace(outcome(1, 1.0), times=times)
    assert (report(written).heal_s, report(written).heal_s_p95) == (1.5, 1.5)


def test_a_run_without_a_safeguard_says_so_in_the_command_that_repeats_it() -> None:
    ablated = summarise("twin-pens", 4, "1-1", [outcome(1, 1.0)], 1.0, "unique-pens")
    assert ablated.as_json()["without"] == "unique-pens"
    command = reproduce_command(ablated, 1)
    assert command == "fieldmesh sim run twin-pens --nodes 4 --seeds 1-1 --without unique-pens"


def test_people_see_the_slowest_seed_its_cause_and_how_to_see_a_violation_again() -> None:
    outcomes = [outcome(1, 1.0), outcome(2, 3.0, Violation("S4", 2, 12.5, "node-001 says [alive]"))]
    written = io.StringIO()
    show(report(*outcomes), outcomes, Console(file=written, width=200))
    text = written.getvalue()
    assert "slowest: 3.000 s in seed 2; last: last in 2" in text
    assert "S4, seed 2 at 12.5 s: node-001 says [alive]" in text
    assert "to see it again: fieldmesh sim run crash-one --nodes 10 --seeds 2-2" in text


def test_a_histogram_is_one_line_from_the_smallest_to_the_largest() -> None:
    line = histogram([1.0, 1.0, 1.0, 2.0])
    assert line == "1.00 s |█                      ▃| 2.00 s"
    assert histogram([1.5]) == "1.50 s |█                       | 1.50 s"
