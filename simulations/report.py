"""What a run of several seeds says: stable JSON keys, and the same for people."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from simulations.measure import Timed, Times, idle_budget
from simulations.runner import Outcome
from simulations.worldly import Losses

BARS = " ▁▂▃▄▅▆▇█"
BINS = 24
SHOWN_MAX = 10  # violations listed for people; JSON has them all


class Report(msgspec.Struct, frozen=True):
    """One scenario over its seeds. Times are seconds; null where nothing was measured.

    Healed means that all documents are equal, where documents are written; else that everybody sees everybody.
    """

    scenario: str
    nodes: int
    seeds: str
    without: str | None  # the safeguard that was switched off
    formed_s_p95: float | None
    detect_all_s_p50: float | None
    detect_all_s_p95: float | None
    heal_s: float | None  # the slowest
    heal_s_p50: float | None
    heal_s_p95: float | None
    isolated_s_p95: float | None
    false_unreachable: int
    diverged: int | None  # null: nothing was written into the shared documents
    lost_acknowledged: int | None
    resurrected: int | None
    unexplained_missing: int | None
    writes_acknowledged: int | None
    bytes_per_node_s: float
    trace: str
    violations: list[dict[str, Any]]
    counters: dict[str, int]
    simulated_s: float
    steps: int
    elapsed_s: float

    def as_json(self) -> dict[str, Any]:
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]  # a struct becomes a dict


def summarise(
    name: str,
    nodes: int,
    seeds: str,
    outcomes: Sequence[Outcome],
    elapsed_s: float,
    without: str | None = None,
) -> Report:
    """The outcomes, in whatever order they came, as one report in the order of the seeds."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.seed)
    counters: Counter[str] = Counter()
    for outcome in ordered:
        counters.update(outcome.counters)
    return Report(
        scenario=name,
        nodes=nodes,
        seeds=seeds,
        without=without,
        formed_s_p95=percentile(_seconds(ordered, lambda times: times.formed), 95),
        detect_all_s_p50=percentile(_seconds(ordered, lambda times: times.detect), 50),
        detect_all_s_p95=percentile(_seconds(ordered, lambda times: times.detect), 95),
        heal_s=percentile(_seconds(ordered, healed), 100),
        heal_s_p50=percentile(_seconds(ordered, healed), 50),
        heal_s_p95=percentile(_seconds(ordered, healed), 95),
        isolated_s_p95=percentile(_seconds(ordered, lambda times: times.isolated), 95),
        false_unreachable=sum(outcome.false_unreachable for outcome in ordered),
        **_losses(ordered),
        bytes_per_node_s=round(sum(each.bytes_per_node_s for each in ordered) / max(1, len(ordered)), 1),
        trace=hashlib.sha256("".join(outcome.trace for outcome in ordered).encode()).hexdigest(),
        violations=[msgspec.to_builtins(each) for outcome in ordered for each in outcome.violations],
        counters=dict(sorted(counters.items())),
        simulated_s=round(sum(outcome.simulated_s for outcome in ordered), 3),
        steps=sum(outcome.steps for outcome in ordered),
        elapsed_s=round(elapsed_s, 2),
    )


def healed(times: Times) -> list[Timed]:
    """What healing means in this run: equal documents where that was measured."""
    return times.equal or times.heal


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many per cent of all do not exceed."""
    if not values:
        return None
    return round(sorted(values)[math.ceil(len(values) * percent / 100) - 1], 4)


def reproduce_command(report: Report, seed: int) -> str:
    without = f" --without {report.without}" if report.without else ""
    return f"fieldmesh sim run {report.scenario} --nodes {report.nodes} --seeds {seed}-{seed}{without}"


def show(report: Report, outcomes: Sequence[Outcome], console: Console) -> None:
    """The report for people."""
    console.print(_table(report))
    for what, pick in (("detect", lambda times: times.detect), ("heal", healed)):
        _show_times(what, outcomes, pick, console)
    console.print(f"trace {report.trace}")
    _show_violations(report, console)


def _show_times(
    what: str, outcomes: Sequence[Outcome], pick: Callable[[Times], list[Timed]], console: Console
) -> None:
    timed = [(each.seconds, outcome.seed, each.last) for outcome in outcomes for each in pick(outcome.times)]
    if not timed:
        return
    seconds, seed, last = max(timed)
    console.print(f"{what:>6} {histogram([each[0] for each in timed])}", markup=False)
    console.print(f"       slowest: {seconds:.3f} s in seed {seed}; last: {last}", markup=False)


def histogram(values: Sequence[float]) -> str:
    """One line of bars from the smallest value to the largest."""
    low, high = min(values), max(values)
    width = (high - low) / BINS or 1.0
    counts = Counter(min(BINS - 1, int((value - low) / width)) for value in values)
    most = max(counts.values())
    bars = "".join(BARS[math.ceil(counts[place] / most * (len(BARS) - 1))] for place in range(BINS))
    return f"{low:.2f} s |{bars}| {high:.2f} s"


def _table(report: Report) -> Table:
    table = Table(title=f"{report.scenario}: {report.nodes} nodes, seeds {report.seeds}", show_header=False)
    for label, value in (
        ("formed, p95", _s(report.formed_s_p95)),
        ("known by all, p50 / p95", f"{_s(report.detect_all_s_p50)} / {_s(report.detect_all_s_p95)}"),
        ("healed, p50 / p95", f"{_s(report.heal_s_p50)} / {_s(report.heal_s_p95)}"),
        ("isolation noticed, p95", _s(report.isolated_s_p95)),
        ("healthy nodes called unreachable", str(report.false_unreachable)),
        *_loss_rows(report),
        (
            "bytes per node and second",
            f"{report.bytes_per_node_s:.0f} (budget {idle_budget(report.nodes):.0f})",
        ),
        ("simulated", f"{report.simulated_s:.0f} s in {report.elapsed_s:.1f} s, {report.steps} steps"),
        ("violations", str(len(report.violations))),
    ):
        table.add_row(label, value)
    return table


def _loss_rows(report: Report) -> list[tuple[str, str]]:
    if report.writes_acknowledged is None:
        return []
    return [
        ("writes acknowledged", str(report.writes_acknowledged)),
        ("of them lost by their author", str(report.lost_acknowledged)),
        ("missing elsewhere without a reason", str(report.unexplained_missing)),
        ("replaced or deleted, and back again", str(report.resurrected)),
        ("documents diverged", str(report.diverged)),
    ]


def _show_violations(report: Report, console: Console) -> None:
    for violation in report.violations[:SHOWN_MAX]:
        where = f"seed {violation['seed']} at {violation['at_s']} s"
        console.print(f"{violation['invariant']}, {where}: {violation['detail']}", style="red", markup=False)
    if report.violations:
        hidden = len(report.violations) - SHOWN_MAX
        if hidden > 0:
            console.print(f"and {hidden} more")
        command = reproduce_command(report, report.violations[0]["seed"])
        console.print(f"to see it again: {command}", markup=False)


def _s(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _losses(outcomes: Sequence[Outcome]) -> dict[str, int | None]:
    """Each kind of loss over all seeds."""
    measured = [outcome.losses for outcome in outcomes if outcome.losses is not None]
    fields = Losses.__struct_fields__
    return {name: sum(getattr(each, name) for each in measured) if measured else None for name in fields}


def _seconds(outcomes: Sequence[Outcome], pick: Callable[[Times], list[Timed]]) -> list[float]:
    return [each.seconds for outcome in outcomes for each in pick(outcome.times)]
