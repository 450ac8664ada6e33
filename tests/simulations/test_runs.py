"""Whole runs with the real core: the same every time, and nothing broken."""

import hashlib
import io
import json
import os
import subprocess
import sys

import pytest

from simulations.report import summarise
from simulations.runner import Job, Outcome, run_all, run_one
from simulations.scenario import load

QUICK = [
    ("idle", 4),
    ("crash-one", 6),
    ("halves", 5),
    ("isolate-one", 5),
    ("one-way-deaf", 5),
    ("flapping", 5),
    ("churn", 5),
    ("total-outage", 5),
    ("remove-member", 5),
    ("leave", 5),
    ("clone", 4),
    ("casts", 5),
    ("broker-down", 5),
    ("stall", 5),
    ("crash-midway", 6),
    ("disk-full", 6),
    ("newcomers", 5),
    ("bad-weather", 5),
    ("clocks", 5),
    ("twin-pens", 4),
    ("equal-heads", 4),
    ("crash-writes", 4),
    ("long-cut", 4),
]
IN_A_FRESH_PROCESS = """
import json, sys
from simulations.runner import Job, run_one
from simulations.scenario import load
print(json.dumps(run_one(Job(load("crash-one"), 5, 7)).trace))
"""


@pytest.mark.parametrize(("name", "nodes"), QUICK)
def test_no_invariant_breaks_in(name: str, nodes: int) -> None:
    outcome = run_one(Job(load(name), nodes, seed=7))
    assert outcome.violations == []


def test_a_seed_gives_one_trace_also_in_a_fresh_process_with_another_hash_seed() -> None:
    here = run_one(Job(load("crash-one"), 5, 7)).trace
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert json.loads(done.stdout) == here


def test_seeds_differ() -> None:
    assert run_one(Job(load("crash-one"), 4, 1)).trace != run_one(Job(load("crash-one"), 4, 2)).trace


def test_writing_a_log_changes_nothing_and_names_what_happened() -> None:
    log = io.StringIO()
    job = Job(load("crash-one"), 4, 1)
    assert run_one(job, log).trace == run_one(job).trace
    text = log.getvalue()
    assert "Hello" in text and "PeerChanged" in text and " start " in text


@pytest.mark.io
def test_parallel_jobs_give_the_same_report_as_one() -> None:
    scenario = load("crash-one")
    alone = list(run_all(scenario, 4, range(1, 5), jobs=1))
    together = list(run_all(scenario, 4, range(1, 5), jobs=2))
    assert _combined(alone) == _combined(together)


def _combined(outcomes: list[Outcome]) -> str:
    report = summarise("crash-one", 4, "1-4", outcomes, 0.0)
    ordered = sorted(outcomes, key=lambda outcome: outcome.seed)
    assert report.trace == hashlib.sha256("".join(each.trace for each in ordered).encode()).hexdigest()
    return report.trace


def test_a_seed_with_writes_of_every_kind_gives_one_trace() -> None:
    job = Job(load("crash-writes"), 4, 3)
    assert run_one(job).trace == run_one(job).trace


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        1,
        71,  # what an author had collected came back, once its next version no longer named it
        72,  # the same, of another kind
        93,  # a generation was built in the last second
    ],
)
def test_nothing_is_lost_in_ten_minutes_of_writes_through_cuts_and_crashes(seed: int) -> None:
    outcome = run_one(Job(load("partition-writes"), 5, seed=seed))
    assert outcome.violations == []
    assert outcome.losses is not None and outcome.losses.writes_acknowledged > 2000


@pytest.mark.slow
def test_a_hundred_nodes_break_no_invariant() -> None:
    assert run_one(Job(load("overlay-100"), 100, seed=1)).violations == []


@pytest.mark.slow
def test_an_hour_of_loss_makes_nobody_unreachable() -> None:
    outcome = run_one(Job(load("loss-20"), 5, seed=1))
    assert (outcome.false_unreachable, outcome.violations) == (0, [])
