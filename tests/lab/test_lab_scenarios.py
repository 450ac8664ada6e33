"""Each scenario, played with stand-ins: the lab's own parts, end to end, without a node's."""

from pathlib import Path

import pytest

from node.errors import FieldmeshError
from simulations.lab.names import LabName
from simulations.lab.report import Report
from simulations.lab.run import Plan, run
from simulations.lab.scenarios import SCENARIOS
from tests.lab.crew import STANDIN, StandIns
from tests.lab.leftovers import leftovers

pytestmark = [pytest.mark.root, pytest.mark.io]


async def play(scenario: str, crew: StandIns, nodes: int = 4) -> Report:
    report = await run(Plan(SCENARIOS[scenario], nodes, cut_s=1.5, calm_s=0.5), crew)
    assert leftovers(str(LabName.mine())) == []
    return report


PLAYED = [name for name, scenario in SCENARIOS.items() if not scenario.writes]  # stand-ins hold nothing


@pytest.mark.parametrize("scenario", PLAYED)
async def test_a_scenario_with_honest_nodes_has_every_figure_and_no_violation(scenario: str) -> None:
    report = await play(scenario, StandIns())
    assert report.violations == []
    assert report.false_unreachable == 0
    assert report.missed == []
    assert report.mesh_formed_s is not None
    assert 0 < report.mesh_formed_s < 5
    assert report.detect_all_s is not None
    assert 0 < report.detect_all_s < 3
    assert report.heal_s is not None
    assert 0 < report.heal_s < 5
    assert [phase.phase for phase in report.timeline] == ["form", "calm", "strike", "mend", "calm", "stop"]
    assert all(phase.what for phase in report.timeline)


async def test_the_times_are_those_of_the_cut_and_not_of_the_lab() -> None:
    report = await play("kill-one", StandIns())
    strike = report.timeline[2]
    verdicts = [change for change in report.changes if change.peer == "n4" and change.became == "unreachable"]
    seen = [change.at_s for change in verdicts if change.was == "alive"]
    assert len(seen) == 3
    assert report.detect_all_s == pytest.approx(max(seen) - strike.at_s, abs=0.1)


async def test_nodes_that_call_healthy_ones_unreachable_are_convicted(tmp_path: Path) -> None:
    slander = 'if peer == "n2" and self.name == "n1" and int(time.monotonic() * 2) % 2:\n            return '
    slander += '{"name": peer, "state": "unreachable", "why": "I say so"}\n        if self.is_direct(peer):'
    report = await play("isolate-one", edited(tmp_path, "if self.is_direct(peer):", slander))
    assert report.false_unreachable > 0
    assert report.violations[0].invariant == "L3"
    assert "n1 called n2 unreachable" in report.violations[0].detail
    assert "I say so" in report.violations[0].detail


async def test_a_broker_that_outlives_its_node_is_a_violation(tmp_path: Path) -> None:
    report = await play("kill-one", edited(tmp_path, '"--pdeathsig", "KILL"', '"--pdeathsig", "clear"'))
    assert [violation.invariant for violation in report.violations] == [
        "orphan"
    ] * 5  # once killed, then stopped


async def test_what_nodes_say_of_each_other_while_they_are_stopped_is_no_verdict(tmp_path: Path) -> None:
    line = "loop.add_signal_handler(signal.SIGTERM, work.cancel)"
    dawdle = "last = self.name == self.names[-1]\n        "
    dawdle += "loop.add_signal_handler(signal.SIGTERM, loop.call_later, 1.5 if last else 0, work.cancel)"
    report = await play("broker-kill", edited(tmp_path, line, dawdle))
    assert [change for change in report.changes if (change.was, change.became) == ("alive", "unreachable")]
    assert report.false_unreachable == 0
    assert report.violations == []


async def test_a_node_that_dies_at_once_ends_the_lab_with_its_last_words(tmp_path: Path) -> None:
    crew = edited(tmp_path, '(self.home / "run").mkdir(exist_ok=True)', 'sys.exit("no room on the disk")')
    with pytest.raises(FieldmeshError, match="no room on the disk"):
        await play("halves", crew)
    assert leftovers(str(LabName.mine())) == []


async def test_logs_are_kept_when_they_are_asked_for(tmp_path: Path) -> None:
    plan = Plan(SCENARIOS["broker-kill"], 2, cut_s=0, calm_s=0.1, logs_to=tmp_path / "logs")
    await run(plan, StandIns())
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["n1.log", "n2.log"]


def edited(tmp_path: Path, line: str, other: str) -> StandIns:
    """A crew whose program differs in one place."""
    source = STANDIN.read_text()
    assert line in source
    program = tmp_path / "standin.py"
    program.write_text(source.replace(line, other))
    return StandIns(program)
