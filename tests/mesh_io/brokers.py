"""A running broker of a throw-away site, and what it told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mesh.events import BrokerDown, BrokerUp, Counted
from mesh.io.broker import Broker, BrokerSettings
from tests.mesh_io.certificates import Bundle, Site

DEADLINE_S = 20.0  # for what normally takes less than a second, on a busy machine
Told = BrokerUp | BrokerDown | Counted


class News:
    """Everything that a broker delivered, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._changed = asyncio.Event()

    def __call__(self, told: Told) -> None:
        self.told.append(told)
        self._changed.set()

    async def until(self, holds: Callable[[list[Told]], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds(self.told):
                self._changed.clear()
                await self._changed.wait()

    async def up(self, times: int = 1) -> None:
        await self.until(lambda told: sum(isinstance(one, BrokerUp) for one in told) >= times)

    async def counted(self, name: str, times: int = 1) -> None:
        await self.until(lambda told: self.count(name) >= times)

    def count(self, name: str) -> int:
        return sum(isinstance(one, Counted) and one.name == name for one in self.told)

    @property
    def downs(self) -> list[str]:
        return [one.reason for one in self.told if isinstance(one, BrokerDown)]


class Running:
    """A supervised broker with its news."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.news = News()
        self.broker = Broker(settings, self.news)

    @property
    def pid(self) -> int:
        pid = self.broker.state.pid
        assert pid is not None, "the broker has no child now"
        return pid


def settings_for(home: Path, site: Site, owner: Bundle) -> BrokerSettings:
    return BrokerSettings(
        binary=None,
        folder=home / "broker",
        run=home / "run",
        node=owner.node,
        site=site.site,
        bind="127.0.0.1",
        port=0,
        certificate=owner.pem,
        root=site.root_pem,
    )


@asynccontextmanager
async def running_broker(settings: BrokerSettings, members: Iterable[Bundle] = ()) -> AsyncIterator[Running]:
    """Up on entry; its child is reaped on exit. What run() raises is raised here."""
    one = Running(settings)
    await one.broker.set_access([member.node for member in members], [])
    task = asyncio.create_task(one.broker.run(), name="broker")
    try:
        await _until_up(one, task)
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _until_up(one: Running, task: asyncio.Task[None]) -> None:
    up = asyncio.create_task(one.news.up())
    await asyncio.wait([up, task], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        up.cancel()
        task.result()
    await up


def is_alive(pid: int) -> bool:
    """Whether this process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(holds: Callable[[], bool]) -> None:
    """For what nobody tells: looks again and again, within the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.02)
