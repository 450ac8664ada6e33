"""The report: the same keys as the simulator's, and what happened when, for a person to read."""

from collections.abc import Mapping

import msgspec

from simulations.lab.judge import Change, Violation
from simulations.lab.stage import Phase

TARGETS: Mapping[str, float] = {"mesh_formed_s": 5.0, "detect_all_s": 3.0, "heal_s": 5.0}
"""What the issue of the fabric promises; a figure above its target is listed as missed, not as a violation."""


class Counters(msgspec.Struct, frozen=True):
    """What the run has cost, and how closely it was looked at."""

    questions: int
    changes: int
    slowest_answer_s: float
    node_processor_s: float
    lab_processor_s: float
    ran_s: float


class Written(msgspec.Struct, frozen=True):
    """What people and machines wrote, and what has become of it: the first four are to be zero."""

    diverged: int
    lost_acknowledged: int
    resurrected: int
    unexplained_missing: int
    heal_s_p95: float | None  # of the one heal of the run
    writes_acknowledged: int
    writes_refused: int  # they made no sense at that moment
    writes_unanswered: int  # their node was killed under them


class Report(msgspec.Struct, frozen=True):
    """One run of one scenario. A figure is None when what it measures did not come to pass."""

    scenario: str
    nodes: int
    mesh_formed_s: float | None
    detect_all_s: float | None
    heal_s: float | None
    false_unreachable: int
    violations: list[Violation]
    missed: list[str]
    timeline: list[Phase]
    changes: list[Change]
    counters: Counters
    written: Written | None = None  # in JSON its keys stand beside the others

    def as_json(self) -> dict[str, object]:
        plain: dict[str, object] = msgspec.to_builtins(self)
        written = plain.pop("written")
        return {**plain, **written} if isinstance(written, dict) else plain


def missed(figures: Mapping[str, float | None]) -> list[str]:
    """The names of the figures that are above their target, or missing."""
    return [
        name for name, target in TARGETS.items() if (figure := figures.get(name)) is None or figure > target
    ]


def readable(report: Report) -> str:
    """The report as text."""
    return "\n".join(
        [
            f"{report.scenario} with {report.nodes} nodes",
            "",
            *_timeline_lines(report),
            "",
            *_figure_lines(report),
            *_written_lines(report.written),
            "",
            *_verdict_lines(report),
        ]
    )


def _timeline_lines(report: Report) -> list[str]:
    lines = []
    for phase in report.timeline:
        lines.append(f"{phase.at_s:8.2f} s  {phase.phase:<7} {phase.what}")
        if phase.phase != "form":  # that every node finds every other there needs no list
            lines += _change_lines(report, phase)
    return lines


def _change_lines(report: Report, phase: Phase) -> list[str]:
    """The changes of one phase, those of one kind in one line."""
    kinds: dict[tuple[str, str], list[Change]] = {}
    for change in report.changes:
        if phase.at_s < change.at_s <= phase.at_s + phase.lasted_s and change.was:
            kinds.setdefault((change.peer, _step(change)), []).append(change)
    return [_kind_line(changes) for changes in kinds.values()]


def _kind_line(changes: list[Change]) -> str:
    first, last = changes[0], changes[-1]
    observers = ", ".join(sorted({change.observer for change in changes}))
    by = f" by {last.at_s:.2f} s" if len(changes) > 1 else ""
    return f"{first.at_s:8.2f} s  {'':<7} {first.peer}: {_step(first)}, say {observers}{by} ({first.why})"


def _step(change: Change) -> str:
    if change.was != change.became:
        return f"{change.was} -> {change.became}"
    return f"{change.became}, {change.path_was} -> {change.path}"


def _figure_lines(report: Report) -> list[str]:
    figures = {
        "mesh_formed_s": ("all nodes alive and linked after", report.mesh_formed_s),
        "detect_all_s": ("all had noticed after", report.detect_all_s),
        "heal_s": ("all mended after", report.heal_s),
    }
    lines = [f"  {label:<34} {_seconds(figure, TARGETS[name])}" for name, (label, figure) in figures.items()]
    return [*lines, f"  {'healthy nodes called unreachable':<34} {report.false_unreachable}"]


def _written_lines(written: Written | None) -> list[str]:
    if written is None:
        return []
    return [
        f"  {'writes acknowledged':<34} {written.writes_acknowledged} ({written.writes_refused} made no sense "
        f"when they were asked for, {written.writes_unanswered} had no answer)",
        f"  {'of those lost by their own node':<34} {written.lost_acknowledged}",
        f"  {'missing at another node':<34} {written.unexplained_missing}",
        f"  {'replaced, and shown again':<34} {written.resurrected}",
        f"  {'documents that differ in the end':<34} {written.diverged}",
    ]


def _seconds(figure: float | None, target_s: float) -> str:
    if figure is None:
        return f"never (target {target_s:.0f} s)"
    return f"{figure:.2f} s (target {target_s:.0f} s{': MISSED' if figure > target_s else ''})"


def _verdict_lines(report: Report) -> list[str]:
    if not report.violations:
        return ["All invariants hold."]
    return ["Violations:", *(f"  {each.invariant}: {each.detail}" for each in report.violations)]
