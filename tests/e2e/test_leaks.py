"""A node that runs while peers come and go keeps no more files, threads and sockets open than before."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import Machine, all_linked

pytestmark = [pytest.mark.io, pytest.mark.slow]

ROUNDS = 5


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def resident_kb(pid: int) -> int:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in each)
    return int(line.split()[1])


def come_and_go(plant: Plant) -> None:
    """Another node crashes, a third stops in good order, and both come back."""
    first, second, third = plant
    third.kill()
    second.stop()
    first.until(lambda: set(first.states().values()) == {"unreachable"}, "both are gone")
    second.start()
    third.start()
    all_linked(plant)


def test_peers_that_come_and_go_leave_nothing_open(running: Plant) -> None:
    first = running[0]
    come_and_go(running)  # caches and pools have filled by then
    node, broker = first.pid, first.broker_pid
    files, brokers, count, memory = open_files(node), open_files(broker), threads(node), resident_kb(node)
    for _ in range(ROUNDS):
        come_and_go(running)
    first.until(lambda: open_files(node) <= files + 1, "as few open files as before")
    first.until(lambda: open_files(broker) <= brokers + 1, "as few sockets of the broker as before")
    assert threads(node) <= count + 2
    assert resident_kb(node) <= memory + 4096
    assert first.broker_pid == broker and first.count("broker_restarted") == 0


def test_questions_by_the_hundred_leave_nothing_open(running: Plant) -> None:
    first: Machine = running[0]
    files = open_files(first.pid)
    for _ in range(300):
        first.ask("peers")
    first.until(lambda: open_files(first.pid) <= files + 1, "as few open files as before")
