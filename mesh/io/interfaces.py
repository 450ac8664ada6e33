"""Usable network interfaces, and their coming and going."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import ifaddr

from mesh.io import rtnetlink
from mesh.io.rtnetlink import Address, Link

SETTLE_S = 0.1  # one plugged cable makes several notifications: answer them together
POLL_S = 2.0  # without notifications from the kernel
_UNUSABLE_V6 = rtnetlink.ADDRESS_TENTATIVE | rtnetlink.ADDRESS_DAD_FAILED | rtnetlink.ADDRESS_DEPRECATED
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Interface:
    """A link that is up, has a carrier and at least one address that others can be told."""

    name: str
    index: int
    addresses: tuple[Address, ...]
    multicast: bool
    loopback: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(str(address.ip) for address in self.addresses)

    def holds(self, host: str) -> bool:
        """Whether this address is on one of the networks behind this interface."""
        ip = ipaddress.ip_address(host)
        return any(ip in address.network for address in self.addresses)


def usable_interfaces(include: Collection[str] = (), exclude: Collection[str] = ()) -> tuple[Interface, ...]:
    """What can carry the mesh now: only interfaces of `include` if it names any, never those of `exclude`.

    Loopback is used when it is included by name, or when there is nothing else: nodes on an offline machine
    still find each other.
    """
    found = [link for link in _links() if link.name not in exclude and (not include or link.name in include)]
    interfaces = [_interface(link) for link in found if link.flags & rtnetlink.LINK_RUNNING]
    usable = [interface for interface in interfaces if interface.addresses]
    outward = [interface for interface in usable if not interface.loopback]
    return tuple(usable if include else outward or usable)


def multicast_hosts(interfaces: Iterable[Interface]) -> list[str]:
    """One address of each family per interface: a second would send every packet twice on the same wire."""
    chosen: list[str] = []
    for interface in interfaces:
        if interface.multicast:
            of_family = {address.version: str(address.ip) for address in reversed(interface.addresses)}
            chosen += [of_family[version] for version in sorted(of_family)]
    return chosen


class InterfaceWatch:
    """Tells that interfaces may have changed, at once where the kernel notifies, else every POLL_S."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError, AttributeError):  # not Linux, or a sandbox without AF_NETLINK
            self._socket = rtnetlink.subscribe()

    async def changed(self) -> frozenset[int]:
        """Waits for a change; returns the indexes of links that were down at some moment meanwhile."""
        if self._socket is None:
            await asyncio.sleep(POLL_S)
            return frozenset()
        down = await self._read()
        await asyncio.sleep(SETTLE_S)
        return down | self._drain()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    async def _read(self) -> frozenset[int]:
        assert self._socket is not None
        try:
            return rtnetlink.links_down(await asyncio.get_running_loop().sock_recv(self._socket, _READ_BYTES))
        except OSError:  # the kernel's queue ran over: something has changed, we do not know what
            return frozenset()

    def _drain(self) -> frozenset[int]:
        assert self._socket is not None
        down: frozenset[int] = frozenset()
        while True:
            try:
                down |= rtnetlink.links_down(self._socket.recv(_READ_BYTES))
            except OSError:  # nothing more to read, or it ran over
                return down


def _links() -> list[Link]:
    try:
        return rtnetlink.links()
    except (OSError, AttributeError):
        return list(_links_by_getifaddrs())


def _links_by_getifaddrs() -> Iterable[Link]:
    """The same from the C library, which tells no flags: each link is taken to be up and to multicast."""
    for adapter in ifaddr.get_adapters():
        link = Link(adapter.index or 0, adapter.nice_name, rtnetlink.LINK_RUNNING | rtnetlink.LINK_MULTICAST)
        for ip in adapter.ips:
            host = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_interface(f"{host}/{ip.network_prefix}")
            if address.ip.is_loopback:
                link.flags |= rtnetlink.LINK_LOOPBACK
            link.addresses.append((address, 0))
        yield link


def _interface(link: Link) -> Interface:
    return Interface(
        link.name,
        link.index,
        tuple(address for address, flags in link.addresses if _can_be_told(address, flags)),
        # Linux multicasts on lo, although lo has no flag that says so
        bool(link.flags & (rtnetlink.LINK_MULTICAST | rtnetlink.LINK_LOOPBACK)),
        bool(link.flags & rtnetlink.LINK_LOOPBACK),
    )


def _can_be_told(address: Address, flags: int) -> bool:
    if isinstance(address, ipaddress.IPv4Interface):
        return True
    # A link-local address means nothing without our own scope, a temporary one soon means nothing at all, and
    # python-zeroconf cannot send from ::1.
    told_never = _UNUSABLE_V6 | rtnetlink.ADDRESS_TEMPORARY
    return not (flags & told_never or address.ip.is_link_local or address.ip.is_loopback)
