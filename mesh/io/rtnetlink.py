"""What the kernel says about links and addresses: one dump, one notification socket, nothing else."""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface

LINK_UP, LINK_LOOPBACK, LINK_RUNNING, LINK_MULTICAST = 0x1, 0x8, 0x40, 0x1000
ADDRESS_TEMPORARY, ADDRESS_DAD_FAILED, ADDRESS_DEPRECATED, ADDRESS_TENTATIVE = 0x01, 0x08, 0x20, 0x40

_NEW_LINK, _DEL_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x1 | 0x300
_LINK_NAME, _ADDRESS, _ADDRESS_LOCAL, _ADDRESS_FLAGS = 3, 1, 2, 8
_GROUPS = 0x1 | 0x10 | 0x100  # links, IPv4 addresses, IPv6 addresses
_HEADER, _LINK, _ADDRESS_HEADER, _ATTRIBUTE = (
    struct.Struct(form) for form in ("=IHHII", "=BxHiII", "=BBBBI", "=HH")
)
_READ_BYTES = 65_536  # the kernel fills datagrams of at most 32 KiB
_ANSWER_S_MAX = 1.0  # the kernel answers in microseconds; a sandbox may not answer at all


@dataclass(slots=True)
class Link:
    """A network link with the addresses on it, each with its flags."""

    index: int
    name: str
    flags: int
    addresses: list[tuple[Address, int]] = field(default_factory=list)


def links() -> list[Link]:
    """All links of this network namespace, by index. OSError where there is no rtnetlink."""
    found: dict[int, Link] = {}
    with _open(0) as sock:
        for kind, body in _dump(sock, _GET_LINK, _LINK.size):
            if kind == _NEW_LINK:
                link = _link(body)
                found[link.index] = link
        for kind, body in _dump(sock, _GET_ADDRESS, _ADDRESS_HEADER.size):
            if kind == _NEW_ADDRESS:
                _add_address(body, found)
    return [found[index] for index in sorted(found)]


def subscribe() -> socket.socket:
    """A non-blocking socket that becomes readable when a link or an address changes."""
    sock = _open(_GROUPS)
    sock.setblocking(False)
    return sock


def links_down(data: bytes) -> frozenset[int]:
    """Indexes of the links that these notifications report as gone or without a carrier."""
    down = set()
    for kind, body in _messages(data):
        if kind in (_NEW_LINK, _DEL_LINK) and len(body) >= _LINK.size:
            _, _, index, flags, _ = _LINK.unpack_from(body)
            if kind == _DEL_LINK or not flags & LINK_RUNNING:
                down.add(index)
    return frozenset(down)


def _open(groups: int) -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, groups))
        sock.settimeout(_ANSWER_S_MAX)
    except OSError:
        sock.close()
        raise
    return sock


def _dump(sock: socket.socket, kind: int, body_bytes: int) -> Iterator[tuple[int, bytes]]:
    sock.send(_HEADER.pack(_HEADER.size + body_bytes, kind, _REQUEST_DUMP, kind, 0) + bytes(body_bytes))
    while True:
        for answer, body in _messages(sock.recv(_READ_BYTES)):
            if answer == _DONE:
                return
            if answer == _ERROR:
                raise OSError(-struct.unpack_from("=i", body)[0], "rtnetlink refused the question")
            yield answer, body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        size, kind, *_ = _HEADER.unpack_from(data, at)
        if size < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + size]
        at += size + -size % 4


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    name = _attributes(body[_LINK.size :]).get(_LINK_NAME, b"")
    return Link(index, name.rstrip(b"\0").decode(errors="replace"), flags)


def _add_address(body: bytes, found: dict[int, Link]) -> None:
    _, prefix, flags, _, index = _ADDRESS_HEADER.unpack_from(body)
    attributes = _attributes(body[_ADDRESS_HEADER.size :])
    raw = attributes.get(_ADDRESS_LOCAL) or attributes.get(_ADDRESS)
    if raw is None or index not in found:
        return
    if _ADDRESS_FLAGS in attributes:
        (flags,) = struct.unpack("=I", attributes[_ADDRESS_FLAGS])
    address = ipaddress.ip_interface(f"{ipaddress.ip_address(raw)}/{prefix}")
    found[index].addresses.append((address, flags))


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + size]
        at += size + -size % 4
    return found
