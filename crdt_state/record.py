"""Records: signed values with an author, a place in that author's sequence, and a hybrid time.

A blob is a MessagePack pair: the content's own bytes and the signature over exactly those. Nothing is encoded
again to be checked, so a field that this node does not know costs no signature.
"""

import hashlib
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from mesh.hybrid import FUTURE_MS, ms_of
from mesh.ids import NodeId
from mesh.trust import Identity, verify
from mesh.wire import Count, Id, Signature

RECORD_BYTES_MAX = 65_536  # a frame of a thousand tags is half of it; a document's delta stays in few parts
BODY_DEPTH_MAX = 16  # what people write by hand nests four deep
OVER_MAX = 256  # versions in one register: as many as a site has writers of one thing
ITEM_CHARS_MAX = 300  # a UNS path of six levels with generous names
KEY_CHARS = 16
SHARED_MAX = 8192  # names of nodes and kinds, and runs, that are kept once

_CONTEXT = b"fieldmesh record\0"

Body = dict[str, Any]


class Dot(NamedTuple):
    """One write, for ever: its author, the author's run (incarnation), its number within that run."""

    author: NodeId
    run: int
    seq: int

    def __str__(self) -> str:
        return f"{self.author}.{self.run}.{self.seq}"


class Register(NamedTuple):
    """What a record is a version of."""

    kind: str
    item: str
    facet: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.item}" + (f" ({self.facet})" if self.facet else "")


class RecordError(Exception):
    """A blob is no record that may be taken; `reason` is a counter's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_Run = tuple[Id, Count, Count]


class _Content(msgspec.Struct, frozen=True, array_like=True):
    kind: Annotated[str, Meta(min_length=1, max_length=24)]
    item: Annotated[str, Meta(min_length=1, max_length=ITEM_CHARS_MAX)]
    facet: Annotated[str, Meta(max_length=24)]
    author: Id
    run: Count
    seq: Count
    time: Count
    over: Annotated[tuple[_Run, ...], Meta(max_length=OVER_MAX)]
    body: bytes | None  # MessagePack of a map with text keys; None: deleted


class _Blob(msgspec.Struct, frozen=True, array_like=True):
    content: bytes
    signature: Signature


class Record:
    """A decoded record. Equal when every signed byte is."""

    __slots__ = ("_key", "blob", "body_bytes", "dot", "hash", "over", "register", "signature", "time")

    def __init__(self, blob: bytes, signature: bytes, content: _Content) -> None:
        self.blob = blob
        self.signature = signature
        self.register = Register(_shared(content.kind), content.item, _shared(content.facet))
        self.dot = _dot(content.author, content.run, content.seq)
        self.time = content.time
        self.over = tuple(_dot(*each) for each in content.over)
        self.body_bytes = content.body
        self.hash = int.from_bytes(hashlib.blake2b(blob, digest_size=16).digest(), "big")
        self._key = ""

    @property
    def author(self) -> NodeId:
        return self.dot.author

    @property
    def is_deletion(self) -> bool:
        return self.body_bytes is None

    @property
    def body(self) -> Body:
        """The value, read anew each time: kept, it would take more memory than all the rest. Empty for a deletion."""
        return {} if self.body_bytes is None else msgspec.msgpack.decode(self.body_bytes)

    @property
    def content(self) -> bytes:
        """What was signed."""
        return _decode_blob(self.blob).content

    @property
    def key(self) -> str:
        """Where it lies in its document."""
        if not self._key:
            self._key = key_of(self.register, self.author)
        return self._key

    def is_over(self, dot: Dot) -> bool:
        """Whether the author had seen that version, or a later one by its author, in this register."""
        return any(mine.author == dot.author and mine[1:] >= dot[1:] for mine in self.over)

    def replaces(self, other: "Record") -> bool:
        """Whether it stands in that version's place. Of two that claim so of each other, the later one does.

        A version dated much later cannot have been seen: who says so claims what has yet to be written.
        """
        if not self.is_over(other.dot) or ms_of(other.time) > ms_of(self.time) + FUTURE_MS:
            return False
        return not other.is_over(self.dot) or (self.time, self.author) > (other.time, other.author)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.blob == other.blob

    def __hash__(self) -> int:
        return self.hash  # Python shortens it

    def __repr__(self) -> str:
        return f"<{self.register} by {self.dot}>"


_Shared = TypeVar("_Shared", str, int)


@lru_cache(maxsize=SHARED_MAX)
def _shared(value: _Shared) -> _Shared:
    """One object for all that are equal: a hundred thousand records name the same few authors and runs."""
    return value


def _dot(author: str, run: int, seq: int) -> Dot:
    return Dot(NodeId(_shared(author)), _shared(run), seq)


_decode_blob = msgspec.msgpack.Decoder(_Blob).decode
_decode_content = msgspec.msgpack.Decoder(_Content).decode
_encode = msgspec.msgpack.Encoder().encode


def make_record(
    identity: Identity,
    register: Register,
    run: int,
    seq: int,
    time: int,
    over: tuple[Dot, ...],
    body: Body | None,
) -> Record:
    """Sign a new version. RecordError when it would be refused everywhere."""
    raw = None if body is None else encode_body(body)
    try:
        content = _Content(*register, identity.node, run, seq, time, tuple(map(tuple, over)), raw)  # type: ignore[arg-type]  # a Dot is the triple that the wire has
        data = _encode(content)
    except (TypeError, OverflowError):
        raise RecordError("record-malformed") from None
    signature = identity.sign(_CONTEXT + data)
    blob = _encode(_Blob(data, signature))
    if len(blob) > RECORD_BYTES_MAX:
        raise RecordError("record-oversized")
    return decode_record(blob)


def decode_record(blob: bytes) -> Record:
    """A record whose shape is right; its signature is not yet checked. RecordError otherwise."""
    if len(blob) > RECORD_BYTES_MAX:
        raise RecordError("record-oversized")
    try:
        outer = _decode_blob(blob)
        content = _decode_content(outer.content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RecordError("record-malformed") from None
    if _encode(outer) != blob:  # the signature does not cover how the pair is spelt: there is one spelling
        raise RecordError("record-malformed")
    return Record(bytes(blob), outer.signature, content)


def check_record(record: Record, identity: bytes) -> None:
    """RecordError unless `identity` signed exactly this, and its body can be read."""
    if not verify(identity, record.signature, _CONTEXT + record.content):
        raise RecordError("record-forged")
    raw = record.body_bytes
    if raw is None:
        return
    try:
        body = msgspec.msgpack.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RecordError("record-malformed") from None
    if not _is_shallow(body, BODY_DEPTH_MAX):
        raise RecordError("record-malformed")


def encode_body(body: Body) -> bytes:
    """RecordError when a body holds what cannot travel."""
    try:
        return _encode(body)
    except (TypeError, OverflowError, RecursionError, UnicodeEncodeError):
        raise RecordError("record-malformed") from None


def key_of(register: Register, author: NodeId) -> str:
    """Where this author's version of a register lies in its document."""
    name = "\0".join((*register, author)).encode()
    return urlsafe_b64encode(hashlib.blake2b(name, digest_size=12).digest()).decode()


def _is_shallow(value: object, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_shallow(each, depth - 1) for key, each in value.items())
    if isinstance(value, list):
        return all(_is_shallow(each, depth - 1) for each in value)
    return not isinstance(value, msgspec.msgpack.Ext)
