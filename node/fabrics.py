"""The three fabrics a node may live on, behind the few calls that the driver needs."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mesh.events import BrokerDown, BrokerUp, Counted, Event, SetAccess
from mesh.io.broker import Broker
from mesh.io.broker_config import BrokerSettings
from mesh.io.broker_error import BrokerError
from mesh.io.links import Links
from mesh.io.shared import SharedFabric, SharedSettings
from mesh.io.tls import TlsSource
from mesh.state import Keys
from node.config import Config, mend
from node.errors import FieldmeshError
from node.exits import Exit
from node.home import Home

EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a node is there to be reached; certificates keep strangers out
_PORT_CODES = ("port-taken", "port-forbidden")  # their cure is another [fabric] port
Deliver = Callable[[Event | Counted], None]


class OwnFabric:
    """Our own broker, and links dialled on others'."""

    def __init__(self, home: Home, config: Config, keys: Keys, deliver: Deliver) -> None:
        run = home.run_dir()
        self._config = home.config
        self._deliver = deliver
        self._tls = TlsSource(home.tls, home.site_root)
        self.wires = Links(keys.identity.node, keys.root.site, self._tls, run / "owner.sock", deliver)
        self._broker = Broker(_broker_settings(home, config, keys, run), self._broker_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._supervise(), name="broker")
            tasks.create_task(self.wires.run(), name="links")

    async def set_access(self, effect: SetAccess) -> None:
        await self._broker.set_access(effect.members, effect.removed)

    async def renew(self) -> None:
        """The certificate on disk is new: use it for new handshakes."""
        await asyncio.to_thread(self._tls.refresh)
        await self._broker.reload()

    def status(self) -> Mapping[str, Any]:
        return asdict(self._broker.state)

    @property
    def port(self) -> int:
        return self._broker.port

    async def _supervise(self) -> None:
        try:
            await self._broker.run()
        except BrokerError as error:
            cure = f"{error.cure} in {self._config.resolve()}" if error.code in _PORT_CODES else error.cure
            raise FieldmeshError(error.message, cure, _exit_of(error.code)) from error

    def _broker_changed(self, event: BrokerUp | BrokerDown | Counted) -> None:
        if isinstance(event, BrokerUp):
            self.wires.broker_up()
        elif isinstance(event, BrokerDown):
            self.wires.broker_down()
        self._deliver(event)


class LeafFabric:
    """No broker of our own: only links dialled on others'."""

    port = 0

    def __init__(self, home: Home, config: Config, keys: Keys, deliver: Deliver) -> None:
        self._tls = TlsSource(home.tls, home.site_root)
        self.wires = Links(keys.identity.node, keys.root.site, self._tls, None, deliver)

    async def run(self) -> None:
        await self.wires.run()

    async def set_access(self, effect: SetAccess) -> None:
        """Nobody dials us."""

    async def renew(self) -> None:
        await asyncio.to_thread(self._tls.refresh)

    def status(self) -> Mapping[str, Any]:
        return {}


class SharedWires:
    """One existing broker, or a list of them, that the site already runs."""

    port = 0

    def __init__(self, home: Home, config: Config, keys: Keys, deliver: Deliver) -> None:
        self._tls = TlsSource(home.tls, home.site_root)
        try:
            self.wires = SharedFabric(
                keys.identity.node, keys.root.site, self._tls, _shared_settings(config), deliver
            )
        except (OSError, ValueError) as error:
            raise FieldmeshError(
                f"[fabric] of the configuration cannot be used: {error}",
                mend(home.config),
                Exit.CONFIGURATION,
            ) from None

    async def run(self) -> None:
        await self.wires.run()

    async def set_access(self, effect: SetAccess) -> None:
        """The shared broker's operator keeps its access list."""

    async def renew(self) -> None:
        await asyncio.to_thread(self._tls.refresh)

    def status(self) -> Mapping[str, Any]:
        return {"up": bool(self.wires.broker), "url": self.wires.broker, "last_error": self.wires.last_error}


Fabric = OwnFabric | LeafFabric | SharedWires

_FABRICS: Mapping[str, type[Fabric]] = {"own": OwnFabric, "leaf": LeafFabric, "shared": SharedWires}


def make_fabric(home: Home, config: Config, keys: Keys, deliver: Deliver) -> Fabric:
    return _FABRICS[config.fabric.mode](home, config, keys, deliver)


def _exit_of(code: str) -> Exit:
    if code == "port-taken":
        return Exit.TEMPORARY  # by a broker that is still going away, say: systemd may try again
    return Exit.DISK if code.startswith("disk-") else Exit.CONFIGURATION


def _broker_settings(home: Home, config: Config, keys: Keys, run: Path) -> BrokerSettings:
    return BrokerSettings(
        binary=config.broker.binary or None,
        folder=home.broker,
        run=run,
        node=keys.identity.node,
        site=keys.root.site,
        bind=config.fabric.bind or EVERY_INTERFACE,
        port=config.fabric.port,
        certificate=home.tls,
        root=home.site_root,
    )


def _shared_settings(config: Config) -> SharedSettings:
    fabric = config.fabric
    password = _password_in(Path(fabric.password_file)) if fabric.password_file else None
    return SharedSettings(
        urls=fabric.brokers,
        username=fabric.username or None,
        password=password,
        ca_file=Path(fabric.ca_file) if fabric.ca_file else None,
    )


def _password_in(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise FieldmeshError(
            f"the password in {file} cannot be read: {why}",
            "mend [fabric] password_file, or let this user read the file",
            Exit.CONFIGURATION,
        ) from None
