"""A node says that it has started when it has, and to whom it may concern: systemd, and who asked for JSON."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.founding import found_site
from node.home import Home

pytestmark = pytest.mark.io

DEADLINE_S = 20.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(DEADLINE_S)
        yield sock


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found_site(tmp_path / "home", "plant", "press-1", time.time_ns() // 1_000_000)
    return Home(tmp_path / "home")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def run(home: Home, manager: socket.socket, port: int, mode: str = "own") -> subprocess.Popen[str]:
    settings = {"FABRIC_MODE": mode, "FABRIC_BIND": "127.0.0.1", "DISCOVERY_MDNS": "false"}
    settings |= {"FABRIC_PORT": str(port), "FABRIC_JOIN_PORT": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "run", "--json", "--home", str(home.path)],
        env={
            **os.environ,
            **{f"FIELDMESH_{key}": value for key, value in settings.items()},
            "NOTIFY_SOCKET": manager.getsockname(),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("mode", ["own", "leaf"])
def test_a_node_that_has_started_tells_systemd_and_prints_one_object(
    home: Home, manager: socket.socket, mode: str
) -> None:
    port = free_port()
    with run(home, manager, port, mode) as node:
        try:
            assert manager.recv(999).startswith(b"READY=1\n")
            if mode == "own":
                socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
        finally:
            node.terminate()
        out, err = node.communicate(timeout=DEADLINE_S)
    assert node.returncode == 0, err
    identity = home.load_keys().identity.node
    assert json.loads(out) == {"id": identity, "name": "press-1", "site": "plant"}


def test_a_node_whose_port_is_taken_is_not_ready_and_may_be_started_again(
    home: Home, manager: socket.socket
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        run(home, manager, other.getsockname()[1]) as node,
    ):
        out, _ = node.communicate(timeout=DEADLINE_S)
    assert node.returncode == 75
    assert json.loads(out)["error"]["exit_code"] == 75
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):
        assert b"READY" not in manager.recv(999)
        manager.recv(999)
