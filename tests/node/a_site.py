"""A founded site whose steward takes joiners on loopback, for the tests that join it for real."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh.events import Counted, MemberAdmitted
from mesh.ids import NodeId
from mesh.roster import TABLE, Roster
from mesh.state import Keys
from mesh.wire import Endpoint
from node.founding import found_site
from node.home import Home
from node.join_server import JoinServer
from node.settling import entry_of
from node.store import Store
from node.token_book import TokenBook
from node.tokens import Token


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Site:
    """The steward's half, with a roster that takes what the server delivers, as a node would."""

    home: Home
    keys: Keys
    roster: Roster
    port: int = 0
    clock_trusted: bool = True
    halted: str = ""
    ahead_ms: int = 0
    endpoints: list[tuple[NodeId, tuple[Endpoint, ...]]] = field(default_factory=list)
    news: list[MemberAdmitted | Counted] = field(default_factory=list)

    @classmethod
    def found(cls, folder: Path, name: str = "plant") -> "Site":
        home = Home(folder)
        keys = found_site(folder, name, "first", wall_ms())
        with Store(home.database) as store:
            return cls(home, keys, Roster(keys.root, store.load()[TABLE]))

    @property
    def door(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    @property
    def counters(self) -> list[str]:
        return [each.name for each in self.news if isinstance(each, Counted)]

    @property
    def admitted(self) -> list[MemberAdmitted]:
        return [each for each in self.news if isinstance(each, MemberAdmitted)]

    def now_ms(self) -> int:
        return wall_ms() + self.ahead_ms

    def token(
        self, ttl_s: float = 600, for_steward: bool = False, seeds: Sequence[Endpoint] | None = None
    ) -> Token:
        doors = [self.door] if seeds is None else seeds
        book = TokenBook(self.home.database)
        return book.create(
            self.keys.root.fingerprint, self.keys.identity.node, self.now_ms(), ttl_s, for_steward, doors
        )

    def deliver(self, news: MemberAdmitted | Counted) -> None:
        self.news.append(news)
        if isinstance(news, MemberAdmitted):
            assert not self.roster.merge([entry_of(news.chain, news.identity)]).refused

    def taken(self, name: str, short: bytes) -> str | None:
        return self.roster.find(name) or self.roster.by_short(short)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[JoinServer]:
        server = JoinServer(
            self.home,
            taken=self.taken,
            deliver=self.deliver,
            roster=self.roster.entries,
            endpoints=lambda: self.endpoints,
            clock_trusted=lambda: self.clock_trusted,
            halted=lambda: self.halted,
            wall_ms=self.now_ms,
        )
        self.port = server.bind("127.0.0.1", self.port)
        serving = asyncio.create_task(server.serve(), name="join-server")
        try:
            yield server
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            server.close()
