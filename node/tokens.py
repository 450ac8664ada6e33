"""A join token's text: where to find the steward, how to know its site, and a secret that works once.

`fm1-` and base32 of a MessagePack array and its CRC-32, which notices every change of a single character. The
token holds no secret of the site's root.
"""

import base64
import binascii
import hashlib
import hmac
import zlib
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from mesh.ids import NODE_ID_CHARS, SITE_ID_CHARS, NodeId, SiteId, is_node_id
from mesh.wire import Count, Endpoint
from node.errors import FieldmeshError
from node.exits import Exit

PREFIX = "fm1-"
TOKEN_ID_BYTES = 8
SECRET_BYTES = 16  # 128 bits: the steward's hash of it needs no salt
SEEDS_MAX = 8  # a token should still fit into a chat message
TEXT_CHARS_MAX = 4096
CRC_BYTES = 4


@dataclass(frozen=True, slots=True)
class Token:
    """Leave to join, once. Its repr does not show the secret."""

    fingerprint: bytes  # of the root certificate
    steward: NodeId  # who issued it, and alone can redeem it
    token_id: bytes
    secret: bytes = field(repr=False)
    expires_ms: int
    for_steward: bool = False
    seeds: tuple[Endpoint, ...] = ()

    @property
    def site(self) -> SiteId:
        return SiteId(_base32(self.fingerprint)[:SITE_ID_CHARS])

    @property
    def name(self) -> str:
        """What people call the token by in lists: it says nothing of the secret."""
        return self.token_id.hex()

    def text(self) -> str:
        """The form to hand over. It is a secret until used."""
        body = msgspec.msgpack.encode(
            _Body(
                self.fingerprint,
                _steward_bytes(self.steward),
                self.token_id,
                self.secret,
                self.expires_ms,
                self.for_steward,
                self.seeds,
            )
        )
        return PREFIX + _base32(body + _crc(body))


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What the steward remembers of a token."""

    token_id: bytes
    secret_hash: bytes
    created_ms: int
    expires_ms: int
    for_steward: bool
    revoked_ms: int | None = None
    used_ms: int | None = None
    used_by: str | None = None
    used_name: str | None = None
    answer: bytes | None = None  # what the joiner was given, to give it again if it did not arrive

    @property
    def name(self) -> str:
        return self.token_id.hex()

    def matches(self, secret: bytes) -> bool:
        return hmac.compare_digest(self.secret_hash, hash_of(secret))

    def state(self, now_ms: int) -> str:
        """used, revoked, expired or open."""
        if self.used_by is not None:
            return "used"
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if now_ms > self.expires_ms else "open"


class TokenError(FieldmeshError):
    """This text is no token, or no longer the one that was issued."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, "copy the whole token again; it is one word that begins with fm1-", Exit.TOKEN_WRONG
        )


def parse_token(text: str) -> Token:
    """The token that this text is. White space (a wrapped line) is ignored; any other change is noticed."""
    text = "".join(text[: TEXT_CHARS_MAX + 1].split())
    if not text.startswith(PREFIX):
        raise TokenError("this is not a join token")
    if len(text) > TEXT_CHARS_MAX:
        raise TokenError("this join token is too long")
    data = _unbase32(text[len(PREFIX) :])
    body, crc = data[:-CRC_BYTES], data[-CRC_BYTES:]
    if crc != _crc(body):
        raise TokenError("this join token is damaged: a part is missing or mistyped")
    try:
        parts = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenError("this join token was made by a release that this one does not understand") from None
    steward = NodeId(_base32(parts.steward)[:NODE_ID_CHARS])
    assert is_node_id(steward)  # base32 of 17 bytes, cut, always is
    return Token(
        parts.fingerprint,
        steward,
        parts.token_id,
        parts.secret,
        parts.expires_ms,
        parts.for_steward,
        parts.seeds,
    )


def hash_of(secret: bytes) -> bytes:
    """What a steward keeps of a secret."""
    return hashlib.sha256(secret).digest()


class _Body(msgspec.Struct, frozen=True, array_like=True):
    fingerprint: Annotated[bytes, Meta(min_length=32, max_length=32)]
    steward: Annotated[bytes, Meta(min_length=17, max_length=17)]
    token_id: Annotated[bytes, Meta(min_length=TOKEN_ID_BYTES, max_length=TOKEN_ID_BYTES)]
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    expires_ms: Count
    for_steward: bool
    seeds: Annotated[tuple[Endpoint, ...], Meta(max_length=SEEDS_MAX)]


_decoder = msgspec.msgpack.Decoder(_Body)


def _steward_bytes(steward: NodeId) -> bytes:
    """26 base32 characters are 130 bits: 17 bytes hold them."""
    return base64.b32decode(f"{steward.upper()}AA====")[:17]


def _crc(body: bytes) -> bytes:
    return zlib.crc32(PREFIX.encode() + body).to_bytes(CRC_BYTES, "big")


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().lower().rstrip("=")


def _unbase32(text: str) -> bytes:
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise TokenError("this join token is damaged: it has characters that no token has") from None
    if _base32(data) != text:  # spare bits of the last character, or capitals
        raise TokenError("this join token is damaged: a part is missing or mistyped")
    return data
