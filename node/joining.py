"""How a stranger becomes a member: what joiner and steward say to each other, and what each checks. No I/O.

    steward -> joiner   Introduction   who I am, my clock, a nonce      (inside TLS, the steward's side proven)
    joiner -> steward   JoinRequest    token, name, keys, a signature over both nonces and the steward's certificate
    steward -> joiner   Admitted, then `parts` times Knowledge     or     Refused

The joiner says nothing secret before `check_introduction` has tied the handshake's certificate to the root whose
fingerprint the token carries. A steward that has answered once gives the same identity the same answer again.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from mesh.clock import FAR_OFF_MS
from mesh.ids import NodeId, is_node_name, node_id_of, short_of
from mesh.trust import Authority, Identity, Member, Root, TrustError, public_of, steward_of, verify
from mesh.wire import Certificate, Chain, Count, Endpoint, Endpoints, Id, Key32, Nonce, Signature, Text
from node.join_errors import (
    JoinError,
    clock_off,
    distrusted_clock,
    not_the_steward,
    of_refusal,
    wrong_root,
    wrong_version,
)
from node.tokens import SECRET_BYTES, TOKEN_ID_BYTES, Token, TokenRow

VERSION = 1
VERSION_OLDEST = 1
MESSAGE_BYTES_MAX = 65_536
KNOWLEDGE_BYTES_MAX = 49_152  # of entries per message, which leaves room for their framing
PARTS_MAX = 128  # six megabytes: a roster of several thousand
PEERS_TOLD_MAX = 256  # whose endpoints a joiner is told; gossip brings the others
ENTRIES_MAX = 4096  # per message
NAME_CHARS_MAX = 40
SUGGESTIONS_MAX = 99

_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size


class MalformedError(Exception):
    """The bytes are none of these messages; `reason` is a counter's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Introduction(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The steward speaks first. The chain is the handshake's certificate, then `authority`, then `root`."""

    version_oldest: int
    version_newest: int
    nonce: Nonce
    authority: Certificate
    root: Certificate
    wall_ms: Count
    clock_trusted: bool = True


class JoinRequest(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Everything a steward needs in order to decide. Its repr shows no secret."""

    version: int
    nonce: Nonce
    token_id: Annotated[bytes, Meta(min_length=TOKEN_ID_BYTES, max_length=TOKEN_ID_BYTES)]
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]
    name: Annotated[str, Meta(max_length=80)]
    identity: Key32
    tls_public: Key32
    steward_public: Annotated[bytes, Meta(max_length=32)] = b""
    signature: Signature = b""

    def content(self, leaf: bytes, steward_nonce: bytes) -> bytes:
        """What the joiner signs: this request, to the holder of this certificate, in this conversation."""
        signed = (
            hashlib.sha256(leaf).digest(),
            steward_nonce,
            *(self.version, self.nonce, self.token_id, self.name),
            *(self.identity, self.tls_public, self.steward_public),
        )
        return b"fieldmesh join\0" + msgspec.msgpack.encode(signed)

    def __repr__(self) -> str:
        return f"JoinRequest(token {self.token_id.hex()}, {self.name})"


class Admitted(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """You are a member. `authority` is for stewards; `parts` messages of Knowledge follow."""

    chain: Chain
    authority: Certificate = b""
    wall_ms: Count = 0
    parts: Annotated[int, Meta(ge=0, le=PARTS_MAX)] = 0


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """You are not. `holder` and `suggestion` are for a name that is taken."""

    code: Annotated[str, Meta(max_length=40)]
    wall_ms: Count = 0
    detail: Text = ""
    holder: Id = ""
    suggestion: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] = ""


class Knowledge(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What a new member should know of the others: roster entries, which prove themselves, and endpoints to try."""

    entries: Annotated[
        tuple[Annotated[bytes, Meta(max_length=KNOWLEDGE_BYTES_MAX)], ...], Meta(max_length=ENTRIES_MAX)
    ]
    endpoints: Annotated[tuple[tuple[Id, Endpoints], ...], Meta(max_length=PEERS_TOLD_MAX)] = ()


JoinMessage = Introduction | JoinRequest | Admitted | Refused | Knowledge

_decoder = msgspec.msgpack.Decoder(JoinMessage)


def pack(message: JoinMessage) -> bytes:
    """Length and message, ready for the stream."""
    body = msgspec.msgpack.encode(message)
    assert len(body) <= MESSAGE_BYTES_MAX, f"a message of {len(body)} bytes"
    return _LENGTH.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """How many bytes follow, or MalformedError before any of them is read."""
    (length,) = _LENGTH.unpack(header)
    if not 0 < length <= MESSAGE_BYTES_MAX:
        raise MalformedError("join-oversized")
    return int(length)


def unpack(body: bytes) -> JoinMessage:
    try:
        message: JoinMessage = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError("join-malformed") from None
    return message


# ---------------------------------------------------------------- the joiner's side


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who wants to join. The keys behind it have not left the machine."""

    identity: Identity
    tls_public: bytes
    name: str
    steward_public: bytes = b""


def check_introduction(token: Token, leaf: bytes, said: Introduction, wall_ms: int) -> Root:
    """The site's root, once the other end of the handshake is proven to be the steward of our token; or JoinError."""
    if hashlib.sha256(said.root).digest() != token.fingerprint:
        raise wrong_root(token, said.root)
    try:
        root = Root(said.root)
        steward = root.verify_chain((leaf, said.authority))
        if steward.node != token.steward:
            raise not_the_steward(token, steward)
        if not said.clock_trusted:
            raise distrusted_clock(said.wall_ms)
        if abs(said.wall_ms - wall_ms) > FAR_OFF_MS:
            raise clock_off(wall_ms, said.wall_ms)
        root.verify_chain((leaf, said.authority), said.wall_ms)
    except TrustError as error:
        raise not_the_steward(token, None, error.reason) from None
    if not said.version_oldest <= VERSION or not said.version_newest >= VERSION_OLDEST:
        raise wrong_version(said.version_oldest, said.version_newest)
    return root


def request_of(
    applicant: Applicant, token: Token, leaf: bytes, said: Introduction, nonce: bytes
) -> JoinRequest:
    """What to send to a steward that `check_introduction` has passed."""
    unsigned = JoinRequest(
        min(VERSION, said.version_newest),
        nonce,
        token.token_id,
        token.secret,
        applicant.name,
        applicant.identity.public,
        applicant.tls_public,
        applicant.steward_public,
    )
    signature = applicant.identity.sign(unsigned.content(leaf, said.nonce))
    return msgspec.structs.replace(unsigned, signature=signature)


def check_answer(
    answer: JoinMessage, root: Root, token: Token, applicant: Applicant, wall_ms: int
) -> Admitted:
    """The admission, once it is proven to be ours; or JoinError."""
    if isinstance(answer, Refused):
        raise of_refusal(
            answer.code, answer.detail, answer.holder, answer.suggestion, applicant.name, answer.wall_ms
        )
    if not isinstance(answer, Admitted):
        raise JoinError("the steward gave an answer that makes no sense", "are both of the same release?")
    try:
        member = root.verify_chain(answer.chain, answer.wall_ms or wall_ms)
        if not _is_for(member, answer, root, token, applicant):
            raise TrustError("not-ours")
    except TrustError as error:
        raise JoinError(
            f"the steward's answer holds a certificate that does not fit our keys ({error.reason})",
            "run the same command again; if it stays, ask for a new token",
        ) from None
    return answer


def _is_for(member: Member, answer: Admitted, root: Root, token: Token, applicant: Applicant) -> bool:
    if (member.node, member.steward) != (applicant.identity.node, token.steward):
        return False
    if public_of(answer.chain[0]) != applicant.tls_public:
        return False
    if not token.for_steward:
        return True
    authority = root.verify_authority(answer.authority)
    return steward_of(authority) == member.node and public_of(answer.authority) == applicant.steward_public


# ---------------------------------------------------------------- the steward's side


@dataclass(frozen=True, slots=True)
class AdmitRequest:
    """A request that names an open token, with the right secret, a good signature and a free name: issue."""

    node: NodeId
    name: str
    identity: bytes
    tls_public: bytes
    steward_public: bytes  # empty unless the token makes stewards


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same node asks again with the same token: it gets what it got."""

    request: AdmitRequest
    answer: Admitted = field(repr=False)


Taken = Callable[[str, bytes], str | None]
"""Which member has this name, or these short bytes of an id; None when nobody has."""


def judge(
    request: JoinRequest,
    leaf: bytes,
    steward_nonce: bytes,
    row: TokenRow | None,
    taken: Taken,
    now_ms: int,
) -> AdmitRequest | Repeat | Refused:
    """What to do with a request; `row` is what is remembered of its token."""
    node = node_id_of(request.identity)
    if not verify(request.identity, request.signature, request.content(leaf, steward_nonce)):
        return Refused("bad-signature", now_ms)
    if row is None or not row.matches(request.secret):
        return Refused("token-wrong", now_ms)
    wanted = AdmitRequest(
        node,
        request.name,
        request.identity,
        request.tls_public,
        request.steward_public if row.for_steward else b"",
    )
    refusal = _token_refusal(row, node, now_ms)
    if refusal is not None:
        return refusal
    if row.used_by == node:
        return _repeat(wanted, row, now_ms)
    return _name_refusal(wanted, row, taken, now_ms) or wanted


def is_guess(refused: Refused) -> bool:
    """Whether this refusal may mean that somebody is trying secrets."""
    return refused.code in ("token-wrong", "bad-signature")


def knowledge_parts(
    entries: Sequence[bytes], endpoints: Sequence[tuple[NodeId, tuple[Endpoint, ...]]]
) -> list[Knowledge]:
    """What to tell a new member, in messages that fit. What does not fit at all comes by anti-entropy."""
    told = tuple(endpoints)[:PEERS_TOLD_MAX]
    batches: list[list[bytes]] = [[]]
    room = KNOWLEDGE_BYTES_MAX
    for entry in entries:
        if len(entry) > room or len(batches[-1]) >= ENTRIES_MAX:
            batches.append([])
            room = KNOWLEDGE_BYTES_MAX
        batches[-1].append(entry)
        room -= len(entry)
    parts = [Knowledge(tuple(batch)) for batch in batches if batch]
    return [*parts[: PARTS_MAX - 1], Knowledge((), told)]


def encode_answer(answer: Admitted) -> bytes:
    """The part of an admission that is kept with the used token."""
    return msgspec.msgpack.encode(answer)


def _token_refusal(row: TokenRow, node: NodeId, now_ms: int) -> Refused | None:
    if row.used_by is not None and row.used_by != node:
        return Refused("token-used", now_ms, detail=row.used_name or "", holder=row.used_by)
    if row.used_by is None and row.revoked_ms is not None:
        return Refused("token-revoked", now_ms)
    if row.used_by is None and now_ms > row.expires_ms:
        return Refused("token-expired", now_ms, detail=str(row.expires_ms))
    return None


def _repeat(wanted: AdmitRequest, row: TokenRow, now_ms: int) -> Repeat | Refused:
    answer = msgspec.msgpack.decode(row.answer or b"", type=Admitted)
    if public_of(answer.chain[0]) != wanted.tls_public:
        return Refused("token-used", now_ms, detail=row.used_name or "", holder=wanted.node)
    return Repeat(wanted, answer)


def _name_refusal(wanted: AdmitRequest, row: TokenRow, taken: Taken, now_ms: int) -> Refused | None:
    if not is_node_name(wanted.name):
        return Refused("bad-name", now_ms)
    if row.for_steward and len(wanted.steward_public) != 32:
        return Refused("steward-key-missing", now_ms)
    short = short_of(wanted.node)
    holder = taken(wanted.name, short)
    if holder is None or holder == wanted.node:
        return None
    if short_of(NodeId(holder)) == short:
        return Refused("id-taken", now_ms)
    return Refused("name-taken", now_ms, holder=holder, suggestion=_free_name(wanted.name, short, taken))


def _free_name(name: str, short: bytes, taken: Taken) -> str:
    for number in range(2, SUGGESTIONS_MAX):
        suffix = f"-{number}"
        candidate = name[: NAME_CHARS_MAX - len(suffix)].rstrip("-") + suffix
        if taken(candidate, short) is None:
            return candidate
    return ""


def issue(
    request: AdmitRequest, authority: Authority, own_authority: bytes, now_ms: int, serial: int, days: float
) -> Admitted:
    """The certificate that was asked for. `own_authority` is the joiner's, when its token makes stewards."""
    chain = authority.issue_leaf(request.node, request.name, request.tls_public, now_ms, serial, days)
    return Admitted(chain, own_authority)
