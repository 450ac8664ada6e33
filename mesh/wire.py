"""Every byte that crosses a link, as frozen tagged structs, and the one codec for them.

A frame is one format byte and a MessagePack array: boot, lane, sequence, messages. Structs are arrays whose
trailing fields may be missing (an older sender) or too many (a newer one); a message type that this node does
not know is skipped and counted, the rest of its frame is used.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from mesh.ranges import RANGES_MAX, Range

FRAME_FORMAT = 1  # the first byte of every frame; what comes after it may grow without changing it
VERSION = 1  # what this code speaks; a greeting settles on the highest that both sides know
VERSION_OLDEST = 1
FRAME_BYTES_MAX = 262_144  # a broker's packet limit too; larger things are chunked by their own protocol
MESSAGES_MAX = 256  # per frame
PEERS_MAX = 4096  # per list that names peers; a site is hundreds of nodes
TOPIC_CHARS_MAX = 120  # of a cast
ENDPOINTS_MAX = 16  # per node: interfaces times ports
REPLICAS_MAX = 4096  # per summary: two for each of some hundreds of nodes, and one for each kind and day
HAVE_BYTES_MAX = 65_536  # a state vector of six thousand pens
PART_BYTES_MAX = 120_000  # per slice of a delta, under a frame
LOOSE_MAX = 2_048  # records asked for, or given, one by one in one message

Id = Annotated[str, Meta(max_length=32)]
Key32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(max_length=64)]
Nonce = Annotated[bytes, Meta(min_length=16, max_length=16)]
Certificate = Annotated[bytes, Meta(max_length=4096)]
Chain = Annotated[tuple[Certificate, ...], Meta(max_length=3)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, Meta(max_length=400)]
Blob = Annotated[bytes, Meta(max_length=FRAME_BYTES_MAX)]


class WireError(Exception):
    """The bytes are no frame of ours; `reason` is a counter's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Endpoint(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where a broker may be listening. It proves nothing about who answers there."""

    host: Annotated[str, Meta(max_length=255)]
    port: Annotated[int, Meta(ge=0, le=65535)]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Endpoints = Annotated[tuple[Endpoint, ...], Meta(max_length=ENDPOINTS_MAX)]


class Card(msgspec.Struct, frozen=True, array_like=True):
    """Who a node says it is; proven by the signature of the greeting that carries it."""

    site: Id
    node: Id
    incarnation: Count
    boot: Count  # drawn anew at each start: tells two processes with one identity apart
    started_ms: Count
    identity: Key32
    chain: Chain
    endpoints: Endpoints = ()
    release: Annotated[str, Meta(max_length=40)] = ""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The dialler opens a link."""

    version_oldest: int
    version_newest: int
    nonce: Nonce
    card: Card


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The host answers; the signature covers the hello and this."""

    version: int
    echo: Nonce
    nonce: Nonce
    card: Card
    signature: Signature


class Confirm(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The dialler proves itself; the signature covers hello and welcome."""

    echo: Nonce
    signature: Signature


class Row(msgspec.Struct, frozen=True, array_like=True):
    """Whom a node hears, signed by it. The rows of a site together tell who can be reached from where."""

    node: Id
    incarnation: Count
    version: Count
    boot: Count
    started_ms: Count
    broker_up: bool
    heard: Annotated[bytes, Meta(max_length=PEERS_MAX * 4)]  # short names, sorted, four bytes each
    signature: Signature = b""
    twin: Count = 0  # another process's boot that has signed in this node's name: named, so that it knows

    def content(self) -> bytes:
        return b"fieldmesh row\0" + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))


class Refuse(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A greeting or a frame that leads nowhere, and why."""

    code: Annotated[str, Meta(max_length=40)]
    detail: Text = ""
    evidence: Annotated[
        tuple[Row, ...], Meta(max_length=4)
    ] = ()  # identity-cloned: a row the other one signed
    removals: Annotated[tuple[Blob, ...], Meta(max_length=4)] = ()  # removed: the steward's record


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """I am here, and this is what I hold; with whom I hear, when that is new."""

    row: Row | None  # left out while it has stood for a while: the digest covers it
    roster_digest: Annotated[bytes, Meta(max_length=8)]
    rows_digest: Annotated[bytes, Meta(max_length=8)]


class Probe(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Answer at once. Measures the path and the clocks."""

    token: Count


class ProbeReply(msgspec.Struct, frozen=True, array_like=True, tag=7):
    token: Count
    wall_ms: Count


class Rows(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Rows of others, passed on as they were signed."""

    rows: Annotated[tuple[Row, ...], Meta(max_length=PEERS_MAX)]


class RowsWanted(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """What I hold, by node: send what is newer."""

    versions: Annotated[tuple[tuple[Id, Count, Count], ...], Meta(max_length=PEERS_MAX)]


class RosterWanted(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Hashes of the roster entries I hold: send what I lack."""

    have: Annotated[bytes, Meta(max_length=PEERS_MAX * 16)]  # members, removals and departures


class RosterEntries(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Roster entries, each proving itself."""

    entries: Annotated[tuple[Blob, ...], Meta(max_length=PEERS_MAX)]


class Addresses(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Where I have reached others: gossip, worth a try."""

    addresses: Annotated[tuple[tuple[Id, Endpoints], ...], Meta(max_length=PEERS_MAX)]


class Renew(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """To a steward: my certificate is getting old; here is the key for the next."""

    tls_public: Key32


class Renewed(msgspec.Struct, frozen=True, array_like=True, tag=14):
    chain: Chain


class RenewRefused(msgspec.Struct, frozen=True, array_like=True, tag=15):
    reason: Text


class Bye(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """This link closes on purpose."""

    reason: Text


class Cast(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """Something for everybody, with its origin's signature so that anybody may carry it."""

    origin: Id
    incarnation: Count
    sequence: Count
    topic: Annotated[str, Meta(max_length=TOPIC_CHARS_MAX)]
    payload: Blob
    signature: Signature = b""
    hops: Annotated[int, Meta(ge=0, le=32)] = 0  # not signed: each carrier raises it

    def content(self) -> bytes:
        return b"fieldmesh cast\0" + msgspec.msgpack.encode(
            (self.origin, self.incarnation, self.sequence, self.topic, self.payload)
        )


class CastsHeld(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """Which casts I still hold: (origin, incarnation, first, last), ranges inclusive."""

    ranges: Annotated[tuple[tuple[Id, Count, Count, Count], ...], Meta(max_length=PEERS_MAX)]


class CastsWanted(msgspec.Struct, frozen=True, array_like=True, tag=19):
    ranges: Annotated[tuple[tuple[Id, Count, Count, Count], ...], Meta(max_length=PEERS_MAX)]


class Prune(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """I had that cast already: from now on tell me what you hold instead of sending it at once."""


class Inquiry(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """The doctor asks how things look from there."""

    token: Count


class PathNote(msgspec.Struct, frozen=True, array_like=True):
    """How one peer looks from the reporter."""

    node: Id
    state: Annotated[str, Meta(max_length=20)]
    heard: bool
    seen_by_mdns: bool
    last_error: Text


class Report(msgspec.Struct, frozen=True, array_like=True, tag=22):
    token: Count
    node: Id
    broker_up: bool
    wall_ms: Count
    paths: Annotated[tuple[PathNote, ...], Meta(max_length=PEERS_MAX)]


Name = Annotated[str, Meta(min_length=1, max_length=80)]
Mark = Annotated[bytes, Meta(max_length=16)]
Digest = Annotated[bytes, Meta(max_length=16)]
Cause = Annotated[str, Meta(max_length=20)]


class Told(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """Digests of all the replicas I hold, by class: say what you hold if yours differ."""

    digests: Annotated[tuple[Digest, ...], Meta(max_length=8)]
    cause: Cause


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One replica of the sender's, in a few bytes."""

    name: Name
    mark: Mark  # its generation
    digest: Digest
    settled: bool = True  # its form agrees with its content: unequal content with equal heads is then a fault


class Summaries(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """What I hold, of those classes in which we differ."""

    entries: Annotated[tuple[Entry, ...], Meta(max_length=REPLICAS_MAX)]
    cause: Cause


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """Send me, from `offset` on, what a replica with this summary lacks."""

    name: Name
    mark: Mark
    have: Annotated[bytes, Meta(max_length=HAVE_BYTES_MAX)]
    digest: Digest
    offset: Count
    cause: Cause
    settled: bool = True  # my form agrees with my content: equal heads with another digest are then a fault


class Part(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """A slice of a delta, in its sender's signed envelope."""

    name: Name
    mark: Mark
    answering: Digest  # hash of the summary that it was made for
    offset: Count
    total: Count
    data: Annotated[bytes, Meta(max_length=PART_BYTES_MAX)]
    signature: Signature = b""

    def content(self) -> bytes:
        return b"fieldmesh part\0" + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))


class Busy(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """I serve as many as I can: ask again after this. 0: I do not have it, ask somebody else."""

    name: Name
    retry_ms: Count


class Push(msgspec.Struct, frozen=True, array_like=True, tag=28):
    """What one pen has just written, in its sender's signed envelope. It fits onto the pen's clock at `start`."""

    name: Name
    mark: Mark
    pen: Count
    start: Count
    stop: Count
    updates: Annotated[tuple[Blob, ...], Meta(max_length=1024)]
    signature: Signature = b""

    def content(self) -> bytes:
        return b"fieldmesh push\0" + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))


class Ranges(msgspec.Struct, frozen=True, array_like=True, tag=29):
    """Fingerprints of ranges of my record ids: where do we differ?"""

    name: Name
    mark: Mark
    ranges: Annotated[tuple[Range, ...], Meta(max_length=RANGES_MAX)]


class RecordsWanted(msgspec.Struct, frozen=True, array_like=True, tag=30):
    """Send me these records one by one."""

    name: Name
    mark: Mark
    keys: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=LOOSE_MAX)]


class Records(msgspec.Struct, frozen=True, array_like=True, tag=31):
    """Single records, each with its author's signature, in their sender's envelope."""

    name: Name
    mark: Mark
    blobs: Annotated[tuple[Blob, ...], Meta(max_length=LOOSE_MAX)]
    signature: Signature = b""

    def content(self) -> bytes:
        return b"fieldmesh records\0" + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))


Message = (
    Hello
    | Welcome
    | Confirm
    | Refuse
    | Beat
    | Probe
    | ProbeReply
    | Rows
    | RowsWanted
    | RosterWanted
    | RosterEntries
    | Addresses
    | Renew
    | Renewed
    | RenewRefused
    | Bye
    | Cast
    | CastsHeld
    | CastsWanted
    | Prune
    | Inquiry
    | Report
    | Told
    | Summaries
    | Wanted
    | Part
    | Busy
    | Push
    | Ranges
    | RecordsWanted
    | Records
)


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """What one publish carries."""

    boot: Count
    lane: Annotated[int, Meta(ge=0, le=1)]  # LANE_LINK counts per link, LANE_ALL over what all are sent
    sequence: Count
    messages: Annotated[tuple[Message, ...], Meta(max_length=MESSAGES_MAX)]


class _RawFrame(msgspec.Struct, frozen=True, array_like=True):
    boot: Count
    lane: Annotated[int, Meta(ge=0, le=1)]
    sequence: Count
    messages: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MESSAGES_MAX)]


LANE_LINK, LANE_ALL = 0, 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)
_raw_decoder = msgspec.msgpack.Decoder(_RawFrame)
_message_decoder = msgspec.msgpack.Decoder(Message)


def encode(frame: Frame) -> bytes:
    data = bytes((FRAME_FORMAT,)) + _encoder.encode(frame)
    assert len(data) <= FRAME_BYTES_MAX, f"a frame of {len(data)} bytes"
    return data


def decode(data: bytes) -> tuple[Frame, int]:
    """The frame and how many of its messages were skipped as not understood, or WireError."""
    if len(data) > FRAME_BYTES_MAX:
        raise WireError("frame-oversized")
    if len(data) < 2:
        raise WireError("frame-truncated")
    if data[0] != FRAME_FORMAT:
        raise WireError("frame-version")
    body = memoryview(data)[1:]
    try:
        return _decoder.decode(body), 0
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _decode_each(body)


def _decode_each(body: memoryview) -> tuple[Frame, int]:
    try:
        raw = _raw_decoder.decode(body)
    except msgspec.ValidationError:
        raise WireError("frame-shape") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireError("frame-truncated" if "truncated" in str(error) else "frame-malformed") from None
    messages = []
    for part in raw.messages:
        try:
            messages.append(_message_decoder.decode(part))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
    return Frame(raw.boot, raw.lane, raw.sequence, tuple(messages)), len(raw.messages) - len(messages)
