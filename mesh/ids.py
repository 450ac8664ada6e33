"""Names of nodes and sites, all derived from public keys so that nobody can pick somebody else's."""

import base64
import hashlib
import re
from typing import NewType

NodeId = NewType("NodeId", str)
"""26 base32 characters of the SHA-256 of the node's Ed25519 identity key."""

SiteId = NewType("SiteId", str)
"""16 base32 characters of the SHA-256 of the site's root certificate."""

NODE_ID_CHARS = 26  # 130 bits: nobody finds a second key with the same id
SITE_ID_CHARS = 16  # 80 bits: tells sites apart in topics and mDNS; trust rests on the full fingerprint
SHORT_BYTES = 4  # rows name peers by these; a steward refuses to admit a second node with the same ones

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_NODE_ID = re.compile(rf"[a-z2-7]{{{NODE_ID_CHARS}}}")


def node_id_of(identity_public: bytes) -> NodeId:
    """The id of the node that holds the private half of this key."""
    return NodeId(_base32(hashlib.sha256(identity_public).digest())[:NODE_ID_CHARS])


def site_id_of(root_der: bytes) -> SiteId:
    """The id of the site that this root certificate founds."""
    return SiteId(_base32(hashlib.sha256(root_der).digest())[:SITE_ID_CHARS])


def short_of(node: NodeId) -> bytes:
    """The few bytes by which rows name a node."""
    return hashlib.sha256(node.encode()).digest()[:SHORT_BYTES]


def is_node_id(text: str) -> bool:
    return _NODE_ID.fullmatch(text) is not None


def is_node_name(text: str) -> bool:
    """Node and site names are host labels: lower-case letters, digits and inner hyphens, at most 40."""
    return _NAME.fullmatch(text) is not None


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode().lower()
