"""The node's own broker: mosquitto as a supervised child."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from mesh.events import BrokerDown, BrokerUp, Counted
from mesh.ids import NodeId
from mesh.io import broker_child, broker_config, broker_files, broker_log, broker_probe, broker_reach
from mesh.io.broker_child import Child
from mesh.io.broker_config import BrokerSettings
from mesh.io.broker_error import BrokerError
from mesh.io.mosquitto import Mosquitto, find_mosquitto
from mesh.wire import Endpoint

__all__ = ["Broker", "BrokerError", "BrokerSettings", "BrokerState"]

BACKOFF_S_MIN, BACKOFF_S_MAX = 0.1, 5.0
HEALTHY_S = 30.0  # after so long a death is a new one, not the same again
PROBE_PERIOD_S = 5.0
PROBE_TIMEOUT_S = 2.0
PROBE_MISSES_MAX = 3  # a busy host stalls for seconds; a broker that is silent for 15 s is gone
START_TIMEOUT_S = 15.0  # a cold SD card on a busy host
RELOAD_TIMEOUT_S = 2.0  # a removed member may read and write for no longer
PORT_TRIES_MAX = 5  # somebody may take a free port between finding and using it
SOCKET_PATH_BYTES_MAX = 107  # the kernel's
LINES_LOGGED_MAX = 50  # per run of the child: strangers can make it talk, but not fill our log

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerState:
    """For status: how the broker is doing."""

    up: bool
    pid: int | None
    port: int
    version: str
    restarts: int
    last_error: str


class Broker:
    """Runs mosquitto and keeps it running. What happens is told to `deliver`, at once and on the loop."""

    def __init__(
        self, settings: BrokerSettings, deliver: Callable[[BrokerUp | BrokerDown | Counted], None]
    ) -> None:
        self._settings = settings
        self._deliver = deliver
        self._port = settings.port
        self._version = ""
        self._child: Child | None = None
        self._up_since: float | None = None
        self._was_up = False
        self._down_told = False
        self._endpoints: tuple[Endpoint, ...] = ()
        self._restarts = 0
        self._lines_logged = 0
        self._last_error = ""
        self._removed: frozenset[NodeId] = frozenset()
        self._access = broker_config.mesh_access(settings.node, settings.site, (), ())
        self._access_written = ""  # what the file holds
        self._access_loaded = ""  # what the running child has surely read
        self._access_lock = asyncio.Lock()

    @property
    def port(self) -> int:
        """The mesh listener's; 0 until a free one was picked."""
        return self._port

    @property
    def state(self) -> BrokerState:
        child = self._child
        return BrokerState(
            self._up_since is not None,
            child.pid if child else None,
            self._port,
            self._version,
            self._restarts,
            self._last_error,
        )

    async def run(self) -> None:
        """Supervises until cancelled; the child is gone when this returns or raises.

        Raises BrokerError when the broker cannot start for a reason that waiting does not cure. Once it has
        been up, every failure is told as BrokerDown and tried again.
        """
        mosquitto = await find_mosquitto(self._settings.binary)
        self._version = ".".join(map(str, mosquitto.version))
        await self._prepare()
        backoff_s = BACKOFF_S_MIN
        while True:
            reason, healthy_s = await self._one_life(mosquitto)
            self._tell_down(reason)
            if healthy_s >= HEALTHY_S:
                backoff_s = BACKOFF_S_MIN
            # jittered: after a power cut a site's brokers must not return in step
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            self._restarts += 1
            self._deliver(Counted("broker_restarted"))

    async def set_access(self, members: Iterable[NodeId], removed: Iterable[NodeId]) -> None:
        """`members` may link, `removed` may do nothing at all; in force when this returns.

        A broker that cannot be told of a removal is killed: it comes back with the right list or not at all.
        """
        gone = frozenset(removed)
        text = broker_config.mesh_access(self._settings.node, self._settings.site, members, gone)
        async with self._access_lock:
            newly_removed, self._removed = not gone <= self._removed, gone
            if text == self._access == self._access_written:
                return
            self._access = text
            await self._apply_access(newly_removed)

    async def reload(self) -> None:
        """The certificate file was replaced: new handshakes use it when this returns, sessions go on."""
        async with self._access_lock:
            if self._child is not None and self._up_since is not None:
                await self._reread(self._child)
                await self._check_certificate()

    # ------------------------------------------------------------ starting

    async def _prepare(self) -> None:
        settings = self._settings
        if len(os.fsencode(settings.run / broker_config.OWNER_SOCKET)) > SOCKET_PATH_BYTES_MAX:
            raise BrokerError(
                "bad-setting",
                f"the path {settings.run} is too long for a Unix socket",
                "use a shorter home folder",
            )
        orphans = await broker_child.end_orphans(settings.folder / broker_config.CONFIGURATION)
        if orphans:
            log.warning("broker_orphans_ended", count=orphans)
        with broker_files.disk_errors(settings.folder):
            for folder in (settings.folder, settings.run):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if settings.port == 0:
                self._port = broker_files.remembered_port(settings.folder) or self._pick_port()

    def _pick_port(self) -> int:
        port = broker_reach.free_port(self._settings.bind)
        broker_files.remember_port(self._settings.folder, port)
        return port

    async def _one_life(self, mosquitto: Mosquitto) -> tuple[str, float]:
        """Start, watch, reap: why it ended and how long it was up. BrokerError when retrying has no point."""
        for _ in range(PORT_TRIES_MAX):
            try:
                return await self._start_and_watch(mosquitto)
            except BrokerError as error:
                if error.code == "port-taken" and self._settings.port == 0:
                    with broker_files.disk_errors(self._settings.folder):
                        self._port = self._pick_port()
                elif self._was_up:
                    return error.message, 0.0
                else:
                    self._last_error = error.message
                    raise
        return "no free port", 0.0

    async def _start_and_watch(self, mosquitto: Mosquitto) -> tuple[str, float]:
        settings = self._settings
        self._lines_logged = 0
        async with self._access_lock:
            with broker_files.disk_errors(settings.folder):
                await asyncio.to_thread(self._write_files)
            self._access_loaded = self._access_written = self._access
            conf = settings.folder / broker_config.CONFIGURATION
            try:
                child = await broker_child.start(mosquitto.path, conf, settings.run, self._hear)
            except OSError as error:
                return f"cannot start {mosquitto.path}: {error}", 0.0
            self._child = child
        try:
            failure = await self._until_up(child)
            return (failure, 0.0) if failure else await self._watch(child)
        finally:
            self._child, self._up_since = None, None
            await child.stop()

    def _write_files(self) -> None:
        settings = self._settings
        texts = {
            broker_config.CONFIGURATION: broker_config.configuration(
                settings, self._port, os.geteuid() == 0, broker_child.connections_allowed()
            ),
            broker_config.MESH_ACCESS: self._access,
            broker_config.OWNER_ACCESS: broker_config.owner_access(settings.node, settings.site),
            broker_config.APPS_ACCESS: broker_config.apps_access(),
        }
        for name, text in texts.items():
            broker_files.replace_file(settings.folder / name, text)

    async def _until_up(self, child: Child) -> str:
        """Empty once it serves; else why not. BrokerError for what only a person can cure."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while child.running and not await self._serves():  # noqa: ASYNC110 - nothing tells us
                    await asyncio.sleep(0.02)
        except TimeoutError:
            child.kill(f"did not answer within {START_TIMEOUT_S:g} s of its start")
        if not child.running:
            return self._failed_start(await child.ended(), list(child.tail))
        async with self._access_lock:
            self._up_since = time.monotonic()
            if self._access_loaded != self._access_written:  # rewritten while it was starting
                await self._reread(child)
        await self._check_certificate()
        self._tell_up()
        return ""

    async def _serves(self) -> bool:
        """It answers on the owner's socket, which it does only after opening all its listeners."""
        return await broker_probe.answers(self._owner_socket, PROBE_TIMEOUT_S)

    def _failed_start(self, reason: str, tail: list[str]) -> str:
        settings = self._settings
        place = broker_log.Place(settings.bind, self._port, str(settings.certificate), str(settings.root))
        refusal = broker_log.refusal(tail, place)
        if refusal is not None:
            raise refusal
        return f"{reason}: {broker_log.complaint(tail)}"

    # ------------------------------------------------------------ watching

    async def _watch(self, child: Child) -> tuple[str, float]:
        assert self._up_since is not None
        started, misses = self._up_since, 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_PERIOD_S):
                    return await child.ended(), time.monotonic() - started
            misses = 0 if await self._serves() else misses + 1
            if misses >= PROBE_MISSES_MAX:
                self._deliver(Counted("broker_hung"))
                child.kill("accepted connections but did not answer")
            elif misses == 0:
                await self._tend()

    async def _tend(self) -> None:
        """Makes good what failed or changed since the last look."""
        if self._access != self._access_written:
            async with self._access_lock:
                await self._apply_access(newly_removed=False)
        self._tell_up()

    def _hear(self, line: str) -> None:
        news = broker_log.counted(line)
        if news is not None:
            self._deliver(news)
        elif broker_log.opens_the_gate(line) and self._child is not None and self._up_since is not None:
            self._deliver(Counted("broker_access_refused"))
            self._child.kill(f"lost its access list: {line}")
        if line.startswith("Error") and self._lines_logged < LINES_LOGGED_MAX:
            self._lines_logged += 1
            log.warning("broker_said", line=line)

    # ------------------------------------------------------------ access and certificate

    async def _apply_access(self, newly_removed: bool) -> None:
        """Writes the list and has it read. Holds the lock."""
        path, text = self._settings.folder / broker_config.MESH_ACCESS, self._access
        try:
            await asyncio.to_thread(broker_files.replace_file, path, text)
        except OSError as error:
            self._last_error = f"the access list cannot be written: {error.strerror}"
            self._deliver(Counted("broker_access_unwritten"))
            if newly_removed and self._child is not None:
                self._child.kill(self._last_error)
            return
        self._access_written = text
        if self._child is not None and self._up_since is not None:
            await self._reread(self._child)

    async def _reread(self, child: Child) -> None:
        """SIGHUP, then a greeting: mosquitto answers one that came after the signal only when it has reread.

        One at a time (the lock), because a signal that comes while it rereads is lost on it.
        """
        written = self._access_written
        child.hangup()
        if await broker_probe.answers(self._owner_socket, RELOAD_TIMEOUT_S):
            self._access_loaded = written
        else:
            child.kill("did not reread its access list in time")

    async def _check_certificate(self) -> None:
        """Notes when peers would refuse our certificate. The broker stays up: a renewal will cure it."""
        settings = self._settings
        host = broker_reach.local_host(settings.bind)
        try:
            failure = await broker_probe.handshake_failure(
                host, self._port, settings.certificate, settings.root, PROBE_TIMEOUT_S
            )
        except ConnectionRefusedError as error:
            failure = str(error)
        if failure is not None:
            self._last_error = f"a handshake with our own port failed: {failure}"
            self._deliver(Counted("broker_certificate_refused"))
            log.warning("broker_certificate_refused", why=failure)

    # ------------------------------------------------------------ news

    def _tell_up(self) -> None:
        """Told again when interfaces have come or gone."""
        endpoints = broker_reach.endpoints(self._settings.bind, self._port)
        if self._was_up and not self._down_told and endpoints == self._endpoints:
            return
        self._was_up, self._down_told, self._endpoints = True, False, endpoints
        self._deliver(BrokerUp(endpoints))

    def _tell_down(self, reason: str) -> None:
        self._last_error = reason
        if not self._down_told:
            self._down_told = True
            self._deliver(BrokerDown(reason))

    @property
    def _owner_socket(self) -> Path:
        return self._settings.run / broker_config.OWNER_SOCKET
