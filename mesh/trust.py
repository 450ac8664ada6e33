"""Who may speak for a site: the root, its stewards' authorities, nodes' certificates, removals.

A chain is `root -> authority (one per steward) -> leaf (one per node)`, all Ed25519. The leaf's common name is
the node id, which is a hash of the node's identity key: so the certificate, the identity that signs records
and the MQTT user name are one thing.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.ids import NodeId, SiteId, is_node_id, is_node_name, node_id_of, site_id_of

DAY_MS = 86_400_000
LEAF_DAYS = 30.0  # outlives the longest outage a site should meet without a steward
AUTHORITY_DAYS = 3650.0  # a steward's authority ends by removal, not by surprise
ROOT_DAYS = 7300.0
BACKDATE_MS = 60_000  # a verifier whose clock is a minute slow still accepts a new certificate
CERTIFICATE_BYTES_MAX = 4096  # ours are under 700
REASON_CHARS_MAX = 200
KEYS_MAX = 1024  # identities whose keys are kept ready: every member's, on all but the largest sites


class TrustError(Exception):
    """A credential does not prove what it claims; `reason` is a counter's name."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Identity:
    """A node's long-lived signing key and the id that follows from it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.node = node_id_of(self.public)

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content)

    def __repr__(self) -> str:
        return f"Identity({self.node})"  # never the key


def verify(identity_public: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the holder of this identity signed this content."""
    try:
        _public_key(identity_public).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=KEYS_MAX)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


@dataclass(frozen=True, slots=True)
class Member:
    """What a valid chain says about a node."""

    node: NodeId
    name: str
    steward: NodeId  # whose authority issued the leaf
    is_steward: bool  # the node's own id is an authority of this site
    not_before_ms: int
    not_after_ms: int


class Authority:
    """A steward's power to issue certificates and to remove members."""

    def __init__(self, key: Ed25519PrivateKey, certificate: bytes) -> None:
        self._key = key
        self.certificate = certificate

    def issue_leaf(
        self, node: NodeId, name: str, tls_public: bytes, now_ms: int, serial: int, days: float = LEAF_DAYS
    ) -> tuple[bytes, ...]:
        """A chain for this node: its leaf and this authority's certificate, both DER."""
        if not (is_node_id(node) and is_node_name(name)):
            raise TrustError("bad-name", f"{node}/{name}")
        issuer = x509.load_der_x509_certificate(self.certificate)
        leaf = (
            _builder(node, issuer.subject, tls_public, self._key.public_key(), now_ms, days, serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_names(_site_of(issuer), node, name), critical=False)
            .add_extension(_usages(), critical=False)
            .sign(self._key, None)
        )
        return (leaf.public_bytes(Encoding.DER), self.certificate)

    def remove(self, node: NodeId, name: str, reason: str, now_ms: int) -> "Removal":
        """A record that ends a membership for ever."""
        unsigned = Removal(node, name, reason[:REASON_CHARS_MAX], now_ms, self.certificate, b"")
        return msgspec.structs.replace(unsigned, signature=self._key.sign(unsigned.content()))

    def __repr__(self) -> str:
        return f"Authority({hashlib.sha256(self.certificate).hexdigest()[:12]})"


class Removal(msgspec.Struct, frozen=True, array_like=True):
    """A steward's signed word that a node is no longer a member. It is never taken back."""

    node: NodeId
    name: str
    reason: str
    at_ms: int
    authority: bytes
    signature: bytes

    def content(self) -> bytes:
        return b"fieldmesh removal\0" + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))


class Root:
    """The site's trust root as every node knows it: its certificate, no key."""

    def __init__(self, certificate: bytes) -> None:
        self.certificate = certificate
        self._parsed = _parsed(certificate)
        self.site: SiteId = site_id_of(certificate)
        self.site_name = _common_name(self._parsed)
        self.fingerprint = hashlib.sha256(certificate).digest()
        self._authorities: dict[bytes, x509.Certificate] = {}  # verified ones; bounded by AUTHORITIES_MAX

    def verify_chain(
        self, chain: Sequence[bytes], at_ms: int | None = None, early_ok: bool = False
    ) -> Member:
        """The member a chain proves, or TrustError. `at_ms` None: validity dates are not looked at."""
        if len(chain) != 2:
            raise TrustError("bad-chain", f"{len(chain)} certificates")
        authority = self.verify_authority(chain[1])
        leaf = _parsed(chain[0])
        _require_issued(leaf, authority)
        if at_ms is not None and at_ms > _ms(leaf.not_valid_after_utc):
            raise TrustError("certificate-expired")
        if at_ms is not None and at_ms < _ms(leaf.not_valid_before_utc) and not early_ok:
            raise TrustError("certificate-early")
        node, name = _subject_of(leaf, self.site)
        steward = steward_of(authority)
        return Member(
            node,
            name,
            steward,
            steward == node,
            _ms(leaf.not_valid_before_utc),
            _ms(leaf.not_valid_after_utc),
        )

    def verify_authority(self, certificate: bytes) -> x509.Certificate:
        """A steward's authority under this root, or TrustError."""
        known = self._authorities.get(certificate)
        if known is not None:
            return known
        authority = _parsed(certificate)
        _require_issued(authority, self._parsed)
        if not _is_authority(authority) or not is_node_id(steward_of(authority)):
            raise TrustError("not-an-authority")
        if len(self._authorities) >= AUTHORITIES_MAX:
            self._authorities.clear()
        self._authorities[certificate] = authority
        return authority

    def verify_removal(self, removal: Removal) -> NodeId:
        """The steward of this site that signed the removal, or TrustError."""
        authority = self.verify_authority(removal.authority)
        key = authority.public_key()
        assert isinstance(key, Ed25519PublicKey)  # _parsed saw to it
        try:
            key.verify(removal.signature, removal.content())
        except InvalidSignature:
            raise TrustError("bad-signature", "removal") from None
        return steward_of(authority)


AUTHORITIES_MAX = 64  # a site has a handful of stewards; the cache is not a place to fill a node's memory


def make_root(key: Ed25519PrivateKey, site_name: str, now_ms: int, serial: int) -> bytes:
    """A self-signed root certificate that founds a site."""
    if not is_node_name(site_name):
        raise TrustError("bad-name", site_name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, site_name)])
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return (
        _builder(site_name, subject, public, key.public_key(), now_ms, ROOT_DAYS, serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_signing_usage(), critical=True)
        .sign(key, None)
        .public_bytes(Encoding.DER)
    )


def make_authority(
    root_key: Ed25519PrivateKey, root: Root, steward: NodeId, public: bytes, now_ms: int, serial: int
) -> bytes:
    """The certificate that makes a node a steward."""
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, root.site_name)])
    return (
        _builder(steward, issuer, public, root_key.public_key(), now_ms, AUTHORITY_DAYS, serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signing_usage(), critical=True)
        .add_extension(_names(root.site, steward, "steward"), critical=False)
        .sign(root_key, None)
        .public_bytes(Encoding.DER)
    )


def steward_of(authority: x509.Certificate) -> NodeId:
    """Whose authority this is."""
    return NodeId(_common_name(authority))


def public_of(certificate: bytes) -> bytes:
    """The raw public key a certificate speaks for."""
    key = _parsed(certificate).public_key()
    assert isinstance(key, Ed25519PublicKey)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _parsed(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise TrustError("bad-certificate", "too large")
    try:
        certificate = x509.load_der_x509_certificate(der)
        is_ed25519 = isinstance(certificate.public_key(), Ed25519PublicKey)
    except Exception as error:  # noqa: BLE001 - the parser raises a wide family on hostile input: all the peer's fault
        raise TrustError("bad-certificate", type(error).__name__) from None
    if not is_ed25519:
        raise TrustError("bad-certificate", "not an Ed25519 key")
    if der[-67:-64] != _SIGNATURE_OF_64_BYTES:
        raise TrustError("bad-certificate", "not in the one form that DER allows")
    return certificate


_SIGNATURE_OF_64_BYTES = (
    b"\x03\x41\x00"  # the parser would also take some unused bits: two forms of one certificate
)


def _require_issued(child: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        raise TrustError("wrong-root", "not issued under this site's root") from None


def _subject_of(leaf: x509.Certificate, site: SiteId) -> tuple[NodeId, str]:
    node = _common_name(leaf)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uri = names.get_values_for_type(x509.UniformResourceIdentifier)[0]
        is_authority = _is_authority(leaf)
    except (x509.ExtensionNotFound, IndexError, ValueError):
        raise TrustError("bad-certificate", "no fieldmesh name") from None
    name = uri.rpartition("/")[2]
    if is_authority or uri != _uri(site, NodeId(node), name) or not (is_node_id(node) and is_node_name(name)):
        raise TrustError("bad-certificate", "names do not fit")
    return NodeId(node), name


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _common_name(certificate: x509.Certificate) -> str:
    try:
        return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except (IndexError, ValueError):
        raise TrustError("bad-certificate", "no common name") from None


def _site_of(authority: x509.Certificate) -> SiteId:
    names = authority.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return SiteId(names.get_values_for_type(x509.UniformResourceIdentifier)[0].split("/")[2])


def _names(site: SiteId, node: NodeId, name: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(_uri(site, node, name)), x509.DNSName(name)]
    )


def _uri(site: SiteId, node: NodeId, name: str) -> str:
    return f"fieldmesh://{site}/{node}/{name}"


def _usages() -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def _signing_usage() -> x509.KeyUsage:
    return x509.KeyUsage(True, False, False, False, False, True, True, False, False)


def _builder(
    subject: str,
    issuer: x509.Name,
    public: bytes,
    issuer_key: Ed25519PublicKey,
    now_ms: int,
    days: float,
    serial: int,
) -> x509.CertificateBuilder:
    subject_key = Ed25519PublicKey.from_public_bytes(public)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(subject_key)
        .serial_number(serial)
        .not_valid_before(_date(now_ms - BACKDATE_MS))
        .not_valid_after(_date(now_ms + int(days * DAY_MS)))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _date(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC)


def _ms(date: dt.datetime) -> int:
    return int(date.timestamp() * 1000)
