"""What mosquitto's stderr says, and what follows from it."""

import re
from dataclasses import dataclass

from mesh.events import Counted
from mesh.ids import NODE_ID_CHARS
from mesh.io.broker_error import BrokerError

LINE_BYTES_MAX = 1024  # mosquitto's own lines are shorter; a client id in one may not be
TAIL_LINES_MAX = 20  # enough to tell why a start failed

_NODE = rf"([a-z2-7]{{{NODE_ID_CHARS}}})"
_COUNTERS = (
    (
        "broker_refused_client",
        re.compile(r"Client connection from .* (?:failed|denied)|Client <unknown> .*disconnected"),
    ),
    ("broker_dropped_client", re.compile(rf"Client {_NODE} .*disconnected(?: due to|, not authori|:)")),
    ("broker_queue_full", re.compile(rf"Outgoing messages are being dropped for client {_NODE}")),
    ("broker_session_replaced", re.compile(rf"Client {_NODE} already connected")),
    ("broker_certificate_refused", re.compile(r"Error when reloading certificate")),
    ("broker_descriptors_short", re.compile(r"Unable to accept new connection, system socket count")),
)
_GATE_OPEN = re.compile(r"Error.*(?:acl.?file|[Oo]ut of memory)|ACL.*[Oo]ut of memory")


class Lines:
    """Bytes in, whole lines out; an overlong line is cut, never kept growing."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, rest = (self._partial + data).split(b"\n")
        self._partial = rest[:LINE_BYTES_MAX]
        return [line[:LINE_BYTES_MAX].decode(errors="replace") for line in whole if line]


def counted(line: str) -> Counted | None:
    """The counter that a line raises, with the peer whose doing it was."""
    for name, pattern in _COUNTERS:
        match = pattern.match(line)
        if match:
            return Counted(name, match[1] if pattern.groups else "")
    return None


def opens_the_gate(line: str) -> bool:
    """Whether mosquitto has just failed to load an access list: it then lets everybody do everything."""
    return _GATE_OPEN.match(line) is not None


@dataclass(frozen=True, slots=True)
class Place:
    """What the messages about a failed start need to name."""

    bind: str
    port: int
    certificate: str
    root: str


def refusal(tail: list[str], place: Place) -> BrokerError | None:
    """Why a start failed, when it is something that only a person can put right."""
    text = "\n".join(tail)
    if "Address already in use" in text:
        return BrokerError(
            "port-taken",
            f"port {place.port} on {place.bind} is already in use (Address already in use)",
            f"stop what listens there (`ss -ltnp 'sport = :{place.port}'` names it), "
            "or choose another with [fabric] port",
        )
    if "Permission denied" in text and place.port < 1024:
        return BrokerError(
            "port-forbidden",
            f"this user may not listen on port {place.port}",
            "choose a [fabric] port of 1024 or above",
        )
    if re.search(
        r"Unable to load (server|CA|client) (certificate|key)|certificate/key are inconsistent", text
    ):
        return BrokerError(
            "bad-certificate",
            f"mosquitto cannot use {place.certificate} with the root {place.root}: {complaint(tail)}",
            "check both with `openssl x509 -text -in FILE`; if a file is damaged, join the site again",
        )
    return None


def complaint(tail: list[str]) -> str:
    """The most telling of the last lines."""
    errors = [line for line in tail if line.startswith("Error")]
    return (errors or tail or ["it said nothing"])[-1]
