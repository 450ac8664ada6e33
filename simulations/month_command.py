"""`fieldmesh sim run month`: a month of a plant with a progress bar, and its figures as a table or as JSON."""

import time

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from node.cli.output import print_json
from simulations.month import DAYS, NODES, Day, Month, figures, plant_of, run

SHOWN_DAYS = 10  # rows for people; JSON has them all


def run_month(nodes: int | None, days: int | None, as_json: bool) -> None:
    """Run it, and say what it has shown."""
    month = _measured(nodes or NODES, days or DAYS, as_json)
    if as_json:
        print_json(msgspec.to_builtins(month))
    else:
        show(month, Console())


def show(month: Month, console: Console) -> None:
    """The figures for people."""
    table = Table(title=f"{month.nodes} nodes, {month.days} days, step {month.step_s} s")
    for heading in ("day", "writes", "records", "document bytes", "of fresh", "memory, MB"):
        table.add_column(heading, justify="right")
    every = max(1, len(month.daily) // SHOWN_DAYS)
    for day in month.daily[every - 1 :: every]:
        table.add_row(*_row(day))
    console.print(table)
    console.print(f"documents against fresh ones with the same records: {month.doc_bytes_ratio}")
    console.print(
        f"a naive document, {month.naive_hours:g} h of {month.tags} keys overwritten each second: "
        f"{month.naive_bytes / 1e6:.1f} MB, {month.naive_bytes_ratio:g} times a fresh one"
    )
    console.print(
        f"memory over the last {month.rss_slope_days} days: {month.rss_slope_mb_per_day:+.2f} MB a day"
    )
    console.print(
        "all nodes hold the same" if month.is_equal else "the nodes differ",
        style="" if month.is_equal else "red",
    )


def _row(day: Day) -> tuple[str, ...]:
    sizes = (f"{day.writes:,}", f"{day.records:,}", f"{day.doc_bytes:,}")
    return (str(day.day), *sizes, f"{day.doc_bytes_ratio:.2f}", f"{day.rss_mb:.0f}")


def _measured(nodes: int, days: int, is_quiet: bool) -> Month:
    begun, daily = time.perf_counter(), list[Day]()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("days, {task.fields[ratio]} of fresh"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=is_quiet) as progress:
        bar = progress.add_task("", total=days, ratio="-")
        plant = plant_of(nodes)
        for day in run(plant, days):
            daily.append(day)
            progress.update(bar, advance=1, ratio=f"{day.doc_bytes_ratio:.2f}")
    return figures(plant, daily, time.perf_counter() - begun)
