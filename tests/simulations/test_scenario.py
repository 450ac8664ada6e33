import pytest

from simulations import scenario as scenarios
from simulations.scenario import Scenario, ScenarioError, load, names, parse
from simulations.stage import Stage
from tests.simulations.scripted import scripted_world

ASKED_FOR = [
    "idle",
    "crash-one",
    "halves",
    "halves-48h",
    "isolate-one",
    "one-way-deaf",
    "flapping",
    "churn",
    "total-outage",
    "loss-20",
    "remove-member",
    "clone",
    "casts",
    "overlay-100",
]


@pytest.mark.parametrize("name", names())
def test_every_scenario_that_ships_is_valid_and_says_what_it_is_about(name: str) -> None:
    scenario = load(name)
    assert scenario.about and scenario.nodes_min <= scenario.nodes
    assert all(fault.at_s + scenario.jitter_s <= scenario.duration_s for fault in scenario.faults)


def test_the_scenarios_that_were_promised_are_there() -> None:
    assert set(ASKED_FOR) <= set(names())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing required field `about`"),
        ("about = 'x'\nduration_s = 1\ndurashun_s = 1", "unknown field `durashun_s`"),
        ("about = 'x'\nduration_s = -1", ">= 0"),
        ("about = 'x'\nduration_s = 1\nnodes = 100000", "`$.nodes`"),
        ("about = 'x'\nduration_s = 1\n[[faults]]\nat_s = 1\ndo = 'explode'", "explode"),
        ("about = 'x'\nduration_s = 1\n[[faults]]\nat_s = 1\ndo = 'crash'", "`who`"),
        (
            "about = 'x'\nduration_s = 1\n[[faults]]\nat_s = 1\ndo = 'heal'\nhow = 'gently'",
            "unknown field `how`",
        ),
        (
            "about = 'x'\nduration_s = 1\n[[faults]]\nat_s = 1\ndo = 'crash'\nwho = 'bob'",
            "'bob', which is no pick",
        ),
        ("about = 'x'\nduration_s = 1\n[network]\nloss = 1.5", "<= 1.0"),
        ("about = ", "test"),
    ],
)
def test_a_scenario_with_a_mistake_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text.encode(), "test")
    assert says in str(caught.value)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ScenarioError, match="there is no scenario 'nothing'"):
        scenarios.load("nothing")


def picked(scenario: Scenario, nodes: int, label: str) -> list[int]:
    return [host.index for host in Stage(scenario, scripted_world(nodes)).hosts(label)]


def test_picks_are_disjoint_and_the_rest_is_whoever_remains() -> None:
    scenario = Scenario("x", 1.0, picks={"left": "half", "one": 1})
    left, one, rest = (picked(scenario, 7, label) for label in ("left", "one", "rest"))
    assert (len(left), len(one), len(rest)) == (3, 1, 3)
    assert sorted([*left, *one, *rest]) == list(range(7)) == picked(scenario, 7, "all")


def test_a_spared_steward_is_in_no_pick() -> None:
    scenario = Scenario("x", 1.0, picks={"others": "others"}, spare_steward=True)
    assert picked(scenario, 4, "others") == [1, 2, 3]
    assert picked(scenario, 4, "steward") == [0]
