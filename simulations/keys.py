"""A simulated site's keys: fixed bytes for each index, so that one process makes each certificate once."""

import functools
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.clock import BUILT_MS
from mesh.trust import DAY_MS, Authority, Identity, Root, make_authority, make_root

EPOCH_MS = BUILT_MS + 30 * DAY_MS  # the wall time at which every simulated run begins: clocks are believed
STEWARD = 0  # the index of the node that founded the site


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """What one node is born with."""

    name: str
    identity: Identity
    root: Root
    chain: tuple[bytes, ...]
    tls_public: bytes
    authority: Authority | None


@functools.cache
def node_keys(index: int) -> NodeKeys:
    """The keys of the node with this index, the same in every run."""
    identity = Identity(_private("identity", index))
    tls_public = _raw_public(_private("tls", index))
    name = f"node-{index:03}"
    chain = _authority().issue_leaf(identity.node, name, tls_public, EPOCH_MS - DAY_MS, serial=index + 10)
    return NodeKeys(name, identity, _root(), chain, tls_public, _authority() if index == STEWARD else None)


@functools.cache
def _root() -> Root:
    return Root(make_root(_private("root", 0), "simulated", EPOCH_MS - DAY_MS, serial=1))


@functools.cache
def _authority() -> Authority:
    key, steward = _private("authority", STEWARD), Identity(_private("identity", STEWARD)).node
    made_ms = EPOCH_MS - DAY_MS
    return Authority(
        key, make_authority(_private("root", 0), _root(), steward, _raw_public(key), made_ms, serial=2)
    )


def _private(purpose: str, index: int) -> Ed25519PrivateKey:
    seed = hashlib.sha256(f"fieldmesh simulated key/{purpose}/{index}".encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def _raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
