"""The demo's plant: free ports, joining where there is no multicast, a clear word when a tool is missing."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.ids import SiteId
from mesh.io.stewards import JoinEndpoint
from node.control import socket_of
from node.errors import FieldmeshError
from simulations.demo import plant as plants
from simulations.demo.acts import NODES
from simulations.demo.plant import PORTS, Plant, free_ports, require_tools
from simulations.demo.scene import Scene
from simulations.lab.crew import RealNodes
from simulations.lab.process import NodeProcess
from simulations.lab.stage import whole_since


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


async def _nobody(site: SiteId | None, timeout_s: float) -> AsyncIterator[JoinEndpoint]:
    doors: list[JoinEndpoint] = []
    for door in doors:
        yield door


@pytest.mark.io
async def test_without_multicast_nodes_join_and_link_by_their_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plants, "find_stewards", _nobody)
    monkeypatch.setattr(plants, "FIND_WITHIN_S", 0.2)
    plant = Plant(tmp_path, NODES)
    processes = {
        node: NodeProcess(node, None, RealNodes().command(home), tmp_path / f"{node}.log")
        for node, home in plant.homes.items()
    }
    async with Scene(processes) as scene:
        plant.found()
        start_without_multicast(scene, plant, NODES[0])
        assert await scene.until(lambda picture: "" if picture.views else "not yet", 30) == ""
        for number, node in enumerate(NODES[1:], start=2):
            assert await plant.admit(node) == (False, number, 30)
            start_without_multicast(scene, plant, node)
        assert await scene.until(whole_since(NODES, 0.0), 30) == ""


def start_without_multicast(scene: Scene, plant: Plant, node: str) -> None:
    config = plant.homes[node] / "config.toml"
    config.write_text(config.read_text().replace("# mdns = true", "mdns = false"))
    assert "\nmdns = false\n" in config.read_text()
    scene.start(node)
    scene.watch(node, socket_of(plant.homes[node]))
