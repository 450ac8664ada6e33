"""The report: stable keys, every missed target named, and text that explains each figure."""

import json

import pytest

from simulations.bench.broadcast import KINDS, BroadcastPlan, Kind
from simulations.bench.idle import Cost, Idle, IdlePlan
from simulations.bench.report import Report, Violation, make_report, readable, violations
from simulations.bench.turns import Samples

GOOD = {"broadcast_p50_ratio": 2.0, "broadcast_p99_ratio": 2.0, "pss_mb": 99.9, "cpu_percent": 2.99}
NONE_LOST = {"cast": 0, "bare": 0, "back": 0}
SMALL = Idle(node=Cost(30.0, 50.0, 0.5), broker=Cost(3.0, 10.0, 0.1))
LARGE = Idle(node=Cost(40.0, 60.0, 0.4), broker=Cost(4.0, 11.0, 0.1))


def report(cast_ns: int = 600_000, idle: tuple[Idle, ...] = (SMALL, LARGE, SMALL), sent: int = 2) -> Report:
    found = Samples(KINDS)
    for kind, latency_ns in ((Kind.CAST, cast_ns), (Kind.BARE, 400_000), (Kind.BACK, 500_000)):
        found.add(kind, sent, [latency_ns, latency_ns * 2])
    return make_report(BroadcastPlan(1, 2, 200.0), found, IdlePlan(10.0, 20.0), idle)


def test_json_carries_the_stable_keys() -> None:
    assert json.loads(json.dumps(report().as_json())) == {
        "broadcast_p50_ratio": 1.5,
        "broadcast_p99_ratio": 1.5,
        "broadcast_p50_ms": 0.6,
        "broadcast_p99_ms": 1.2,
        "bare_p50_ms": 0.4,
        "bare_p99_ms": 0.8,
        "back_p50_ratio": 1.25,
        "back_p99_ratio": 1.25,
        "back_p50_ms": 0.5,
        "back_p99_ms": 1.0,
        "samples": 2,
        "lost": {"cast": 0, "bare": 0, "back": 0},
        "rate": 200.0,
        "payload_bytes": 200,
        "pss_mb": 44.0,
        "node_pss_mb": 40.0,
        "broker_pss_mb": 4.0,
        "rss_mb": 71.0,
        "cpu_percent": 0.6,
        "node_cpu_percent": 0.5,
        "broker_cpu_percent": 0.1,
        "idle_nodes": 3,
        "idle_s": 20.0,
        "violations": [],
    }


def test_figures_at_their_targets_violate_nothing() -> None:
    assert violations(GOOD, NONE_LOST) == []


@pytest.mark.parametrize(
    ("name", "figure", "detail"),
    [
        ("broadcast_p50_ratio", 2.01, "2.01 is above 2.0"),
        ("broadcast_p99_ratio", 3.5, "3.50 is above 2.0"),
        ("pss_mb", 100.0, "100.00 is not under 100.0"),
        ("cpu_percent", 3.0, "3.00 is not under 3.0"),
    ],
)
def test_a_target_that_is_missed_is_named(name: str, figure: float, detail: str) -> None:
    assert violations({**GOOD, name: figure}, NONE_LOST) == [Violation(name, detail)]


def test_lost_broadcasts_do_not_make_the_figures_better() -> None:
    assert violations(GOOD, {"cast": 1, "bare": 5, "back": 2}) == [
        Violation("lost", "3 broadcasts never arrived")
    ]
    assert report(sent=3).violations == [Violation("lost", "2 broadcasts never arrived")]


def test_the_readable_report_explains_each_figure() -> None:
    assert readable(report()).splitlines() == [
        "A broadcast between two nodes (2 of each kind, 200 bytes, 200 a second, in short blocks that take turns)",
        "",
        "                   p50         p99",
        "  broadcast    0.60 ms     1.20 ms  asked of one node until the other delivers it, signed and once",
        "  bare         0.40 ms     0.80 ms  aiomqtt to aiomqtt: same broker, same TLS, same processes",
        "  ratio        1.50        1.50     target: 2.0 at most",
        "  back         0.50 ms     1.00 ms  a broadcast the other way, by the node that dialled",
        "  ratio        1.25        1.25     to the same bare messages",
        "",
        "An idle node of 3, its broker included (the dearest one, over 20 s)",
        "",
        "  memory       44.0 MB  target: under 100 MB; node 40.0, broker 4.0",
        "                        PSS: a page that processes share counts by its share (71.0 MB if none did)",
        "  processor    0.60 %   target: under 3 % of one core; node 0.50, broker 0.10",
        "",
        "All targets are met.",
    ]


def test_the_readable_report_names_the_targets_that_were_missed() -> None:
    assert readable(report(cast_ns=1_000_000)).splitlines()[-3:] == [
        "Targets missed:",
        "  broadcast_p50_ratio: 2.50 is above 2.0",
        "  broadcast_p99_ratio: 2.50 is above 2.0",
    ]
