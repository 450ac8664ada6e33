"""News for whoever listens: the log, people who watch, and applications."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from mesh.events import (
    HAS_LEFT,
    CastDelivered,
    ClaimLost,
    ClockDistrusted,
    Counted,
    IdentityCloned,
    Isolated,
    MembershipEnded,
    News,
    PeerChanged,
    RecordsChanged,
    ResyncBegun,
    Reunited,
    TagsTaken,
    WorldTrouble,
    WriteDone,
    WriteRefused,
)

WATCHER_BACKLOG_MAX = 1000  # a watcher that does not keep up loses the oldest

UNWATCHED = (Counted, CastDelivered, WriteDone, WriteRefused, TagsTaken, RecordsChanged, ResyncBegun)
"""News that come at machine rates: counters show how many, `fieldmesh world watch` what has changed."""

log = structlog.get_logger("fieldmesh")


class Newsroom:
    """Passes each piece of news to the log and to every listener."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[News], None]] = []
        self._is_halted = False

    def tell(self, news: News) -> None:
        if not (
            self._is_halted and isinstance(news, Isolated)
        ):  # whoever takes no part hears nobody, of course
            _log(news)
        self._is_halted |= isinstance(news, MembershipEnded) or _halts(news)
        for listener in self._listeners:
            listener(news)

    @contextmanager
    def listening(self, listener: Callable[[News], None]) -> Any:
        """`listener` hears all news while the body runs; it must return at once."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """News as plain values, from now on. Counters are left out: `status` shows them."""
        backlog: deque[News] = deque(maxlen=WATCHER_BACKLOG_MAX)
        filled = asyncio.Event()

        def listen(news: News) -> None:
            if not isinstance(news, UNWATCHED):
                backlog.append(news)
                filled.set()

        with self.listening(listen):
            while True:
                await filled.wait()
                filled.clear()
                while backlog:
                    yield as_plain(backlog.popleft())


def as_plain(news: News) -> dict[str, Any]:
    return {"news": type(news).__name__, **msgspec.to_builtins(news)}


def _halts(news: News) -> bool:
    return isinstance(news, IdentityCloned) and news.ours and news.halted


def _log(news: News) -> None:
    match news:
        case PeerChanged(node, name, state, why):
            log.info("peer-changed", peer=name, id=node, state=state, why=why)
        case Isolated():
            log.warning("isolated", meaning="this node hears nobody; it goes on working alone")
        case Reunited(peers):
            log.info("reunited", peers=peers)
        case IdentityCloned(node, ours, halted):
            _log_clone(node, ours, halted)
        case MembershipEnded(reason) if reason == HAS_LEFT:
            log.info("left", meaning="this node has said goodbye; it stays a member and may come back")
        case MembershipEnded(reason):
            log.error("membership-ended", reason=reason)
        case ClockDistrusted(offset_ms, why):
            log.error("clock-distrusted", offset_s=offset_ms / 1000, why=why, cure="set this machine's clock")
        case _:
            _log_world(news)


def _log_world(news: News) -> None:
    match news:
        case WorldTrouble(code, document, node, detail):
            log.error("world-trouble", code=code, document=document, id=node, detail=detail)
        case ClaimLost(task, owner, name):
            log.warning("claim-lost", task=task, owner=name, id=owner)
        case ResyncBegun(document, peer, cause):
            log.debug("resync", document=document, peer=peer, cause=cause)
        case _:
            pass  # machine rates: counted, or told to who asked


def _log_clone(node: str, ours: bool, halted: bool) -> None:
    if not ours:
        log.error("identity-cloned", id=node, meaning="two live processes use this peer's identity")
        return
    log.critical(
        "identity-cloned",
        id=node,
        meaning="another live process uses this node's identity: its folder was copied or restored",
        halted=halted,
        cure="stop one of the two, and let it join again in a fresh home with a name of its own",
    )
