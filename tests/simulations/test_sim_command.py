import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from node.errors import FieldmeshError
from node.exits import Exit
from simulations import scenario as scenarios
from simulations.ablations import ABLATIONS
from simulations.cli import sim
from simulations.scenario import Bounds
from tests.simulations.test_report import KEYS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sim, arguments)


def test_list_names_every_scenario() -> None:
    listed = run("list")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in [*scenarios.names(), "month"])
    as_json = json.loads(run("list", "--json").stdout)
    assert [each["name"] for each in as_json["scenarios"]] == scenarios.names()


def test_json_is_one_object_with_the_stable_keys() -> None:
    done = run("run", "crash-one", "--nodes", "4", "--seeds", "1-2", "--jobs", "1", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert list(report) == KEYS
    assert report["violations"] == [] and report["seeds"] == "1-2"
    assert 1.0 < report["detect_all_s_p95"] < 3.0


def test_people_get_a_table() -> None:
    done = run("run", "crash-one", "--nodes", "3", "--seeds", "3", "--jobs", "1")
    assert done.exit_code == 0
    assert "known by all, p50 / p95" in done.stdout
    assert "slowest:" in done.stdout


def test_a_violation_exits_non_zero_and_prints_the_one_command_that_reproduces_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impossible = msgspec.structs.replace(scenarios.load("crash-one"), bounds=Bounds(detect_s=0.001))
    monkeypatch.setattr(scenarios, "load", lambda name: impossible)
    done = run("run", "crash-one", "--nodes", "3", "--seeds", "5-6", "--jobs", "1", "--json")
    assert done.exit_code == Exit.VIOLATIONS
    violations = json.loads(done.stdout)["violations"]
    assert {violation["invariant"] for violation in violations} == {"L1"}
    assert "fieldmesh sim run crash-one --nodes 3 --seeds 5-5" in done.stderr


def test_help_lists_every_safeguard_that_can_be_switched_off_and_what_then_fails() -> None:
    lines = [line.split() for line in run("run", "--help").stdout.splitlines()]
    for ablation in ABLATIONS.values():
        assert [ablation.name, f"{ablation.scenario}:"] in [words[:2] for words in lines]


def test_a_run_without_a_safeguard_fails_and_says_which_one() -> None:
    arguments = ("run", "crash-writes", "--seeds", "1", "--without", "persist-before-send", "--json")
    done = run(*arguments)
    assert done.exit_code == Exit.VIOLATIONS
    report = json.loads(done.stdout)
    assert report["without"] == "persist-before-send" and report["lost_acknowledged"] > 0
    assert "--without persist-before-send" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "crash-one", "--seeds", "5-1"), "must rise"),
        (("run", "crash-one", "--seeds", "many"), "is no range of seeds"),
        (("run", "crash-one", "--nodes", "0"), "not in the range"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert done.exit_code == Exit.USAGE
    assert says in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nothing"), "there is no scenario 'nothing'"),
        (("run", "crash-one", "--nodes", "1"), "needs at least 2 nodes"),
        (("run", "crash-one", "--seeds", "1-2", "--trace-file", "x"), "takes one seed"),
        (
            ("run", "crash-one", "--nodes", "2", "--seeds", "1", "--trace-file", "/no/such/folder"),
            "cannot write",
        ),
    ],
)
def test_a_request_that_cannot_be_met_says_why(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, FieldmeshError)
    assert says in done.exception.message


def test_a_trace_file_holds_the_events_of_one_seed(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    done = run("run", "crash-one", "--nodes", "2", "--seeds", "4", "--trace-file", str(path), "--json")
    assert done.exit_code == 0
    lines = path.read_text().splitlines()
    assert any("LinkOpened" in line for line in lines)
    assert any("crash" in line or "power-off" in line for line in lines)
