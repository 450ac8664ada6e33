"""A node's process can be started in its namespace, killed, asked to stop, and questioned about its end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import FieldmeshError
from simulations.lab.names import LabName
from simulations.lab.process import NodeProcess, descendants, gone, is_running, processor_seconds
from simulations.lab.sweep import remove
from tests.lab.leftovers import await_that

pytestmark = [pytest.mark.root, pytest.mark.io]


@pytest.fixture
def namespace() -> Iterator[str]:
    lab = LabName.mine()
    subprocess.run(["ip", "netns", "add", lab.namespace("node-1")], check=True)
    yield lab.namespace("node-1")
    remove(lab)


def a_process(namespace: str, tmp_path: Path, *command: str) -> NodeProcess:
    return NodeProcess("n1", namespace, command, tmp_path / "n1.log")


def test_the_command_itself_is_the_process_and_lives_in_the_namespace(namespace: str, tmp_path: Path) -> None:
    process = a_process(namespace, tmp_path, "sleep", "60")
    process.start()
    await_that(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", within_s=10)
    inside = _network_of(process.pid)
    assert inside == Path(f"/run/netns/{namespace}").stat().st_ino
    assert inside != _network_of(os.getpid())
    process.kill()
    assert process.exit_code() == -9


async def test_a_broker_is_found_among_the_grandchildren_and_can_be_seen_to_end(
    namespace: str, tmp_path: Path
) -> None:
    broker = tmp_path / "mosquitto"
    broker.symlink_to("/bin/sleep")
    process = a_process(namespace, tmp_path, "sh", "-c", f"sh -c '{broker} 60; true'; true")
    process.start()
    await_that(lambda: process.broker_pid() is not None, within_s=10)
    pid = process.broker_pid()
    assert pid is not None
    assert is_running(pid)
    assert pid in [each.pid for each in descendants(process.pid)]
    os.kill(pid, 9)
    assert await gone(pid, within_s=5)
    assert await process.ended(within_s=5)
    assert process.broker_pid() is None


async def test_a_process_that_ended_by_itself_is_reported_with_its_last_words(
    namespace: str, tmp_path: Path
) -> None:
    process = a_process(namespace, tmp_path, "sh", "-c", "echo port 8883 is taken >&2; exit 78")
    process.start()
    assert await process.ended(within_s=10)
    with pytest.raises(FieldmeshError) as caught:
        process.require_running()
    assert "n1 ended by itself with exit code 78" in caught.value.message
    assert "port 8883 is taken" in caught.value.message


async def test_a_process_that_runs_is_not_complained_of_and_stops_when_asked(
    namespace: str, tmp_path: Path
) -> None:
    process = a_process(namespace, tmp_path, "sleep", "60")
    process.start()
    process.require_running()
    assert not await process.ended(within_s=0.05)
    process.terminate()
    assert await process.ended(within_s=5)


def test_processor_time_counts_the_children_too(namespace: str, tmp_path: Path) -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(60)"
    process = a_process(namespace, tmp_path, "sh", "-c", f"{sys.executable} -S -c '{spin}'; true")
    process.start()
    await_that(lambda: processor_seconds(process.pid) >= 0.1, within_s=20)
    process.kill()


def test_a_process_dies_with_the_one_that_started_it(namespace: str, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from simulations.lab.process import NodeProcess\n"
        f"p = NodeProcess('n1', {namespace!r}, ['sleep', '60'], Path({str(tmp_path / 'log')!r}))\n"
        "p.start(); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        await_that(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", within_s=10)
        parent.kill()
        parent.wait()
        await_that(lambda: not is_running(pid), within_s=5)


def _network_of(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino
