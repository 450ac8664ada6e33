"""Where a broker can be reached, and a port for it to listen on."""

import ipaddress
import socket
from collections.abc import Iterable

from mesh.io.broker_config import address_of
from mesh.io.interfaces import usable_interfaces
from mesh.wire import ENDPOINTS_MAX, Endpoint


def endpoints(bind: str, port: int) -> tuple[Endpoint, ...]:
    """The bound address, or those of all usable interfaces when bound to all."""
    if not address_of(bind).is_unspecified:
        return (Endpoint(bind, port),)
    return ranked(bind, port, (host for interface in usable_interfaces() for host in interface.hosts))


def ranked(bind: str, port: int, hosts: Iterable[str]) -> tuple[Endpoint, ...]:
    """Those of `hosts` that this wildcard covers and that may be told, the likeliest to be reached first."""
    addresses = {ipaddress.ip_address(host) for host in hosts}
    covered = [address for address in addresses if address_of(bind).version == 6 or address.version == 4]
    covered.sort(key=lambda address: (address.is_link_local, address.version, int(address)))
    return tuple(Endpoint(str(address), port) for address in covered[:ENDPOINTS_MAX])


def local_host(bind: str) -> str:
    """An address at which this host itself reaches what is bound so."""
    return "127.0.0.1" if address_of(bind).is_unspecified else bind


def free_port(bind: str) -> int:
    """A TCP port that nobody listens on at this moment."""
    family = socket.AF_INET if address_of(bind).version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" must be free in both families
        probe.bind((bind, 0))
        return int(probe.getsockname()[1])
