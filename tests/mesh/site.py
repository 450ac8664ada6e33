"""Throw-away sites of deterministic keys: the same bytes in every run, so that tests can be literal."""

import hashlib
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.ids import NodeId
from mesh.roster import MemberEntry, encode_entry
from mesh.state import Keys
from mesh.trust import DAY_MS, Authority, Identity, Root, make_authority, make_root

WALL_MS = 1_795_300_000_000
"""The date of every test's beginning: a day after the release's own date."""


@dataclass(frozen=True)
class Site:
    """Members a, b, c, ... in the order of their ids; the first `stewards` of them may issue and remove."""

    root_key: Ed25519PrivateKey
    root: Root
    keys: tuple[Keys, ...]

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return tuple(each.identity.node for each in self.keys)

    def entries(self) -> tuple[bytes, ...]:
        return tuple(entry_of(each) for each in self.keys)

    def saved(self) -> dict[str, dict[str, bytes]]:
        """A node's store in which every member is known."""
        return {"roster": {f"m:{each.identity.node}": entry_of(each) for each in self.keys}}


@cache
def make_site(count: int, stewards: int = 1, label: str = "plant", days: float = 30.0) -> Site:
    root_key = key_of(f"{label} root")
    root = Root(make_root(root_key, label, WALL_MS, 1))
    identities = sorted(
        (Identity(key_of(f"{label} node {i}")) for i in range(count)), key=lambda each: each.node
    )
    authorities = [make_steward(label, root_key, root, identities[i].node) for i in range(stewards)]
    keys = []
    for i, identity in enumerate(identities):
        tls_public = public_bytes(key_of(f"{label} tls {i}"))
        issuer = authorities[i if i < stewards else 0]  # a steward signs for itself
        chain = issuer.issue_leaf(identity.node, name_of(i), tls_public, WALL_MS, 100 + i, days)
        keys.append(Keys(identity, root, chain, tls_public, authorities[i] if i < stewards else None))
    return Site(root_key, root, tuple(keys))


def make_steward(label: str, root_key: Ed25519PrivateKey, root: Root, node: NodeId) -> Authority:
    key = key_of(f"{label} authority {node}")
    return Authority(key, make_authority(root_key, root, node, public_bytes(key), WALL_MS, 10))


def admitted(site: Site, label: str, name: str, at_ms: int = WALL_MS, days: float = 30.0) -> Keys:
    """The keys of somebody new, whom the first steward has just let in."""
    identity = Identity(key_of(label))
    return reissued(
        site.keys[0], Keys(identity, site.root, (), public_bytes(key_of(f"{label} tls"))), name, at_ms, days
    )


def reissued(steward: Keys, keys: Keys, name: str, at_ms: int, days: float = 30.0) -> Keys:
    """The same node with another certificate, by this steward and of this date."""
    assert steward.authority is not None
    serial = int.from_bytes(hashlib.sha256(f"{name} {at_ms}".encode()).digest()[:8], "big")
    chain = steward.authority.issue_leaf(keys.identity.node, name, keys.tls_public, at_ms, serial, days)
    return Keys(keys.identity, keys.root, chain, keys.tls_public, keys.authority)


def entry_of(keys: Keys) -> bytes:
    return encode_entry(MemberEntry(keys.chain, keys.identity.public))


def name_of(place: int) -> str:
    """a, b, ..., z, then n26, n27, ..."""
    return chr(ord("a") + place) if place < 26 else f"n{place}"


def key_of(label: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def days_after(days: float) -> int:
    """A date, so many days after the tests' beginning."""
    return WALL_MS + int(days * DAY_MS)


COLLIDING = ("collider 6208", "collider 91860")
"""Labels of two identity keys whose nodes have the same short name (found by trying a hundred thousand)."""
