"""The client's side of TLS: contexts that trust the site's root alone, and what a failed handshake means."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mesh.ids import NodeId, SiteId, is_node_id
from mesh.io.dial_error import DialError

_DATE_CODES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_EXPIRED_CODE = 10
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, which Python does not name
_ISSUER_CODES = (2, 7, 18, 19, 20, 21, 30)  # no issuer, bad signature, self-signed, another key identifier
_FAILURES = {  # what OpenSSL calls it: the reason, and what it means
    "TLSV1_ALERT_UNKNOWN_CA": ("wrong-root", "its broker trusts another root than ours"),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "certificate-expired",
        "its broker says that our certificate expired",
    ),
    "SSLV3_ALERT_BAD_CERTIFICATE": ("refused", "its broker does not accept our certificate"),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ("refused", "its broker does not accept our certificate"),
    "SSLV3_ALERT_CERTIFICATE_REVOKED": ("refused", "its broker says that our certificate is revoked"),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": ("refused", "its broker got no certificate from us"),
    "WRONG_VERSION_NUMBER": ("not-a-node", "what listens there does not speak TLS"),
    "TLSV1_ALERT_PROTOCOL_VERSION": ("not-a-node", "what listens there does not speak TLS 1.3"),
    "UNSUPPORTED_PROTOCOL": ("not-a-node", "what listens there does not speak TLS 1.3"),
}
_SELF_TEST_ROUNDS = 8  # a handshake takes two


class TlsError(OSError):
    """Our own certificate, key or root cannot be used. An OSError, as ssl's own errors are."""


class TlsSource:
    """Where contexts for dialling come from. `refresh` when the files have changed; open links stay as they are."""

    def __init__(self, bundle: Path, root: Path) -> None:
        self.bundle = bundle  # leaf, authority and key in one PEM file
        self._root = root
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context in use, built from the files at the first call. TlsError when they are no good."""
        if self._context is None:
            self.refresh()
        assert self._context is not None
        return self._context

    def refresh(self) -> None:
        """Builds a fresh context, tries it, and uses it from now on. On TlsError the old one stays."""
        try:
            context = _client_context(self.bundle, self._root)
            _self_test(self.bundle, context)
        except (OSError, ValueError) as error:
            raise TlsError(_what_is_wrong(error, self.bundle)) from error
        self._context = context


def peer_of(stream: ssl.SSLSocket, site: SiteId) -> NodeId:
    """Which node of this site the verified certificate of the other side names, or DialError."""
    certificate = stream.getpeercert() or {}
    names = [value for key, value in _pairs(certificate.get("subject")) if key == "commonName"]
    uris = [value for key, value in _pairs([certificate.get("subjectAltName")]) if key == "URI"]
    if len(names) != 1 or not is_node_id(names[0]):
        raise DialError("not-a-node", "its certificate names no node")
    if not any(uri.startswith(f"fieldmesh://{site}/{names[0]}/") for uri in uris):
        raise DialError("not-a-node", "its certificate is not for a node of this site")
    return NodeId(names[0])


def handshake_failure(error: ssl.SSLError) -> DialError:
    """What a TLS error says about the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification_failure(error)
    name = getattr(error, "reason", None) or type(error).__name__  # Python's own errors have no reason
    return DialError(*_FAILURES.get(name, ("other", f"TLS: {name}")))


def _pairs(parts: Any) -> Iterator[tuple[str, str]]:
    """The pairs in what getpeercert() gives, whose type does not say what it holds."""
    for part in parts or ():
        yield from part or ()


def _verification_failure(error: ssl.SSLCertVerificationError) -> DialError:
    if error.verify_code == _EXPIRED_CODE:
        return DialError("certificate-expired", "its certificate has expired (or our clock is ahead)")
    if error.verify_code in _DATE_CODES:
        return DialError("other", "its certificate is not valid yet (or our clock is behind)")
    if error.verify_code in _ISSUER_CODES:
        return DialError("wrong-root", "its certificate was not issued under the root that we trust")
    return DialError("not-a-node", error.verify_message)


def _client_context(bundle: Path, root: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the identity is the common name, a node id; addresses prove nothing
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= (
        _NO_CHECK_TIME  # a node whose clock is wrong must still learn the time: greetings judge
    )
    context.load_verify_locations(root)
    context.load_cert_chain(bundle)  # raises when key and certificate do not belong together
    return context


def _self_test(bundle: Path, client_context: ssl.SSLContext) -> None:
    """A handshake with ourselves in memory: our own chain must stand under the root that we trust."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(bundle)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there)
    server = server_context.wrap_bio(there, back, server_side=True)
    for _ in range(_SELF_TEST_ROUNDS):
        if _is_through(client) & _is_through(server):  # both take their turn in each round
            return
    raise ValueError("the handshake does not end")


def _is_through(side: ssl.SSLObject) -> bool:
    """Takes this side as far as it can go; whether that is to the end."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _what_is_wrong(error: Exception, bundle: Path) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate in {bundle} is not of this site: {error.verify_message}; join the site again"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return (
            f"key and certificate in {bundle} do not belong together; restore the file or join the site again"
        )
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return f"the site's certificates cannot be read: {error}"
    return f"{bundle} holds no usable certificate and key ({error}); restore the file or join the site again"
