"""Machines on one LAN find each other by multicast DNS alone: no seed, no address typed anywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machines import Machine, all_linked, brokers_under, until
from tests.mesh_io.namespaces import Network, lan

pytestmark = [pytest.mark.io, pytest.mark.root]

HOSTS = ("press-1", "press-2", "press-3")


@pytest.fixture
def hall() -> Iterator[Network]:
    with lan(*HOSTS) as made:
        yield made


def on(hall: Network, host: str, folder: Path) -> Machine:
    machine = Machine(folder, host, 8883, 8884)
    machine.settings = {}  # as it comes out of the box
    machine.prefix = hall.inside(host, [])
    return machine


def test_a_site_grows_by_mdns_alone(hall: Network, tmp_path: Path) -> None:
    first, second, third = machines = [on(hall, host, tmp_path) for host in HOSTS]
    try:
        first.fieldmesh("site", "init", "--site", "lyon", "--name", "press-1")
        first.start().wait_until_up()
        for machine in (second, third):
            token = first.json("token", "create")["token"]
            machine.json("join", token, "--name", machine.name)
            machine.start()
        all_linked(machines)
        for machine in machines:
            machine.until(lambda: machine.findings() == [], "all is well")  # noqa: B023 - called here
        assert first.json("status")["endpoints"] == ["10.77.0.1:8883"]
        hall.cut("press-3", "eth0")
        third.until(lambda: third.status()["isolated"], "it knows that it is alone", 8)
        first.until_states(8, press_3="unreachable", press_2="alive")
        hall.heal("press-3", "eth0")
        all_linked(machines, 8)
    finally:
        for machine in machines:
            machine.end()
    until(lambda: not brokers_under(tmp_path), "no broker is left")
