"""Each safeguard: its scenario passes with it, and fails without it."""

import pytest

from simulations.ablations import ABLATIONS
from simulations.runner import Job, Outcome, run_one
from simulations.scenario import load

SEEDS = (1, 2)


def outcome_of(name: str, seed: int, without: str = "") -> Outcome:
    scenario = load(name)
    return run_one(Job(scenario, scenario.nodes, seed, without))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", [each.scenario for each in ABLATIONS.values()])
def test_with_every_safeguard_nothing_breaks_in(scenario: str, seed: int) -> None:
    outcome = outcome_of(scenario, seed)
    assert outcome.losses is not None and outcome.losses.writes_acknowledged > 100
    assert outcome.violations == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("without", "broken"),
    [
        ("unique-pens", "S2"),  # equal heads, other content
        ("content-hash", "L1"),  # never equal again
        ("acknowledged-collection", "S4"),  # what was deleted is back
        ("persist-before-send", "S1"),  # acknowledged, and lost
    ],
)
def test_without_a_safeguard_its_scenario_fails(without: str, broken: str, seed: int) -> None:
    outcome = outcome_of(ABLATIONS[without].scenario, seed, without)
    assert broken in {violation.invariant for violation in outcome.violations}


def test_switching_one_off_leaves_the_product_as_it_was() -> None:
    scenario = ABLATIONS["unique-pens"].scenario
    before = outcome_of(scenario, 1).trace
    assert outcome_of(scenario, 1, "unique-pens").trace != before
    assert outcome_of(scenario, 1).trace == before
