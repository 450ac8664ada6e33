"""However a lab ends, nothing of it is left."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.leftovers import await_that, interfaces, leftovers

pytestmark = [pytest.mark.root, pytest.mark.io]

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def playing_lab() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A lab in a process of its own, in the middle of a cut of a minute."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.lab.crew", "halves", "60"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lab = process.stdout.readline().strip()
        try:
            yield process, lab
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lab_that_is_interrupted_clears_up_before_it_ends(number: signal.Signals) -> None:
    before = interfaces()
    with playing_lab() as (process, lab):
        assert (
            len([name for name in leftovers(lab) if name.startswith("fmlab")]) == 4
        )  # a switch, three nodes
        process.send_signal(number)
        process.wait(20)
        assert leftovers(lab) == []
    assert interfaces() == before


def test_an_impatient_second_interrupt_does_not_stop_the_clearing_up() -> None:
    with playing_lab() as (process, lab):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert leftovers(lab) == []


def test_a_lab_that_is_killed_is_cleared_up_after_by_its_guard() -> None:
    before = interfaces()
    with playing_lab() as (process, lab):
        process.kill()
        process.wait()
        await_that(lambda: leftovers(lab) == [], within_s=15)
    assert interfaces() == before
