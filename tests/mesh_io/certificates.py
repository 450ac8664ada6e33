"""A throw-away site for tests: a root, one steward's authority, and leaf bundles as a test needs them."""

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mesh.ids import NodeId, SiteId
from mesh.trust import Authority, Identity, Root, make_authority, make_root


@dataclass(frozen=True, slots=True)
class Bundle:
    """One node of the site: its id and the file with leaf, authority and key."""

    node: NodeId
    pem: Path


class Site:
    """Root and authority are made at once; leaves on demand. All files go below `folder`."""

    def __init__(self, folder: Path, name: str = "plant") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._serial = 1
        root_key, steward_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.root = Root(make_root(root_key, name, _now_ms(), self._next_serial()))
        self.root_pem = folder / "root.pem"
        self.root_pem.write_bytes(_pem(self.root.certificate))
        steward = Identity(Ed25519PrivateKey.generate()).node
        certificate = make_authority(
            root_key, self.root, steward, _public(steward_key), _now_ms(), self._next_serial()
        )
        self._authority = Authority(steward_key, certificate)

    @property
    def site(self) -> SiteId:
        return self.root.site

    def node(self, name: str) -> Bundle:
        """A new member with a fresh identity."""
        bundle = Bundle(Identity(Ed25519PrivateKey.generate()).node, self._folder / f"{name}.pem")
        self.renew(bundle, name)
        return bundle

    def renew(self, bundle: Bundle, name: str = "renewed") -> int:
        """Replaces the bundle's file by a new certificate with a new key; its serial number."""
        key, serial = Ed25519PrivateKey.generate(), self._next_serial()
        chain = self._authority.issue_leaf(bundle.node, name, _public(key), _now_ms(), serial)
        fresh = bundle.pem.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(b"".join(map(_pem, chain)) + _private_pem(key))
        fresh.replace(bundle.pem)
        return serial

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
