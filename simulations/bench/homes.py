"""The homes of the measured nodes: a fresh site on loopback, with ports that were free a moment ago."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from mesh.ids import NodeId
from mesh.wire import Endpoint
from node.founding import admit, found_site

SITE = "bench"
HOST, LOOPBACK = "127.0.0.1", "lo"
QUIET: dict[str, Any] = {"bind": HOST, "join_port": 0, "mdns": False}


class Pair(NamedTuple):
    """Two nodes, only the second of which can dial the other, and a member that runs no node."""

    host: Path
    dialler: Path
    bare: Path
    owner: NodeId  # of the broker that carries everything
    peer: NodeId
    broker: Endpoint


def make_one(folder: Path) -> Path:
    """A node that nobody knows of."""
    home = folder / "alone"
    found_site(home, SITE, home.name, _now_ms(), port=free_ports(1)[0], **QUIET)
    return home


def make_pair(folder: Path, *, apart: bool = False) -> Pair:
    """Only the dialler knows where the other is, by a seed, so the link is its dial; `apart`: nobody knows."""
    host, dialler, bare = (folder / name for name in ("host", "dialler", "bare"))
    port, other = free_ports(2)
    now_ms = _now_ms()
    owner = found_site(host, SITE, "host", now_ms, port=port, **QUIET).identity.node
    seeds = [] if apart else [str(Endpoint(HOST, port))]
    peer = admit(host, dialler, "dialler", now_ms, port=other, seeds=seeds, **QUIET).identity.node
    admit(host, bare, "bare", now_ms)
    return Pair(host, dialler, bare, owner, peer, Endpoint(HOST, port))


def make_trio(folder: Path) -> list[Path]:
    """Three nodes as users run them, but for their ports and that they meet on loopback alone."""
    homes = [folder / name for name in ("first", "second", "third")]
    ports = free_ports(len(homes))
    now_ms = _now_ms()
    local: dict[str, Any] = {"bind": HOST, "interfaces": [LOOPBACK], "join_port": 0}
    found_site(homes[0], SITE, homes[0].name, now_ms, port=ports[0], **local)
    for home, port in zip(homes[1:], ports[1:], strict=True):
        admit(homes[0], home, home.name, now_ms, port=port, **local)
    return homes


def free_ports(count: int) -> list[int]:
    """As many different TCP ports that nobody listens on at this moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
