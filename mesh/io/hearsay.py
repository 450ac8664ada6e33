"""What is heard by multicast DNS, judged and turned into events. Anybody on the LAN may have said it."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping

from zeroconf import Zeroconf, current_time_millis
from zeroconf._dns import DNSText  # exported from the root only "for backwards compatibility", not in __all__
from zeroconf.asyncio import AsyncServiceInfo

from mesh.events import Counted, EndpointFound, EndpointLost
from mesh.ids import NodeId, SiteId
from mesh.io import questions
from mesh.io.advert import SERVICE_TYPE, AdvertError, Advertisement, Heard, boot_of, label_of, read_advert
from mesh.io.interfaces import Interface
from mesh.io.sightings import Sighting, Sightings
from mesh.io.tokens import TokenBucket

HEARD_PER_S, HEARD_BURST = 200.0, 1024.0  # a site of 300 nodes switched on at once passes; a flood does not
STRANGERS_MAX = 4096  # instances of other sites, remembered so as to be counted once
BOOTS_MAX = 16  # of ours, and of clones already reported


class Hearsay:
    """Judges instances as they are heard. Whatever they say, it only delivers events and counters."""

    def __init__(
        self,
        site: SiteId,
        deliver: Callable[[EndpointFound | EndpointLost | Counted], None],
        name_taken: Callable[[], None],
    ) -> None:
        self._site = site
        self._deliver = deliver
        self._name_taken = name_taken
        self._mine: Advertisement | None = None
        self._interfaces: tuple[Interface, ...] = ()
        self._sightings = Sightings()
        self._strangers: dict[str, None] = {}
        self._boots: deque[int] = deque(maxlen=BOOTS_MAX)
        self._clones: deque[int] = deque(maxlen=BOOTS_MAX)
        self._bucket = TokenBucket(HEARD_PER_S, HEARD_BURST)

    @property
    def seen(self) -> Mapping[NodeId, Sighting]:
        return self._sightings.by_node()

    def __len__(self) -> int:
        return len(self._sightings) + len(self._strangers)

    def we_are(self, mine: Advertisement | None) -> None:
        self._mine = mine
        if mine is not None and mine.boot not in self._boots:
            self._boots.append(mine.boot)

    def we_are_on(self, interfaces: tuple[Interface, ...], has_new: bool) -> None:
        self._interfaces = interfaces
        if has_new:
            self._sightings.tell_again()

    def is_settled(self, instance: str) -> bool:
        """Whether we have all we want to know of this instance."""
        label = label_of(instance)
        return label is not None and (label in self._sightings or label in self._strangers)

    def heard(self, zc: Zeroconf, instance: str) -> None:
        label = label_of(instance)
        if not self._bucket.take(time.monotonic()):
            if self._bucket.refused_in_a_row == 1:
                self._deliver(Counted("mdns_flood"))
        elif label is None:
            self._deliver(Counted("mdns_malformed"))
        elif self._mine is not None and label == self._mine.label:
            self._heard_own_name(zc, instance)
        else:
            self._heard_other(zc, label, instance)

    def gone(self, instance: str) -> None:
        label = label_of(instance)
        if label is not None:
            self._strangers.pop(label, None)
            for news in self._sightings.gone(label):
                self._deliver(news)

    def _heard_own_name(self, zc: Zeroconf, instance: str) -> None:
        now_ms = current_time_millis()
        for record in zc.cache.async_all_by_details(instance, questions.TXT, questions.INTERNET):
            if isinstance(record, DNSText) and not record.is_expired(now_ms):
                info = AsyncServiceInfo(SERVICE_TYPE, instance, properties=record.text)
                with contextlib.suppress(AdvertError):
                    if boot_of(info.properties) not in self._boots:
                        self._report_clone(boot_of(info.properties))
                        self._name_taken()

    def _heard_other(self, zc: Zeroconf, label: str, instance: str) -> None:
        info = AsyncServiceInfo(SERVICE_TYPE, instance)
        info.load_from_cache(zc)
        if info.port is None or not info.properties or not info.parsed_addresses():
            return  # a part is missing; it is asked for again, since we do not list it as known
        near = {
            host for host in info.parsed_addresses() if any(each.holds(host) for each in self._interfaces)
        }
        try:
            heard = read_advert(label, info, near, any(each.loopback for each in self._interfaces))
        except AdvertError as error:
            self._deliver(Counted(error.reason))
        else:
            self._take(heard)

    def _take(self, heard: Heard) -> None:
        is_own_node = self._mine is not None and heard.node == self._mine.node
        if heard.site != self._site:
            self._count_stranger(heard.label)
        elif not (is_own_node and heard.boot in self._boots):  # else: ourselves, under an earlier name
            if is_own_node:
                self._report_clone(heard.boot)
            for news in self._sightings.heard(heard, self._interfaces_towards(heard), time.monotonic()):
                self._deliver(news)

    def _interfaces_towards(self, heard: Heard) -> tuple[str, ...]:
        hosts = {endpoint.host for endpoint in (*heard.endpoints, *heard.join_endpoints)}
        return tuple(each.name for each in self._interfaces if any(each.holds(host) for host in hosts))

    def _report_clone(self, boot: int) -> None:
        assert self._mine is not None
        if boot not in self._clones:
            self._clones.append(boot)
            self._deliver(Counted("mdns_identity_twice", self._mine.node))

    def _count_stranger(self, label: str) -> None:
        if label in self._strangers:
            return
        if len(self._strangers) >= STRANGERS_MAX:
            del self._strangers[next(iter(self._strangers))]
        self._strangers[label] = None
        self._deliver(Counted("mdns_other_site"))
