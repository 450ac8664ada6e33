"""Finding a steward before having any certificate: what `fieldmesh join` does first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from zeroconf import NotRunningException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from mesh.ids import NodeId, SiteId
from mesh.io import questions
from mesh.io.advert import SERVICE_TYPE, AdvertError, label_of, read_advert
from mesh.io.interfaces import Interface, multicast_hosts, usable_interfaces
from mesh.io.listener import InstanceListener

ASK_EVERY_S = (0.0, 0.15, 1.0, 2.0, 4.0)
FOUND_MAX = 256  # hints on a hostile LAN: nobody tries more doors than this


@dataclass(frozen=True, slots=True)
class JoinEndpoint:
    """Where a steward may be taking join requests. Nothing of it is proven."""

    host: str
    port: int
    node: NodeId
    name: str
    site: SiteId


async def find_stewards(site: SiteId | None, timeout_s: float) -> AsyncIterator[JoinEndpoint]:
    """Each steward's door as it is heard of, of this site or (None) of any, for at most this long.

    Wrap it in `contextlib.aclosing` when you stop early: its sockets close with it. OSError when multicast
    DNS can't be used at all.
    """
    interfaces = usable_interfaces()
    found: asyncio.Queue[JoinEndpoint] = asyncio.Queue(FOUND_MAX)
    told: set[JoinEndpoint] = set()
    zeroconf = AsyncZeroconf(interfaces=multicast_hosts(interfaces))

    def heard(instance: str) -> None:
        for door in _doors(zeroconf, instance, interfaces):
            if door not in told and len(told) < FOUND_MAX and site in (None, door.site):
                told.add(door)
                found.put_nowait(door)

    asking = asyncio.create_task(_keep_asking(zeroconf), name="mdns-ask-for-stewards")
    try:
        zeroconf.zeroconf.async_add_listener(InstanceListener(heard, lambda instance: None), None)
        with suppress(TimeoutError):
            deadline = asyncio.get_running_loop().time() + timeout_s
            while True:
                async with asyncio.timeout_at(deadline):
                    door = await found.get()
                yield door
    finally:
        asking.cancel()
        await zeroconf.async_close()


async def _keep_asking(zeroconf: AsyncZeroconf) -> None:
    with suppress(NotRunningException):
        await zeroconf.zeroconf.async_wait_for_start()
    for step, pause_s in enumerate(ASK_EVERY_S):
        await asyncio.sleep(pause_s)
        questions.ask_who_is_there(zeroconf.zeroconf, lambda pointer: False, unicast=step == 0)


def _doors(zeroconf: AsyncZeroconf, instance: str, interfaces: tuple[Interface, ...]) -> list[JoinEndpoint]:
    label = label_of(instance)
    if label is None:
        return []
    info = AsyncServiceInfo(SERVICE_TYPE, instance)
    info.load_from_cache(zeroconf.zeroconf)
    near = {host for host in info.parsed_addresses() if any(each.holds(host) for each in interfaces)}
    try:
        heard = read_advert(label, info, near, allow_loopback=any(each.loopback for each in interfaces))
    except AdvertError:
        return []
    return [
        JoinEndpoint(each.host, each.port, heard.node, heard.name, heard.site)
        for each in heard.join_endpoints
    ]
