"""The report on the shared state: stable keys, every missed target named, and text that explains each figure."""

import json

import pytest

from simulations.bench.durable import Writing
from simulations.bench.propagation import KINDS, Kind
from simulations.bench.report import Violation
from simulations.bench.state_report import StateReport, make_report, readable, violations
from simulations.bench.turns import Samples

GOOD = {
    "durable_frames_per_s": 2000.0,
    "write_p99_ms": 1.0,
    "propagation_p50_ratio": 2.5,
    "propagation_p99_ratio": 2.5,
    "converge_10k_s": 3.0,
    "restart_100k_s": 3.0,
}
NONE_LOST = {"write": 0, "bare": 0}


def report(written_ns: int = 1_000_000, sent: int = 2, restarted_s: float = 2.25) -> StateReport:
    found = Samples(KINDS)
    found.add(Kind.WRITE, sent, [written_ns, written_ns * 2])
    found.add(Kind.BARE, 2, [500_000, 1_000_000])
    return make_report(25.0, Writing(7900.04, 26.04, 0.07, 0.11), found, 2.125, restarted_s)


def test_json_carries_the_stable_keys() -> None:
    assert json.loads(json.dumps(report().as_json())) == {
        "durable_frames_per_s": 7900.0,
        "durable_ack_p99_ms": 26.04,
        "write_p50_ms": 0.07,
        "write_p99_ms": 0.11,
        "propagation_p50_ratio": 2.0,
        "propagation_p99_ratio": 2.0,
        "propagation_p50_ms": 1.0,
        "propagation_p99_ms": 2.0,
        "bare_p50_ms": 0.5,
        "bare_p99_ms": 1.0,
        "converge_10k_s": 2.125,
        "restart_100k_s": 2.25,
        "samples": 2,
        "lost": {"write": 0, "bare": 0},
        "rate": 25.0,
        "payload_bytes": 200,
        "frame_tags": 100,
        "violations": [],
    }


def test_figures_at_their_targets_violate_nothing() -> None:
    assert violations(GOOD, NONE_LOST) == []


@pytest.mark.parametrize(
    ("name", "figure", "detail"),
    [
        ("durable_frames_per_s", 1999.0, "1,999.00 a second; target: 2,000 a second at least"),
        ("write_p99_ms", 1.01, "1.01 ms; target: 1 ms at most"),
        ("propagation_p50_ratio", 2.51, "2.51; target: 2.5 at most"),
        ("propagation_p99_ratio", 4.0, "4.00; target: 2.5 at most"),
        ("converge_10k_s", 3.5, "3.50 s; target: 3 s at most"),
        ("restart_100k_s", 3.01, "3.01 s; target: 3 s at most"),
    ],
)
def test_a_target_that_is_missed_is_named(name: str, figure: float, detail: str) -> None:
    assert violations({**GOOD, name: figure}, NONE_LOST) == [Violation(name, detail)]


def test_lost_records_do_not_make_the_figures_better() -> None:
    assert report(sent=3).violations == [Violation("lost", "1 shared records never arrived")]


def test_the_readable_report_explains_each_figure() -> None:
    assert readable(report()).splitlines() == [
        "One node writes",
        "",
        "  frames      7,900.00 a second target: 2,000 a second at least",
        "              100 tags each, written and acknowledged as durable (p99 26.0 ms, many at once)",
        "  records         0.11 ms       target: 1 ms at most",
        "              p99 of a shared record in the core, without the disk (p50 0.07 ms)",
        "",
        "A shared record between two nodes (2 of each kind, 200 bytes, 25 a second, in short blocks that take turns)",
        "",
        "                   p50         p99",
        "  record       1.00 ms     2.00 ms  written on one node, and durable there, until it is in the other's view",
        "  bare         0.50 ms     1.00 ms  aiomqtt to aiomqtt: same broker, same TLS, same processes",
        "  ratio        2.00        2.00     target: 2.5 at most",
        "",
        "Replicas",
        "",
        "  apart           2.12 s        target: 3 s at most",
        "              two that each hold much that the other lacks, from the dial until they are equal on disk",
        "  restart         2.25 s        target: 3 s at most",
        "              a node with many records, from its start until it answers and shows them",
        "",
        "All targets are met.",
    ]


def test_the_readable_report_names_the_targets_that_were_missed() -> None:
    text = readable(report(restarted_s=4.0))
    assert "  restart         4.00 s        target: 3 s at most  MISSED" in text
    assert text.splitlines()[-2:] == ["Targets missed:", "  restart_100k_s: 4.00 s; target: 3 s at most"]
