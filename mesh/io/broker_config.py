"""What the node's own mosquitto is told: its configuration and its three access lists. Pure text.

Listeners: the mesh (TLS, one certificate per peer), the owner (a private Unix socket) and the host's
applications (another one). Unix sockets are named relative to the child's working folder, because mosquitto's
`listener` cannot hold a path with a space.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mesh.ids import NodeId, SiteId
from mesh.io.broker_error import BrokerError
from mesh.wire import FRAME_BYTES_MAX

OWNER_SOCKET = "owner.sock"
APPS_SOCKET = "apps.sock"
CONFIGURATION, MESH_ACCESS, OWNER_ACCESS, APPS_ACCESS = "mosquitto.conf", "mesh.acl", "owner.acl", "apps.acl"

CONNECTIONS_MAX = 1024  # a full mesh ends far below; strangers may not use up the child's file descriptors
LOCAL_CONNECTIONS_MAX = 128  # the owner needs two; applications are programs of one host
PACKET_BYTES_MAX = FRAME_BYTES_MAX + 1024  # a frame, its topic and MQTT's own bytes
QUEUED_MESSAGES_MAX = 400  # per session that does not read: seconds of traffic; then the newest are dropped
QUEUED_BYTES_MAX = 4 * FRAME_BYTES_MAX  # per session, above QoS 0 only: applications
MEMORY_BYTES_MAX = 268_435_456  # two sessions stalled on the largest frames; beyond, writers are cut off
KEEPALIVE_S_MAX = 30  # a vanished peer's session goes after 45 s
SESSION_EXPIRY = "1h"  # nothing is kept for absent sessions anyway; this frees their subscriptions


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What the supervisor needs to know; see [fabric] and [broker] of the configuration."""

    binary: str | None  # None: look in the usual places
    folder: Path  # HOME/broker: configuration and access lists
    run: Path  # the folder of owner.sock and apps.sock, readable by this user only
    node: NodeId
    site: SiteId
    bind: str  # an address, "0.0.0.0" for all of IPv4, "::" for all of both families
    port: int  # 0: pick a free one once and keep it
    certificate: Path  # leaf, authority and key in one PEM file
    root: Path  # the site's root certificate, PEM


def configuration(settings: BrokerSettings, port: int, as_root: bool, connections_max: int) -> str:
    """mosquitto.conf. Every option works on 2.0.11; BrokerError when a setting cannot be written down."""
    _require_one_line(settings)
    parts = (_general(as_root), _mesh_listener(settings, port, connections_max), *_local_listeners(settings))
    return "\n".join(parts)


def mesh_access(node: NodeId, site: SiteId, members: Iterable[NodeId], removed: Iterable[NodeId]) -> str:
    """Who may do what on the mesh listener of `node`'s broker. The same sets give the same text."""
    gone = sorted(set(removed))
    lines = [
        "# any certificate of the site may greet the owner, as itself, and read what is addressed to it",
        f"pattern write fm/{site}/hello/{node}/%u",
        f"pattern read fm/{site}/to/%u/{node}",
    ]
    for member in sorted(set(members) - set(gone) - {node}):
        lines += [
            f"user {member}",
            f"topic write fm/{site}/to/{node}/{member}",
            f"topic read fm/{site}/all/{node}",
        ]
    for one in gone:  # a user's deny goes before the patterns
        lines += [f"user {one}", "topic deny #"]
    return "\n".join(lines) + "\n"


def owner_access(node: NodeId, site: SiteId) -> str:
    """The owner reads its door and inbox, and writes to each and all as itself."""
    return (
        f"topic read fm/{site}/hello/{node}/+\n"
        f"topic read fm/{site}/to/{node}/+\n"
        f"topic write fm/{site}/to/+/{node}\n"
        f"topic write fm/{site}/all/{node}\n"
    )


def apps_access() -> str:
    """Applications talk among themselves and with the node, below local/."""
    return "topic readwrite local/#\n"


def address_of(bind: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The bind setting as an address, or BrokerError."""
    try:
        return ipaddress.ip_address(bind)
    except ValueError:
        raise BrokerError(
            "bad-setting",
            f"[fabric] bind is no IP address: {bind!r}",
            'use "0.0.0.0", "::" or one of this host\'s own',
        ) from None


def _general(as_root: bool) -> str:
    lines = [
        "# written by fieldmesh at each start: changes made here are lost",
        "per_listener_settings true",
        "log_dest stderr",
        "log_timestamp false",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",  # refused handshakes are said only with these
        "persistence false",
        "retain_available false",
        "sys_interval 0",
        "set_tcp_nodelay true",
        f"max_packet_size {PACKET_BYTES_MAX}",
        f"max_queued_messages {QUEUED_MESSAGES_MAX}",
        f"max_queued_bytes {QUEUED_BYTES_MAX}",
        f"memory_limit {MEMORY_BYTES_MAX}",
        f"max_keepalive {KEEPALIVE_S_MAX}",
        f"persistent_client_expiration {SESSION_EXPIRY}",
    ]
    if as_root:  # otherwise it would become the user mosquitto, who may read none of our files
        lines.append("user root")
    return "\n".join(lines) + "\n"


def _mesh_listener(settings: BrokerSettings, port: int, connections_max: int) -> str:
    address = address_of(settings.bind)
    both_families = address.version == 6 and address.is_unspecified  # mosquitto's "::" would be IPv6 alone
    lines = [
        f"listener {port}" if both_families else f"listener {port} {settings.bind}",
        f"max_connections {connections_max}",
        "max_qos 0",  # receipts belong to the frames' own protocol
        "max_topic_alias 0",
        "allow_anonymous false",
        "allow_zero_length_clientid false",
        "tls_version tlsv1.3",
        f"cafile {settings.root}",
        f"certfile {settings.certificate}",
        f"keyfile {settings.certificate}",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",  # or anybody could end anybody's session by taking its id
        f"acl_file {settings.folder / MESH_ACCESS}",
    ]
    return "\n".join(lines) + "\n"


def _local_listeners(settings: BrokerSettings) -> tuple[str, str]:
    named = ((OWNER_SOCKET, OWNER_ACCESS), (APPS_SOCKET, APPS_ACCESS))
    owner, apps = (
        f"listener 0 {socket}\n"
        f"max_connections {LOCAL_CONNECTIONS_MAX}\n"
        "allow_anonymous true\n"
        f"acl_file {settings.folder / access}\n"
        for socket, access in named
    )
    return owner, apps


def _require_one_line(settings: BrokerSettings) -> None:
    for path in (settings.folder, settings.certificate, settings.root):
        if any(ord(character) < 32 for character in str(path)) or str(path) != str(path).strip():
            raise BrokerError(
                "bad-setting",
                f"the path {str(path)!r} cannot be written into mosquitto's configuration",
                "use a home folder without control characters or spaces at its ends",
            )
