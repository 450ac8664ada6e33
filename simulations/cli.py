"""`fieldmesh sim`: run scenarios under the virtual clock."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from node.cli.output import json_option, print_json
from node.errors import FieldmeshError
from node.exits import Exit
from simulations import month, month_command
from simulations import report as reports
from simulations import scenario as scenarios
from simulations.ablations import ABLATIONS
from simulations.runner import Job, Outcome, run_all, run_one
from simulations.scenario import Scenario, ScenarioError

SEEDS_MAX = 100_000


class SeedRange(click.ParamType[range]):
    """`A-B`, or a single number."""

    name = "seeds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", str(value))
        if match is None:
            self.fail(f"{value!r} is no range of seeds; write 1-200, or 7 for one seed", param, ctx)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 <= last - first < SEEDS_MAX:
            self.fail(f"{value!r} must rise, over fewer than {SEEDS_MAX} seeds", param, ctx)
        return range(first, last + 1)


def _safeguards() -> str:
    """Those that --without knows, and what notices; one to a line."""
    width = max(map(len, ABLATIONS))
    lines = (f"  {each.name:<{width}}  {each.scenario}: {each.about}" for each in ABLATIONS.values())
    return "\n".join(("\b", "Safeguards for --without, and the scenario that fails then:", *lines))


@click.group("sim")
def sim() -> None:
    """Try the fabric on a simulated network: seeded, checked, reproducible."""


@sim.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """The scenarios there are."""
    found = {name: scenarios.load(name) for name in scenarios.names()}
    if as_json:
        print_json({"scenarios": [_described(name, scenario) for name, scenario in found.items()]})
        return
    width = max(map(len, found), default=0)
    for name, scenario in found.items():
        click.echo(f"{name:<{width}}  {scenario.about} ({scenario.nodes} nodes, {scenario.end_s:g} s)")
    click.echo(f"{month.NAME:<{width}}  {month.ABOUT} ({month.NODES} nodes, {month.DAYS} days)")


@sim.command("run", epilog=_safeguards())
@click.argument("scenario_name", metavar="SCENARIO")
@click.option("--nodes", type=click.IntRange(1, scenarios.NODES_MAX), help="[default: the scenario's own]")
@click.option(
    "--seeds", type=SeedRange(), default="1-10", show_default=True, help="One run for each seed, A-B."
)
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes at a time. [default: one per CPU]")
@click.option(
    "--trace-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the events of one seed."
)
@click.option(
    "--without",
    type=click.Choice(list(ABLATIONS)),
    help="Switch one safeguard off: see below.",
)
@click.option("--days", type=click.IntRange(1, 366), help="Of `month` only: how long. [default: 30]")
@json_option
def run_command(
    scenario_name: str,
    nodes: int | None,
    seeds: range,
    jobs: int | None,
    trace_file: Path | None,
    without: str | None,
    days: int | None,
    as_json: bool,
) -> None:
    """Run a scenario once for each seed, with every invariant checked.

    `month` is none of these: one run, of so many days, that shows how documents and memory grow.
    """
    if scenario_name == month.NAME:
        month_command.run_month(nodes, days, as_json)
        return
    scenario = _load(scenario_name)
    nodes = scenario.nodes if nodes is None else nodes
    if nodes < scenario.nodes_min:
        raise FieldmeshError(
            f"{scenario_name} needs at least {scenario.nodes_min} nodes",
            f"try --nodes {scenario.nodes}",
            Exit.USAGE,
        )
    begun = time.perf_counter()
    if trace_file is not None:
        outcomes = [_run_traced(Job(scenario, nodes, _only(seeds), without or ""), trace_file)]
    else:
        outcomes = _run_all(scenario, nodes, seeds, jobs or os.cpu_count() or 1, without or "", as_json)
    elapsed_s = time.perf_counter() - begun
    report = reports.summarise(scenario_name, nodes, _text(seeds), outcomes, elapsed_s, without)
    _print(report, outcomes, as_json)
    if report.violations:
        raise SystemExit(Exit.VIOLATIONS)


def _run_all(
    scenario: Scenario, nodes: int, seeds: range, jobs: int, without: str, as_json: bool
) -> list[Outcome]:
    outcomes = []
    with _progress(len(seeds), as_json) as advance:
        for outcome in run_all(scenario, nodes, seeds, jobs, without):
            outcomes.append(outcome)
            advance(len(outcome.violations))
    return outcomes


def _run_traced(job: Job, trace_file: Path) -> Outcome:
    try:
        with trace_file.open("w", encoding="utf-8") as log:
            return run_one(job, log)
    except OSError as error:
        raise FieldmeshError(f"cannot write {trace_file}: {error.strerror}", "", Exit.DISK) from None


def _print(report: reports.Report, outcomes: list[Outcome], as_json: bool) -> None:
    if not as_json:
        reports.show(report, outcomes, Console())
        return
    print_json(report.as_json())
    if report.violations:
        command = reports.reproduce_command(report, report.violations[0]["seed"])
        click.echo(f"to see it again: {command}", err=True)


class _Advance:
    """Moves the bar, and says how many violations there are so far."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, violations=0)
        self._violations = 0

    def __call__(self, violations: int) -> None:
        self._violations += violations
        self._progress.update(self._task, advance=1, violations=self._violations)


@contextlib.contextmanager
def _progress(total: int, is_quiet: bool) -> Iterator[_Advance]:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("seeds, {task.fields[violations]} violations"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=is_quiet) as progress:
        yield _Advance(progress, total)


def _load(name: str) -> Scenario:
    try:
        return scenarios.load(name)
    except ScenarioError as error:
        raise FieldmeshError(str(error), "`fieldmesh sim list` shows the scenarios", Exit.USAGE) from None


def _only(seeds: range) -> int:
    if len(seeds) != 1:
        raise FieldmeshError("--trace-file takes one seed", f"try --seeds {seeds[0]}-{seeds[0]}", Exit.USAGE)
    return seeds[0]


def _text(seeds: range) -> str:
    return f"{seeds[0]}-{seeds[-1]}"


def _described(name: str, scenario: Scenario) -> dict[str, object]:
    return {"name": name, "about": scenario.about, "nodes": scenario.nodes, "simulated_s": scenario.end_s}
