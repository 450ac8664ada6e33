"""`fieldmesh lab`: real nodes, real brokers and real cuts on one machine."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.output import emit, fail, json_option
from node.exits import Exit

if TYPE_CHECKING:
    from simulations.lab.run import Plan

_NODES_MAX = 30  # simulations.lab.topology.NODES_MAX, known before it is imported
SCENARIO_NAMES = ("halves", "isolate-one", "one-way", "kill-one", "broker-kill", "partition-writes")


@click.group()
def lab() -> None:
    """Try real nodes in network namespaces on this machine: cut links, kill, heal, measure (as root)."""


@lab.command()
@click.argument("scenario", type=click.Choice(SCENARIO_NAMES))
@click.option(
    "--nodes", type=click.IntRange(2, _NODES_MAX), default=5, show_default=True, help="How many nodes."
)
@click.option(
    "--cut-s",
    type=click.FloatRange(0, 86_400),
    help="How long a cut lasts.  [default: 10; partition-writes: 30]",
)
@click.option(
    "--keep-logs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Copy the nodes' logs here.",
)
@json_option
def run(scenario: str, nodes: int, cut_s: float | None, keep_logs: Path | None, as_json: bool) -> None:
    """Play SCENARIO with real nodes, and report what was measured. Exit code 21: an invariant did not hold."""
    require_root()
    from simulations.lab.kernel import require_tools
    from simulations.lab.run import Plan
    from simulations.lab.scenarios import SCENARIOS

    require_tools()
    chosen = SCENARIOS[scenario]
    if nodes < chosen.nodes_min:
        fail(
            f"the scenario '{scenario}' needs at least {chosen.nodes_min} nodes",
            f"fieldmesh lab run {scenario} --nodes {chosen.nodes_min}",
            Exit.USAGE,
        )
    _play(Plan(chosen, nodes, chosen.cut_s if cut_s is None else cut_s, logs_to=keep_logs), as_json)


@lab.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Name the scenarios."""
    from simulations.lab.scenarios import SCENARIOS

    summaries = {name: scenario.summary for name, scenario in SCENARIOS.items()}
    scenarios = [{"name": name, "summary": summary} for name, summary in summaries.items()]
    emit({"scenarios": scenarios}, as_json, "\n".join(f"{name:<16} {summaries[name]}" for name in summaries))


@lab.command()
@json_option
def sweep(as_json: bool) -> None:
    """Remove what labs that were killed have left behind. A lab that runs is not touched."""
    require_root()
    from simulations.lab.sweep import sweep as sweep_dead_labs

    removed = sweep_dead_labs()
    emit(
        {"removed": removed},
        as_json,
        "\n".join(f"removed {what}" for what in removed) or "Nothing was left behind.",
    )


def require_root() -> None:
    """Ends the command unless it runs as root."""
    if os.geteuid() == 0:
        return
    fail("the lab makes network namespaces, and that takes root", f"sudo {shlex.join(_command())}")


def _command() -> list[str]:
    """This very command, with a path that also root's PATH finds."""
    return [str(Path(sys.argv[0]).resolve()), *sys.argv[1:]]


def _play(plan: "Plan", as_json: bool) -> None:
    from rich.console import Console

    from simulations.lab.crew import RealNodes
    from simulations.lab.interrupt import run_until_signal
    from simulations.lab.live import display
    from simulations.lab.report import readable
    from simulations.lab.run import run as run_plan

    view = None if as_json else display(Console(stderr=True))
    report = run_until_signal(run_plan(plan, RealNodes(), view))
    emit(report.as_json(), as_json, readable(report))
    if report.violations:
        sys.exit(Exit.VIOLATIONS)
