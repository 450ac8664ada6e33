"""The real node: the core, driven by asyncio, with a broker child, links, mDNS, a store and a control socket.

One task owns the core. Everything else (links, broker, discovery, people) puts events into its inbox and carries
out the effects that it hands back.
"""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Protocol

import structlog

from mesh.events import (
    CertificateInstalled,
    Counted,
    Dial,
    Effect,
    EndpointFound,
    Event,
    FrameReceived,
    Hangup,
    InstallCertificate,
    News,
    Persist,
    PersistFailed,
    PersistResumed,
    Send,
    SendAll,
    SetAccess,
    Source,
    StopRequested,
    Woke,
)
from mesh.now import Now
from mesh.state import Keys
from node.batch import Batch
from node.config import Config, endpoint_of
from node.core import NodeCore
from node.core_config import core_config
from node.database import StoreError
from node.home import Home
from node.keeping import Keeping
from node.newsroom import Newsroom
from node.store import Store

INBOX_FRAMES_MAX = (
    20_000  # some seconds of the busiest link; beyond it frames are dropped, counted and repaired
)
WITHHELD_MAX = (
    10_000  # acknowledgements that wait for the disk; who asked for older ones has given up long ago
)
COUNTERS_MAX = 4096  # names times peers
BATCH_MAX = 64  # events handled before other tasks get a turn; one sync of the disk serves them all
CLOSE_GRACE_S = 0.2  # for goodbyes to leave the queues

log = structlog.get_logger(__name__)


class Wires(Protocol):
    """What carries frames: our own broker's links, or a shared fabric."""

    def dial(self, effect: Dial) -> None: ...
    def hangup(self, effect: Hangup) -> None: ...
    def send(self, effect: Send) -> None: ...
    def send_all(self, effect: SendAll) -> None: ...
    async def run(self) -> None: ...


class Parts(Protocol):
    """What the driver needs from the adapters of a fabric."""

    @property
    def wires(self) -> Wires: ...
    async def run(self) -> None: ...
    async def set_access(self, effect: SetAccess) -> None: ...
    async def renew(self) -> None: ...


class NodeApp:
    """Drives one core. Cancelling `run` ends every part; `say_goodbye` first, to be kind to the peers."""

    def __init__(self, home: Home, config: Config, keys: Keys, store: Store) -> None:
        self.home = home
        self.config = config
        self.keys = keys
        self.keeping = Keeping(store, self._caught_up)
        self._withheld: deque[Effect] = deque(maxlen=WITHHELD_MAX)
        self.news = Newsroom()
        self.counters: Counter[tuple[str, str]] = Counter()
        self.started_at = time.monotonic()
        self._store = store
        self._findings_told = 0
        saved = store.load()
        birth = store.boot(time.time_ns() // 1_000_000)
        self.core = NodeCore(core_config(config), keys, birth, saved, Random(secrets.randbits(64)))
        self.parts: Parts | None = None
        self._inbox: deque[Event] = deque()
        self._frames_waiting = 0
        self._filled = asyncio.Event()
        self._wake: asyncio.TimerHandle | None = None
        self._access: SetAccess | None = None
        self._access_changed = asyncio.Event()
        self._certificate: InstallCertificate | None = None
        self._certificate_changed = asyncio.Event()

    def deliver(self, event: Event | Counted) -> None:
        """Put an event into the core's inbox; called on the loop by every adapter."""
        if isinstance(event, Counted):
            self._count(event)
            return
        if isinstance(event, FrameReceived):
            if self._frames_waiting >= INBOX_FRAMES_MAX:
                self._count(Counted("inbox-full", event.sender))
                return
            self._frames_waiting += 1
        self._inbox.append(event)
        self._filled.set()

    async def run(self, parts: Parts, services: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Run until cancelled, with these named services (control socket, discovery, ...) beside the core."""
        self.parts = parts
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.run(), name="fabric")
            tasks.create_task(self._keep_access(), name="access-list")
            tasks.create_task(self._keep_certificate(), name="certificate")
            tasks.create_task(self.keeping.run(), name="keeping")
            tasks.create_task(self._drive(), name="core")
            for name, service in services.items():
                tasks.create_task(_as_coroutine(service), name=name)

    async def say_goodbye(self) -> None:
        """Tell the peers that we stop, so that they need not find out; then `run` may be cancelled."""
        self.deliver(StopRequested())
        await asyncio.sleep(CLOSE_GRACE_S)

    def now(self) -> Now:
        return Now(time.monotonic(), time.time_ns() // 1_000_000)

    # -- the task that owns the core

    async def _drive(self) -> None:
        batch = Batch(self.keeping, self._carry_out, self._withheld.append)
        batch.take_on(self.core.start(self.now()))
        await self._finish(batch)
        for text in self.config.fabric.seeds:
            self.deliver(EndpointFound(endpoint_of(text), None, Source.SEED))
        while True:
            await self._filled.wait()
            await self._work()

    async def _work(self) -> None:
        """Handle what is in the inbox, with one write to the disk for all of it, then let others run."""
        batch = Batch(self.keeping, self._carry_out, self._withheld.append)
        for _ in range(min(len(self._inbox), BATCH_MAX)):
            event = self._inbox.popleft()
            self._frames_waiting -= isinstance(event, FrameReceived)
            batch.take_on(self.core.handle(event, self.now()))
            if batch.is_full:
                break
        await self._finish(batch)
        if not self._inbox:
            self._filled.clear()
        else:
            await asyncio.sleep(0)

    async def _finish(self, batch: Batch) -> None:
        reason = await batch.finish()
        if reason:
            self.deliver(PersistFailed(reason))
        self.tell_findings()
        self._arm()

    def _caught_up(self) -> None:
        """The disk has taken what it had refused: what waited for that is acknowledged now."""
        while self._withheld:
            self._carry_out(self._withheld.popleft())
        self.deliver(PersistResumed())

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Send | SendAll | Dial | Hangup):
            self._put_on_wire(effect)
        elif isinstance(effect, SetAccess):
            self._access = effect
            self._access_changed.set()
        elif isinstance(effect, InstallCertificate):
            self._certificate = effect
            self._certificate_changed.set()
        else:
            assert not isinstance(effect, Persist), "the batch carries these out"
            self._tell(effect)

    def _put_on_wire(self, effect: Send | SendAll | Dial | Hangup) -> None:
        assert self.parts is not None
        wires = self.parts.wires
        match effect:
            case Send():
                wires.send(effect)
            case SendAll():
                wires.send_all(effect)
            case Dial():
                wires.dial(effect)
            case Hangup():
                wires.hangup(effect)

    def tell_findings(self) -> None:
        """What the store has found out about itself since the last time: to the log, and as a counter each."""
        found = self._store.findings[self._findings_told :]
        self._findings_told += len(found)
        for finding in found:
            log.warning(finding.code, detail=finding.detail, cure=finding.cure, count=finding.count)
            for _ in range(finding.count):
                self._count(Counted(finding.code))

    # -- a renewed certificate: onto the disk, into the contexts, then known to the core, which does not wait for it

    async def _keep_certificate(self) -> None:
        while True:
            await self._certificate_changed.wait()
            self._certificate_changed.clear()
            if self._certificate is not None:
                await self._install(self._certificate)

    async def _install(self, effect: InstallCertificate) -> None:
        assert self.parts is not None
        try:
            await asyncio.to_thread(self.home.install_chain, effect.chain)
            await self.parts.renew()
        except (OSError, StoreError) as error:
            log.error("certificate-not-installed", error=str(error))
            self._count(Counted("certificate-not-installed"))
            return
        log.info("certificate-renewed")
        self.deliver(CertificateInstalled(effect.chain))

    def _tell(self, news: News) -> None:
        if isinstance(news, Counted):
            self._count(news)
        self.news.tell(news)

    def _count(self, counted: Counted) -> None:
        key = (counted.name, counted.peer)
        if key not in self.counters and len(self.counters) >= COUNTERS_MAX:
            key = ("counters-full", "")
        self.counters[key] += 1

    def _arm(self) -> None:
        """Have the loop wake the core when it wants; a wake that comes early or late does no harm."""
        loop = asyncio.get_running_loop()
        wake_at = max(self.core.wake_at, loop.time())
        if self._wake is not None and not self._wake.cancelled():
            if self._wake.when() <= wake_at:
                return
            self._wake.cancel()
        if wake_at != float("inf"):
            self._wake = loop.call_at(wake_at, self._wakened)

    def _wakened(self) -> None:
        self._wake = None
        self._inbox.append(Woke())
        self._filled.set()

    # -- the broker's access list: the latest wins, the core does not wait for it

    async def _keep_access(self) -> None:
        while True:
            await self._access_changed.wait()
            self._access_changed.clear()
            if self._access is not None and self.parts is not None:
                await self.parts.set_access(self._access)


async def _as_coroutine(service: Callable[[], Awaitable[None]]) -> None:
    await service()
