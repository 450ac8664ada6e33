"""Nodes of a site find each other on the LAN by multicast DNS. What is found is a hint: greetings decide.

One python-zeroconf instance serves all interfaces. One per interface would not separate them on Linux, where
a socket bound to the wildcard address gets what any socket of the machine has joined: each would hear,
parse and answer the packets of all interfaces. So there is one, its sockets follow the interfaces through
`async_update_interfaces`, and its two weaknesses are met here: it takes an interface that went and came back
with the same address for the same one (so it is taken out first, which also renews the group membership), and
its browser does not ask again (so we ask, see `questions`).
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping

from zeroconf import Error as ZeroconfError
from zeroconf import Zeroconf, current_time_millis
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from mesh.events import Counted, EndpointFound, EndpointLost
from mesh.ids import NodeId, SiteId
from mesh.io import questions
from mesh.io.advert import SERVICE_TYPE, Advertisement, label_of, write_advert
from mesh.io.hearsay import Hearsay
from mesh.io.interfaces import Interface, InterfaceWatch, multicast_hosts, usable_interfaces
from mesh.io.listener import InstanceListener
from mesh.io.sightings import Sighting
from mesh.io.stewards import JoinEndpoint, find_stewards

__all__ = ["Advertisement", "Discovery", "JoinEndpoint", "Sighting", "find_stewards"]

# At boot and when an interface is back; a switch port may forward nothing for half a minute after that.
ASK_AFTER_S = (0.05, 0.1, 1.0, 2.0, 4.0, 8.0, 16.0)
ASK_EVERY_S = 60.0  # later on, plus ASK_EVERY_S_PER_NODE: a big site does not talk more for being big
ASK_EVERY_S_PER_NODE = 2.0
ASK_EVERY_S_MAX = 300.0  # well under half of LISTED_S, so that nobody expires while it answers
LOOK_EVERY_S = 30.0  # at the interfaces, should a notification get lost; also the pause after a failure
CLONE_ANSWER_S = 0.25  # RFC 6762 gives a responder 120 ms
GOODBYE_S_MAX = 0.8


class Discovery:
    """Advertises this node and reports others' endpoints. Only `run` touches the network."""

    def __init__(
        self,
        advertisement: Advertisement | None,
        site: SiteId,
        deliver: Callable[[EndpointFound | EndpointLost | Counted], None],
        interfaces: Callable[[], tuple[Interface, ...]] = usable_interfaces,
    ) -> None:
        self._mine = advertisement
        self._deliver = deliver
        self._find_interfaces = interfaces
        self._hearsay = Hearsay(site, deliver, self._give_way)
        self._hearsay.we_are(advertisement)

        self._zeroconf: AsyncZeroconf | None = None
        self._interfaces: tuple[Interface, ...] = ()
        self._bounced: frozenset[int] = frozenset()  # links that were down since we last looked
        self._published: AsyncServiceInfo | None = None
        self._announcing: asyncio.Future[object] | None = None
        self._is_failing = False
        self._look_again = asyncio.Event()
        self._ask_again = asyncio.Event()
        self._name_taken = asyncio.Event()  # by a clone; for good

    @property
    def seen(self) -> Mapping[NodeId, Sighting]:
        """Who is listed now, by node; for the doctor."""
        return self._hearsay.seen

    def advertise(self, advertisement: Advertisement | None) -> None:
        """Say this from now on. None or no port: say nothing."""
        self._mine = advertisement
        self._hearsay.we_are(advertisement)
        self._look_again.set()

    async def run(self) -> None:
        """Until cancelled; then says goodbye, within a second."""
        watch = InterfaceWatch()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(watch), name="mdns-watch")
                group.create_task(self._keep_asking(), name="mdns-ask")
                group.create_task(self._keep_up(), name="mdns-keep-up")
        finally:
            watch.close()
            await self._close()

    async def _watch(self, watch: InterfaceWatch) -> None:
        while True:
            self._bounced |= await watch.changed()
            self._look_again.set()

    async def _keep_up(self) -> None:
        while True:
            try:
                await self._follow_interfaces()
                await self._publish()
            except (OSError, ZeroconfError) as error:
                self._fail(str(error) or type(error).__name__)
            await _happens(self._look_again, LOOK_EVERY_S)

    # ------------------------------------------------------------ interfaces

    async def _follow_interfaces(self) -> None:
        if self._zeroconf is None:
            self._zeroconf = self._open()
        found, bounced, self._bounced = self._find_interfaces(), self._bounced, frozenset()
        staying = [each for each in found if each in self._interfaces and each.index not in bounced]
        has_new = len(staying) < len(found)
        self._interfaces = found
        self._hearsay.we_are_on(found, has_new)
        if self._published is not None:
            await self._publish()  # before a new interface is told addresses that were true on the old ones
        if has_new:
            await self._zeroconf.async_update_interfaces(multicast_hosts(staying))
            self._ask_again.set()
        await self._zeroconf.async_update_interfaces(multicast_hosts(found))
        self._judge_sockets(self._zeroconf.zeroconf)

    def _open(self) -> AsyncZeroconf:
        opened = AsyncZeroconf(interfaces=[])
        zc = opened.zeroconf
        listener = InstanceListener(lambda instance: self._hearsay.heard(zc, instance), self._hearsay.gone)
        zc.async_add_listener(listener, None)
        return opened

    def _judge_sockets(self, zc: Zeroconf) -> None:
        if not self._interfaces:
            self._fail("no network interface is up")
        elif not zc.engine.senders:
            self._fail("no interface takes multicast")
        elif self._is_failing:
            self._is_failing = False
            _log.info("multicast DNS works again")

    def _fail(self, why: str) -> None:
        self._deliver(Counted("mdns_unavailable"))
        if not self._is_failing:
            _log.warning("multicast DNS is down (%s): only seeds and known addresses find peers for now", why)
        self._is_failing = True

    # ------------------------------------------------------------ publishing

    async def _publish(self) -> None:
        assert self._zeroconf is not None
        before, wanted = self._published, await self._wanted_records(self._zeroconf.zeroconf)
        if wanted is not None and (before is None or before.name != wanted.name):
            announced = await self._zeroconf.async_register_service(wanted, cooperating_responders=True)
        elif wanted is not None and before is not None and _content(before) != _content(wanted):
            announced = await self._zeroconf.async_update_service(wanted)
        else:
            announced = None
        self._published = wanted
        self._announcing = asyncio.ensure_future(announced) if announced is not None else self._announcing
        if before is not None and (wanted is None or before.name != wanted.name):
            await self._zeroconf.async_unregister_service(before)

    async def _wanted_records(self, zc: Zeroconf) -> AsyncServiceInfo | None:
        mine = self._mine
        if mine is None or mine.is_silent:
            return None
        hosts = [host for interface in self._interfaces for host in interface.hosts]
        if not hosts:
            return self._published  # nobody would hear of a change; it is made when there is an interface
        if self._published is None or label_of(self._published.name) != mine.label:
            await self._look_for_clone(zc, mine)
        label = mine.label_beside_a_clone if self._name_taken.is_set() else mine.label
        return write_advert(mine, label, hosts)

    async def _look_for_clone(self, zc: Zeroconf, mine: Advertisement) -> None:
        """Waits a moment for another process to say that it has our name."""
        if not self._name_taken.is_set():
            questions.ask_who_is(zc, f"{mine.label}.{SERVICE_TYPE}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLONE_ANSWER_S):
                    await self._name_taken.wait()

    def _give_way(self) -> None:
        self._name_taken.set()
        self._look_again.set()

    async def _close(self) -> None:
        if self._zeroconf is None:
            return
        if self._announcing is not None:
            self._announcing.cancel()  # or it would speak after the goodbye
        closing, self._zeroconf, self._published = self._zeroconf, None, None
        try:
            with contextlib.suppress(TimeoutError, ZeroconfError, OSError):
                async with asyncio.timeout(GOODBYE_S_MAX):
                    await closing.async_close()
        finally:
            if not closing.zeroconf.done:  # no time for a goodbye: at least the sockets are closed
                closing.zeroconf.close()

    # ------------------------------------------------------------ asking

    async def _keep_asking(self) -> None:
        step, began_ms = 0, current_time_millis()
        while True:
            is_early = step < len(ASK_AFTER_S)
            pause_s = ASK_AFTER_S[step] if is_early else self._slow_pause_s()
            if await _happens(self._ask_again, pause_s * random.uniform(0.8, 1.2)):
                step, began_ms = 0, current_time_millis()
            else:
                self._ask(is_first=step == 0, since_ms=began_ms if is_early else 0.0)
                step += is_early

    def _slow_pause_s(self) -> float:
        return min(ASK_EVERY_S + ASK_EVERY_S_PER_NODE * len(self._hearsay), ASK_EVERY_S_MAX)

    def _ask(self, is_first: bool, since_ms: float) -> None:
        if self._zeroconf is None or not self._zeroconf.zeroconf.started:
            return
        questions.ask_who_is_there(
            self._zeroconf.zeroconf,
            lambda pointer: pointer.created >= since_ms and self._hearsay.is_settled(pointer.alias),
            unicast=is_first,
        )


_log = logging.getLogger(__name__)


def _content(info: AsyncServiceInfo) -> tuple[object, ...]:
    return (info.text, info.port, info.parsed_addresses())


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    """Whether the event came in time; it is cleared."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    happened = event.is_set()
    event.clear()
    return happened
