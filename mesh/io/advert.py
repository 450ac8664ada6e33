"""What a node says about itself by multicast DNS, written and read. What is read comes from anybody."""

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from zeroconf.asyncio import AsyncServiceInfo

from mesh.ids import NodeId, SiteId, is_node_id, is_node_name
from mesh.wire import ENDPOINTS_MAX, VERSION, Endpoint

SERVICE_TYPE = "_fieldmesh._tcp.local."
LABEL_CHARS = 32  # of the certificate's fingerprint: 128 bits, and a DNS label holds 63
LISTED_S = 1125  # python-zeroconf takes no less; a crashed node stays listed for up to this long

_LABEL = re.compile(rf"[0-9a-f]{{{LABEL_CHARS}}}(-[0-9a-f]{{1,16}})?")
_SITE = re.compile(r"[a-z2-7]{16}")
_NUMBER = re.compile(r"[0-9]{1,19}")
_BOOT_MAX = 2**63 - 1
_PORT_MAX = 65_535


class AdvertError(Exception):
    """An advertisement that no node of ours would make; `reason` is a counter's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What this node wants others to know. With neither port (a dial-only leaf) nothing is advertised."""

    node: NodeId
    site: SiteId
    name: str
    port: int
    join_port: int
    boot: int
    fingerprint: str  # hex; its first characters name the instance

    @property
    def label(self) -> str:
        return self.fingerprint[:LABEL_CHARS]

    @property
    def label_beside_a_clone(self) -> str:
        """The name to use where another process already has `label`."""
        return f"{self.label}-{self.boot:x}"

    @property
    def is_silent(self) -> bool:
        return not (self.port or self.join_port)


@dataclass(frozen=True, slots=True)
class Heard:
    """What somebody on the LAN says. Nothing of it is proven."""

    label: str
    node: NodeId
    site: SiteId
    name: str
    boot: int
    endpoints: tuple[Endpoint, ...]
    join_endpoints: tuple[Endpoint, ...]


def label_of(instance: str) -> str | None:
    """The label of a full instance name of our service type, or None when it is not one that a node makes."""
    label, dot, rest = instance.partition(".")
    return label if dot and rest.lower() == SERVICE_TYPE and _LABEL.fullmatch(label) else None


def write_advert(advertisement: Advertisement, label: str, hosts: Collection[str]) -> AsyncServiceInfo:
    """The records to publish under this label."""
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{label}.{SERVICE_TYPE}",
        port=advertisement.port,
        properties={
            "v": str(VERSION),
            "site": advertisement.site,
            "id": advertisement.node,
            "name": advertisement.name,
            "boot": str(advertisement.boot),
            "join": str(advertisement.join_port),
        },
        server=f"{label}.local.",  # a host name of our own: the machine's own belongs to its mDNS daemon
        parsed_addresses=list(hosts)[:ENDPOINTS_MAX],
        other_ttl=LISTED_S,
    )


def read_advert(label: str, info: AsyncServiceInfo, near: Collection[str], allow_loopback: bool) -> Heard:
    """What the records of this label say, or AdvertError. Hosts in `near` come first among the endpoints."""
    text = {key: value for key in (b"v", b"site", b"id", b"name") if (value := _text(info.properties, key))}
    if len(text) != 4 or not _NUMBER.fullmatch(text[b"v"]) or not _SITE.fullmatch(text[b"site"]):
        raise AdvertError("mdns_malformed")
    if not (is_node_id(text[b"id"]) and is_node_name(text[b"name"])):
        raise AdvertError("mdns_malformed")
    hosts = _hosts(info.parsed_addresses(), near, allow_loopback)
    return Heard(
        label=label,
        node=NodeId(text[b"id"]),
        site=SiteId(text[b"site"]),
        name=text[b"name"],
        boot=boot_of(info.properties),
        endpoints=_endpoints(hosts, info.port or 0),
        join_endpoints=_endpoints(hosts, _number(info.properties, b"join", _PORT_MAX)),
    )


def boot_of(properties: Mapping[bytes, bytes | None]) -> int:
    """Which process wrote this, or AdvertError."""
    return _number(properties, b"boot", _BOOT_MAX)


def _text(properties: Mapping[bytes, bytes | None], key: bytes) -> str:
    return (properties.get(key) or b"")[:64].decode("ascii", errors="replace")


def _number(properties: Mapping[bytes, bytes | None], key: bytes, largest: int) -> int:
    text = _text(properties, key)
    if not _NUMBER.fullmatch(text) or int(text) > largest:
        raise AdvertError("mdns_malformed")
    return int(text)


def _hosts(addresses: list[str], near: Collection[str], allow_loopback: bool) -> list[str]:
    hosts = [host for host in dict.fromkeys(addresses) if _can_be_dialled(host, allow_loopback)]
    return sorted(hosts, key=lambda host: host not in near)[:ENDPOINTS_MAX]


def _can_be_dialled(host: str, allow_loopback: bool) -> bool:
    ip = ipaddress.ip_address(host)
    if ip.is_loopback:
        return allow_loopback
    if isinstance(ip, ipaddress.IPv6Address) and (ip.is_link_local or ip.ipv4_mapped):
        return False  # a link-local address needs the scope of the machine that dials
    return not (ip.is_multicast or ip.is_unspecified or (ip.version == 4 and ip.is_reserved))


def _endpoints(hosts: list[str], port: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(host, port) for host in hosts) if port else ()
