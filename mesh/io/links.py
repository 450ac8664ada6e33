"""The sessions of a node: one on its own broker as its owner, and one on each broker that it has dialled."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mesh.events import HOSTED, Counted, Dial, DialFailed, Event, Hangup, Send, SendAll
from mesh.ids import NodeId, SiteId
from mesh.io.dialled import DialledLink
from mesh.io.owner import OwnerSession
from mesh.io.tls import TlsSource
from mesh.queues import Queued
from mesh.topics import Topics
from mesh.wire import FRAME_BYTES_MAX


@dataclass(frozen=True, slots=True)
class LinkLimits:
    dials_max: int = 32  # at once: a site that comes back must not take all our descriptors
    links_max: int = 1024  # the overlay keeps far below this


class Links:
    """Carries out Dial, Hangup, Send and SendAll.

    These return at once and never raise. `deliver` is never called from within them: what comes of them is
    told later, on the loop.
    """

    def __init__(
        self,
        me: NodeId,
        site: SiteId,
        tls: TlsSource,
        owner_socket: Path | None,  # None: no broker of our own, we only dial
        deliver: Callable[[Event | Counted], None],
        limits: LinkLimits | None = None,
    ) -> None:
        self._me = me
        self._site = site
        self._tls = tls
        self._deliver = deliver
        self._limits = limits or LinkLimits()
        self._topics = Topics(site)
        self._links: dict[int, DialledLink] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[int, asyncio.Task[None]] = {}
        self._owner: OwnerSession | None = None
        if owner_socket is not None:
            self._owner = OwnerSession(me, self._topics, owner_socket, deliver)

    async def run(self) -> None:
        """Until cancelled. Then every session is closed, with a goodbye where the socket takes one."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                if self._owner is not None:
                    tasks.create_task(self._owner.run(), name="owner-session")
                await asyncio.Event().wait()
            finally:
                self._tasks = None  # no dials any more while the links close

    # -- effects

    def dial(self, effect: Dial) -> None:
        refusal = self._reason_not_to_dial(effect)
        if refusal or self._tasks is None:
            self._tell_soon(DialFailed(effect.link, "other", refusal or "the node is not running"))
            return
        link = DialledLink(effect, self._me, self._site, self._tls, self._deliver)
        self._links[effect.link] = link
        task = self._tasks.create_task(link.run(), name=f"link-{effect.link}-{effect.endpoint}")
        self._running[effect.link] = task
        task.add_done_callback(lambda _: self._forget(effect.link))

    def hangup(self, effect: Hangup) -> None:
        link = self._links.get(effect.link)
        if link is not None and link.hang_up():
            self._running[effect.link].cancel()
            self._tell_soon(DialFailed(effect.link, "other", "hung up by ourselves"))

    def send(self, effect: Send) -> None:
        name = self._topics.door if effect.door else self._topics.to
        self._put(effect.link, Queued(effect.traffic, name(effect.peer, self._me), effect.data), effect.peer)

    def send_all(self, effect: SendAll) -> None:
        for peer, link in effect.links:
            if link != HOSTED:
                self._put(link, Queued(effect.traffic, self._topics.to(peer, self._me), effect.data), peer)
        if any(link == HOSTED for _, link in effect.links):  # one publish: our broker gives each a copy
            self._put(HOSTED, Queued(effect.traffic, self._topics.all(self._me), effect.data), "")

    # -- our own broker

    def broker_up(self) -> None:
        """The owner session can be opened, or opened again."""
        if self._owner is not None:
            self._owner.broker_up()

    def broker_down(self) -> None:
        if self._owner is not None:
            self._owner.broker_down()

    @property
    def owner_is_open(self) -> bool:
        """Whether hosted peers' frames reach us now."""
        return self._owner is not None and self._owner.is_open

    # -- within

    def _put(self, number: int, item: Queued, peer: str) -> None:
        link = self._owner if number == HOSTED else self._links.get(number)
        if link is None or not link.is_open:
            self._tell_soon(Counted("send_without_link", peer))
        elif len(item.data) > FRAME_BYTES_MAX:
            self._tell_soon(Counted("send_oversized", peer))
        else:
            for _ in range(link.send(item)):
                self._tell_soon(Counted("queue_overflow", peer))

    def _reason_not_to_dial(self, effect: Dial) -> str:
        if effect.link in self._links or effect.link == HOSTED:
            return f"link {effect.link} is in use"
        if sum(link.is_dialling for link in self._links.values()) >= self._limits.dials_max:
            return f"busy: {self._limits.dials_max} dials are under way"
        if len(self._links) >= self._limits.links_max:
            return f"busy: {self._limits.links_max} links are open"
        return ""

    def _forget(self, number: int) -> None:
        del self._links[number], self._running[number]

    def _tell_soon(self, event: Event | Counted) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, event)
