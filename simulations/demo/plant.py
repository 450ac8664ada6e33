"""The demo's plant: the homes of its nodes, made by the same functions as a person's commands make them."""

import secrets
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mesh.io.broker_error import BrokerError
from mesh.io.discovery import find_stewards
from mesh.io.mosquitto import find_mosquitto
from mesh.wire import Endpoint
from node.errors import FieldmeshError
from node.exits import Exit
from node.founding import found_site
from node.home import Home
from node.join_client import join
from node.token_book import TokenBook

SITE = "lyon"
LOOPBACK = "127.0.0.1"
FIND_WITHIN_S = 4.0  # multicast that works answers in a tenth of it
TOKEN_TTL_S = 600.0
PORTS = range(
    20_000, 32_000
)  # below those that the kernel lends to outgoing connections: a restart finds its own


class Admission(NamedTuple):
    """How a node became a member."""

    by_multicast: bool
    members: int
    days: int  # that its certificate is good for


class Plant:
    """Homes and ports for these nodes; the first founds the site, the others join it."""

    def __init__(self, folder: Path, nodes: Sequence[str]) -> None:
        self.homes = {node: folder / node for node in nodes}
        self._founder = nodes[0]
        self._join_port, *ports = free_ports(len(nodes) + 1)
        self._ports = dict(zip(nodes, ports, strict=True))

    def found(self) -> None:
        """What `fieldmesh site init` does."""
        name = self._founder
        config = {"port": self._ports[name], "join_port": self._join_port}
        found_site(self.homes[name], SITE, name, _wall_ms(), **config)

    async def admit(self, name: str) -> Admission:
        """What `fieldmesh token create` and `fieldmesh join` do, while the founder runs."""
        try:
            return await self._join(name, by_multicast=True)
        except FieldmeshError as error:
            if error.exit_code != Exit.STEWARD_NOT_FOUND:
                raise
        return await self._join(name, by_multicast=False)

    async def _join(self, name: str, by_multicast: bool) -> Admission:
        steward = Home(self.homes[self._founder])
        keys = steward.load_keys()
        token = TokenBook(steward.database).create(
            keys.root.fingerprint, keys.identity.node, _wall_ms(), TOKEN_TTL_S
        )
        config: dict[str, Any] = {"port": self._ports[name]}
        doors: list[Endpoint] = []
        if not by_multicast:  # then it will not find the others' brokers either
            config["seeds"] = [f"{LOOPBACK}:{port}" for node, port in self._ports.items() if node != name]
            doors = [Endpoint(LOOPBACK, self._join_port)]
        joined = await join(
            Home(self.homes[name]),
            token,
            name,
            seeds=doors,
            find=find_stewards,
            timeout_s=FIND_WITHIN_S,
            config=config,
        )
        days = (joined.not_after_ms - _wall_ms()) / 86_400_000
        return Admission(by_multicast, joined.members, round(days))


async def require_tools() -> None:
    """FieldmeshError with the cure when this machine lacks a program that the demo needs."""
    if shutil.which("setpriv") is None:
        raise FieldmeshError("the demo needs the program 'setpriv'", "sudo apt-get install util-linux")
    try:
        await find_mosquitto(None)
    except BrokerError as error:
        raise FieldmeshError(error.message, error.cure, Exit.CONFIGURATION) from None


def free_ports(count: int) -> list[int]:
    """As many different TCP ports that nobody listens on at this moment."""
    first = secrets.choice(PORTS)  # another demo may be choosing just now
    candidates = [*range(first, PORTS.stop), *range(PORTS.start, first)]
    found: list[int] = []
    for port in candidates:
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise FieldmeshError(
        f"no {count} free TCP ports between {PORTS.start} and {PORTS.stop}",
        "end some of the programs that listen there",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
