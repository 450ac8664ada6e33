"""`fieldmesh bench`: figures of real nodes on this machine, each beside its target."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from node.cli.output import emit, json_option
from node.exits import Exit

INTERRUPTED = "interrupted; the bench has ended its nodes and removed their folders"
MESSAGES_MAX = 2000  # a block's answer is one line, of at most 64 kB


@click.group()
def bench() -> None:
    """Measure real nodes on this machine: how fast they are, and what they cost."""


@bench.command()
@click.option(
    "--blocks", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Blocks of each kind."
)
@click.option(
    "--messages",
    type=click.IntRange(1, MESSAGES_MAX),
    default=100,
    show_default=True,
    help="Messages in a block.",
)
@click.option(
    "--rate", type=click.FloatRange(1, 2000), default=200.0, show_default=True, help="Messages a second."
)
@click.option(
    "--settle-s",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help="How long the idle nodes are left alone before they are watched.",
)
@click.option(
    "--idle-s",
    type=click.FloatRange(1, 86_400),
    default=20.0,
    show_default=True,
    help="How long the idle nodes are watched.",
)
@json_option
def fabric(blocks: int, messages: int, rate: float, settle_s: float, idle_s: float, as_json: bool) -> None:
    """Time a broadcast against a bare MQTT message, and weigh an idle node. Exit code 21: a target was missed."""
    from simulations.bench.broadcast import BroadcastPlan
    from simulations.bench.idle import IdlePlan
    from simulations.bench.report import readable
    from simulations.bench.run import Plan, run
    from simulations.lab.interrupt import run_until_signal

    plan = Plan(BroadcastPlan(blocks, messages, rate), IdlePlan(settle_s, idle_s))
    with _progress(plan.lasts_s, is_quiet=as_json) as passed:
        report = run_until_signal(run(plan, passed), INTERRUPTED)
    emit(report.as_json(), as_json, readable(report))
    if report.violations:
        sys.exit(Exit.VIOLATIONS)


@bench.command()
@click.option(
    "--frames",
    type=click.IntRange(100, 1_000_000),
    default=20_000,
    show_default=True,
    help="Frames that one node writes.",
)
@click.option(
    "--writes",
    type=click.IntRange(100, 1_000_000),
    default=20_000,
    show_default=True,
    help="Shared records that a core alone writes.",
)
@click.option(
    "--blocks", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Blocks of each kind."
)
@click.option(
    "--messages",
    type=click.IntRange(1, MESSAGES_MAX),
    default=25,
    show_default=True,
    help="Messages in a block.",
)
@click.option(
    "--rate", type=click.FloatRange(1, 2000), default=25.0, show_default=True, help="Messages a second."
)
@click.option(
    "--apart",
    type=click.IntRange(1, 100_000),
    default=10_000,
    show_default=True,
    help="Records that each of two replicas holds and the other lacks.",
)
@click.option(
    "--held",
    type=click.IntRange(1, 300_000),
    default=100_000,
    show_default=True,
    help="Records of the node that starts again.",
)
@json_option
def state(
    frames: int, writes: int, blocks: int, messages: int, rate: float, apart: int, held: int, as_json: bool
) -> None:
    """Time the shared state: writing, spreading, catching up, starting again. Exit code 21: a target was missed."""
    from simulations.bench.converging import ConvergingPlan
    from simulations.bench.durable import WritingPlan
    from simulations.bench.propagation import PropagationPlan
    from simulations.bench.restarting import RestartPlan
    from simulations.bench.state_report import readable
    from simulations.bench.state_run import StatePlan, run
    from simulations.lab.interrupt import run_until_signal

    plan = StatePlan(
        WritingPlan(frames, writes),
        PropagationPlan(blocks, messages, rate),
        ConvergingPlan(apart),
        RestartPlan(held),
    )
    with _progress(plan.lasts_s, is_quiet=as_json) as passed:
        report = run_until_signal(run(plan, passed), INTERRUPTED)
    emit(report.as_json(), as_json, readable(report))
    if report.violations:
        sys.exit(Exit.VIOLATIONS)


@contextmanager
def _progress(lasts_s: float, is_quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=is_quiet) as progress:
        task = progress.add_task("", total=lasts_s)
        yield lambda what, passed_s: progress.update(task, description=what, advance=passed_s)
