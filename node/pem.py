"""Keys and certificates as PEM text, the form in which they lie in the home and in which mosquitto reads them."""

import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_half(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificates_pem(*certificates: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in certificates)


def key_in(pem: bytes) -> Ed25519PrivateKey:
    """The Ed25519 key among these PEM blocks, or ValueError."""
    block = _KEY.search(pem)
    if block is None:
        raise ValueError("no private key")
    key = load_pem_private_key(block.group(), None)
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("not an Ed25519 key")


def certificates_in(pem: bytes) -> tuple[bytes, ...]:
    """The certificates among these PEM blocks, as DER, or ValueError."""
    return tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem))
