"""`fieldmesh lab` on the command line."""

import json

import click
import pytest
from click.testing import CliRunner

from node.errors import FieldmeshError
from node.exits import Exit
from simulations.lab import cli
from simulations.lab.scenarios import SCENARIOS
from simulations.lab.topology import NODES_MAX


def invoke(*words: str) -> str:
    result = CliRunner().invoke(cli.lab, words, catch_exceptions=False, standalone_mode=False)
    return result.output


def test_the_names_on_the_command_line_are_those_of_the_scenarios() -> None:
    assert tuple(SCENARIOS) == cli.SCENARIO_NAMES
    assert cli._NODES_MAX == NODES_MAX


def test_the_list_names_every_scenario_with_what_it_does() -> None:
    listed = json.loads(invoke("list", "--json"))["scenarios"]
    assert [each["name"] for each in listed] == [
        "halves",
        "isolate-one",
        "one-way",
        "kill-one",
        "broker-kill",
        "partition-writes",
    ]
    assert listed[0]["summary"] == "the site splits in two; each half calls the other unreachable"
    assert "kill-one         one node is killed with SIGKILL, and started again" in invoke("list")


@pytest.mark.parametrize("words", [["run", "halves", "--json"], ["sweep"]])
def test_without_root_the_command_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["/usr/local/bin/fieldmesh", "lab", *words])
    with pytest.raises(FieldmeshError) as caught:
        invoke(*words)
    assert caught.value.exit_code == Exit.FAILURE
    assert caught.value.message == "the lab makes network namespaces, and that takes root"
    assert caught.value.cure == f"sudo /usr/local/bin/fieldmesh lab {' '.join(words)}"


def test_a_scenario_with_too_few_nodes_is_refused_with_the_number_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(FieldmeshError) as caught:
        invoke("run", "one-way", "--nodes", "2")
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.cure == "fieldmesh lab run one-way --nodes 3"


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("simulations.lab.kernel.search_path", lambda: "/nowhere")
    with pytest.raises(FieldmeshError) as caught:
        invoke("run", "halves")
    assert caught.value.cure == "sudo apt install iproute2"


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(click.BadParameter, match="halves"):
        invoke("run", "thirds")
