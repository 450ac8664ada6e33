"""One running node, put together: core, fabric, discovery, join listener, control socket, watchdog."""

import asyncio
import contextlib
import gc
import hashlib
import signal
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from mesh.events import BrokerUp, Counted, Event
from mesh.ids import NodeId, short_of
from mesh.io.discovery import Advertisement, Discovery
from mesh.io.interfaces import Interface, usable_interfaces
from mesh.wire import Endpoint
from node.app import NodeApp
from node.config import Config, endpoint_of, load
from node.control_server import serve_control
from node.errors import FieldmeshError
from node.fabrics import make_fabric
from node.home import Home
from node.join_server import JoinServer
from node.live_documents import NodeDocuments
from node.live_view import ApiConfig, serve_live_view
from node.log import set_up_log
from node.notify import Notifier
from node.run_folder import tidy_run_folder
from node.store import Store
from node.verbs import Verbs
from node.views import NodeView

STATUS_EVERY_S = 30.0

log = structlog.get_logger(__name__)


class RunningNode:
    """Everything that belongs to one node's process. `run` returns when the node was asked to stop."""

    def __init__(self, home: Home, config: Config, store: Store) -> None:
        keys = home.load_keys()
        self.app = NodeApp(home, config, keys, store)
        self.fabric = make_fabric(home, config, keys, self._deliver)
        self._discovery = Discovery(
            None, keys.root.site, self._deliver, interfaces=lambda: _interfaces(config)
        )
        self._join = self._make_join_server() if keys.authority is not None else None
        self._join_port = 0
        self._notifier = Notifier.from_environment()
        self._stopping = asyncio.Event()
        self.started = asyncio.Event()  # what a node of its mode needs to take part is there
        self._tell_damage()

    async def run(self) -> None:
        """Until stopped by a signal, by `leave`, or cancelled."""
        self._listen_for_joiners()
        services = {
            "stop": self._stop_when_asked,
            "control": self._control,
            "watchdog": self._watchdog,
            "live-view": self._live_view,
        }
        if self.app.config.discovery.mdns:
            services["discovery"] = self._discovery.run
        if self._join is not None:
            services["join"] = self._join.serve
        with contextlib.suppress(_StoppedError):
            try:
                await self.app.run(self.fabric, services)
            except* _StoppedError:
                raise _StoppedError from None

    def stop(self) -> None:
        self._stopping.set()

    def _tell_damage(self) -> None:
        """Of what the store has found out about itself: to the log, and to the doctor as counters."""
        self.app.tell_findings()

    # -- events pass through here so that other parts may act on them too

    def _deliver(self, event: Event | Counted) -> None:
        if isinstance(event, BrokerUp):
            event = BrokerUp(self._advertised(event.endpoints))
            self._discovery.advertise(self._advertisement())
            self.started.set()
        self.app.deliver(event)

    def _advertised(self, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        extra = tuple(endpoint_of(text) for text in self.app.config.fabric.advertise)
        return tuple(dict.fromkeys((*extra, *endpoints)))

    def _advertisement(self) -> Advertisement:
        state = self.app.core.state
        return Advertisement(
            node=state.me,
            site=state.keys.root.site,
            name=state.own.name,
            port=self.fabric.port,
            join_port=self._join_port,
            boot=state.birth.boot,
            fingerprint=hashlib.sha256(state.keys.identity.public).hexdigest(),
        )

    # -- joining

    def _make_join_server(self) -> JoinServer:
        core = self.app.core
        return JoinServer(
            self.app.home,
            taken=self._taken,
            deliver=self._deliver,
            roster=lambda: core.state.roster.entries(),
            endpoints=self._known_endpoints,
            clock_trusted=lambda: core.view(self.app.now()).clock_doubt == "",
            halted=lambda: core.state.halted,
            certificate_days=self.app.config.trust.certificate_days,
        )

    def _listen_for_joiners(self) -> None:
        if self._join is not None:
            fabric = self.app.config.fabric
            self._join_port = self._join.bind(fabric.bind, fabric.join_port)

    def _taken(self, name: str, short: bytes) -> NodeId | None:
        """Which current member has this name, or these four bytes."""
        roster = self.app.core.state.roster
        for node in roster.members():
            if roster.name(node) == name or short_of(node) == short:
                return node
        return None

    def _known_endpoints(self) -> Sequence[tuple[NodeId, tuple[Endpoint, ...]]]:
        state = self.app.core.state
        known = [(node, state.book.proven(node)) for node in state.roster.members()]
        return [(state.me, state.endpoints), *((node, found) for node, found in known if found)]

    # -- services

    async def _control(self) -> None:
        verbs = Verbs(self.app, self.fabric.status, self._seen_by_mdns, self.stop)
        async with serve_control(self.app.home.run_dir() / "control.sock", verbs.handlers()):
            await asyncio.Event().wait()

    async def _live_view(self) -> None:
        api, app = self.app.config.api, self.app
        documents = NodeDocuments(app.core.world.state.library, app.news)
        await serve_live_view(
            ApiConfig(api.enabled, api.listen, api.listen_port, api.origins),
            documents,
            app.home.run_dir(),
            lambda name: app.deliver(Counted(name)),
        )

    async def _watchdog(self) -> None:
        """Tell systemd when we have started and, while the loop turns, that we are alive and what we see."""
        if self.app.config.fabric.mode != "own":  # no broker to wait for: the core, started before us, is all
            self.started.set()
        try:
            await self.started.wait()
            self._notifier.ready()
            while True:
                await asyncio.sleep(self._notifier.watchdog_period_s or STATUS_EVERY_S)
                self._notifier.alive()
                view = self.app.core.view(self.app.now())
                self._notifier.status(f"{view.here} of {view.members} nodes here, {view.linked} links")
        finally:
            self._notifier.stopping()

    async def _stop_when_asked(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                loop.add_signal_handler(number, self.stop)
        await self._stopping.wait()
        await self.app.say_goodbye()
        raise _StoppedError

    def _seen_by_mdns(self) -> list[NodeId]:
        return sorted(self._discovery.seen)


class _StoppedError(Exception):
    """Ends the task group; not an error."""


def run_node(home: Home, tell_started: Callable[[NodeView], None] = lambda _: None) -> None:
    """Run the node that lives in this home until it is told to stop; FieldmeshError when it cannot start."""
    home.require_settled()
    config = load(home.config)
    set_up_log(config.node.log_format, config.node.log_level)
    with Store(home.database) as store:
        try:
            asyncio.run(_run(home, config, store, tell_started))
        except BaseExceptionGroup as group:
            raise _first_kind_error(group) from group
    tidy_run_folder(home.path)


async def _run(home: Home, config: Config, store: Store, tell_started: Callable[[NodeView], None]) -> None:
    node = _made(home, config, store)
    view = node.app.core.view(node.app.now())
    log.info("node-starting", name=view.name, id=view.node, site=view.site_name, incarnation=view.incarnation)
    telling = asyncio.create_task(_tell_when_started(node, tell_started), name="tell-started")
    try:
        await node.run()
    finally:
        telling.cancel()
    log.info("node-stopped", name=view.name)


def _made(home: Home, config: Config, store: Store) -> RunningNode:
    """The collector of cycles looks at nothing while a hundred thousand records are loaded, nor at them later."""
    gc.disable()
    node = RunningNode(home, config, store)
    gc.freeze()
    gc.enable()
    return node


async def _tell_when_started(node: RunningNode, tell: Callable[[NodeView], None]) -> None:
    await node.started.wait()
    tell(node.app.core.view(node.app.now()))


def _first_kind_error(group: BaseExceptionGroup[Any]) -> BaseException:
    """Of several failures at once, the one that says what to do."""
    kind, rest = group.split(FieldmeshError)
    chosen: BaseException = kind or rest or group
    while isinstance(chosen, BaseExceptionGroup):
        chosen = chosen.exceptions[0]
    return chosen


def _interfaces(config: Config) -> tuple[Interface, ...]:
    return usable_interfaces(config.discovery.interfaces, config.discovery.exclude)
