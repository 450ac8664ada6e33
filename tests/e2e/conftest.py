"""A plant for each test: copies of one site that was founded and joined once, through the command line."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import Machine, all_linked, brokers_under, free_ports, until

NAMES = ("press-1", "press-2", "press-3")  # a steward with the root key, a second steward, a member
Plant = list[Machine]


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """New computers, without a node. When the test is over they run nothing."""
    made: list[Machine] = []

    def make(name: str, **settings: str) -> Machine:
        port, join_port = free_ports(2)
        made.append(Machine(tmp_path, name, port, join_port, **settings))
        return made[-1]

    yield make
    _end(made)


@pytest.fixture(scope="session")
def ports() -> list[int]:
    return free_ports(2 * len(NAMES))


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory, ports: list[int]) -> Path:
    """The folder with the homes of a site of three whose nodes have not met yet."""
    folder = tmp_path_factory.mktemp("plant")
    first, second, third = _machines(folder, ports)
    first.found()
    first.start().wait_until_up()
    try:
        second.join(first.token("--steward"), first)
        third.join(first.token(), first)
    finally:
        first.end()
    return folder


@pytest.fixture
def plant(founded: Path, ports: list[int], tmp_path: Path) -> Iterator[Plant]:
    """The site of three, not running yet: each test has it to itself, on the same ports as the one before."""
    for name in NAMES:
        shutil.copytree(founded / name, tmp_path / name, ignore=shutil.ignore_patterns("run"))
    machines = _machines(tmp_path, ports)
    yield machines
    _end(machines)


@pytest.fixture
def running(plant: Plant) -> Plant:
    """The site of three, each linked with both others."""
    for machine in plant:
        machine.start()
    all_linked(plant)
    return plant


def _machines(folder: Path, ports: list[int]) -> Plant:
    return [Machine(folder, name, ports[2 * n], ports[2 * n + 1]) for n, name in enumerate(NAMES)]


def _end(machines: Plant) -> None:
    """All of them at once; then no broker may be left."""
    for machine in machines:
        if machine.is_running:
            machine.terminate()
    for machine in machines:
        machine.end()
    for machine in machines:
        until(lambda: not brokers_under(machine.home), f"{machine.name} leaves no broker")  # noqa: B023 - called here
