"""The demo's plant: ports that are free, joining with and without multicast, and a clear word when a tool is missing."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.ids import SiteId
from node.control import socket_of
from node.errors import FieldmeshError
from simulations.demo import plant as plants
from simulations.demo.plant import LOOPBACK, PORTS, Plant, free_ports, require_tools
from simulations.lab.crew import RealNodes
from simulations.lab.process import NodeProcess
from tests.lab.leftovers import await_that


def test_free_ports_are_different_free_and_never_lent_to_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert set(ports) <= set(PORTS)
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("", port))


def test_a_taken_port_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(plants, "PORTS", range(port, port + 1))
        with pytest.raises(FieldmeshError, match="no 1 free TCP ports"):
            free_ports(1)


async def test_a_missing_tool_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FieldmeshError, match="setpriv") as caught:
        await require_tools()
    assert caught.value.cure


async def _nobody(site: SiteId | None, timeout_s: float) -> AsyncIterator[plants.Endpoint]:
    for endpoint in ():
        yield endpoint


@pytest.mark.io
async def test_where_multicast_finds_nobody_a_node_joins_and_links_by_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plants, "find_stewards", _nobody)
    monkeypatch.setattr(plants, "FIND_WITHIN_S", 0.2)
    plant = Plant(tmp_path, ("press-1", "press-2", "press-3"))
    plant.found()
    home = plant.homes["press-1"]
    founder = NodeProcess("press-1", None, RealNodes().command(home), tmp_path / "log")
    founder.start()
    try:
        await_that(lambda: socket_of(home).exists(), within_s=30)
        admission = await plant.admit("press-2")
    finally:
        founder.kill()
    assert (admission.by_multicast, admission.members, admission.days) == (False, 2, 30)
    config = (plant.homes["press-2"] / "config.toml").read_text()
    assert config.count(f'"{LOOPBACK}:') == 2
