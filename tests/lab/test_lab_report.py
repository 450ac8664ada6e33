"""The report has the simulator's keys, and reads well."""

import json

from simulations.lab.judge import Change, Violation
from simulations.lab.report import Counters, Report, Written, missed, readable
from simulations.lab.stage import Phase

COUNTERS = Counters(100, 3, 0.01, 2.5, 0.5, 20.0)


def report(**changed: object) -> Report:
    values: dict[str, object] = {
        "scenario": "halves",
        "nodes": 3,
        "mesh_formed_s": 2.5,
        "detect_all_s": 2.1,
        "heal_s": 1.2,
        "false_unreachable": 0,
        "violations": [],
        "missed": [],
        "timeline": [
            Phase("form", 0.0, "3 nodes were started", 2.5),
            Phase("strike", 2.5, "the cables of n3 were moved to another switch", 5.0),
        ],
        "changes": [
            Change(1.0, "n1", "n2", "unreachable", "alive", "none", "direct", "heard directly"),
            Change(4.5, "n1", "n3", "alive", "unreachable", "direct", "none", "silent"),
            Change(4.6, "n2", "n3", "alive", "unreachable", "direct", "none", "silent"),
        ],
        "counters": COUNTERS,
    }
    return Report(**{**values, **changed})  # type: ignore[arg-type] # a table of fields, spelled right or it fails


def test_json_carries_the_stable_keys() -> None:
    plain = json.loads(json.dumps(report().as_json()))
    assert plain["mesh_formed_s"] == 2.5
    assert plain["detect_all_s"] == 2.1
    assert plain["heal_s"] == 1.2
    assert plain["false_unreachable"] == 0
    assert plain["violations"] == []
    assert plain["timeline"][1] == {
        "phase": "strike",
        "at_s": 2.5,
        "what": "the cables of n3 were moved to another switch",
        "lasted_s": 5.0,
    }


def test_a_violation_is_listed_by_its_invariant() -> None:
    plain = report(violations=[Violation("L3", "n1 called n2 unreachable")]).as_json()
    assert plain["violations"] == [{"invariant": "L3", "detail": "n1 called n2 unreachable"}]


def test_a_figure_that_is_late_or_lacking_is_missed() -> None:
    assert missed({"mesh_formed_s": 5.0, "detect_all_s": 3.0, "heal_s": 5.0}) == []
    assert missed({"mesh_formed_s": 5.1, "detect_all_s": None, "heal_s": 0.1}) == [
        "mesh_formed_s",
        "detect_all_s",
    ]


def test_the_readable_report_says_what_was_done_when_and_who_noticed() -> None:
    assert readable(report()).splitlines() == [
        "halves with 3 nodes",
        "",
        "    0.00 s  form    3 nodes were started",
        "    2.50 s  strike  the cables of n3 were moved to another switch",
        "    4.50 s          n3: alive -> unreachable, say n1, n2 by 4.60 s (silent)",
        "",
        "  all nodes alive and linked after   2.50 s (target 5 s)",
        "  all had noticed after              2.10 s (target 3 s)",
        "  all mended after                   1.20 s (target 5 s)",
        "  healthy nodes called unreachable   0",
        "",
        "All invariants hold.",
    ]


def test_the_readable_report_hides_neither_late_nor_lacking_figures_nor_violations() -> None:
    text = readable(
        report(heal_s=None, detect_all_s=3.5, violations=[Violation("L1", "the mesh did not heal")])
    )
    assert "all mended after                   never (target 5 s)" in text
    assert "all had noticed after              3.50 s (target 3 s: MISSED)" in text
    assert "Violations:\n  L1: the mesh did not heal" in text


def test_what_was_written_stands_beside_the_other_figures() -> None:
    written = Written(0, 1, 2, 3, 1.2, writes_acknowledged=1500, writes_refused=200, writes_unanswered=1)
    plain = json.loads(json.dumps(report(written=written).as_json()))
    assert "written" not in plain
    assert {name: plain[name] for name in ("diverged", "lost_acknowledged", "resurrected")} == {
        "diverged": 0,
        "lost_acknowledged": 1,
        "resurrected": 2,
    }
    assert plain["unexplained_missing"] == 3
    assert plain["heal_s_p95"] == 1.2
    assert "lost_acknowledged" not in report().as_json()


def test_the_readable_report_says_what_became_of_the_writes() -> None:
    written = Written(0, 1, 2, 3, 1.2, writes_acknowledged=1500, writes_refused=200, writes_unanswered=1)
    assert readable(report(written=written)).splitlines()[-7:-2] == [
        "  writes acknowledged                1500 (200 made no sense when they were asked for, 1 had no answer)",
        "  of those lost by their own node    1",
        "  missing at another node            3",
        "  replaced, and shown again          2",
        "  documents that differ in the end   0",
    ]
