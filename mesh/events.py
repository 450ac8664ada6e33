"""What a core is told (events, in the past tense) and what it asks for or reports (effects)."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from mesh.ids import NodeId
from mesh.wire import Endpoint, Report

HOSTED = 0
"""The link number of every link that a peer opened on our own broker. Links that we dial count from 1."""


class Traffic(IntEnum):
    """Classes of traffic, most urgent first."""

    CONTROL = 0
    ALARM = 1
    STATE = 2
    MEMORY = 3
    BULK = 4


class Source(StrEnum):
    """Where an endpoint was heard of."""

    MDNS = "mdns"
    SEED = "seed"
    GOSSIP = "gossip"
    BOOK = "book"
    GREETING = "greeting"
    SHARED = "shared"


# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Woke:
    """The time that the core asked for has come (or passed, or not quite: a stale wake is a no-op)."""


@dataclass(frozen=True, slots=True)
class EndpointFound:
    endpoint: Endpoint
    node: NodeId | None  # what the finder believes; the handshake decides
    source: Source


@dataclass(frozen=True, slots=True)
class EndpointLost:
    """mDNS no longer lists this node. A hint for the doctor, never a verdict."""

    node: NodeId
    source: Source


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A dial reached a broker whose certificate chains to our root and names `peer`."""

    link: int
    peer: NodeId


@dataclass(frozen=True, slots=True)
class DialFailed:
    """`reason` is one of: refused, timeout, no-route, wrong-root, certificate-expired, not-a-node, other."""

    link: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """A link that we had dialled ended, by whatever cause but our own Hangup."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """Bytes from `sender` (as the broker's access list proved it) over `link`; `door`: on the hello topic."""

    link: int
    sender: NodeId
    door: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class BrokerUp:
    """Our own broker answers; these are the endpoints at which others may try it."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class BrokerDown:
    """Our own broker does not answer; every hosted link is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class MemberAdmitted:
    """This node, a steward, has just issued this chain to the joiner with this identity key."""

    chain: tuple[bytes, ...]
    identity: bytes


@dataclass(frozen=True, slots=True)
class CastRequested:
    topic: str
    payload: bytes
    traffic: Traffic = Traffic.STATE


@dataclass(frozen=True, slots=True)
class RemovalRequested:
    node: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """The node is about to stop for good; it says so."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The process is about to end; the node will be back."""


@dataclass(frozen=True, slots=True)
class ExamRequested:
    """The doctor wants every linked peer's report."""

    token: int


@dataclass(frozen=True, slots=True)
class RenewalRequested:
    """Renew the certificate now instead of at two thirds of its life."""


@dataclass(frozen=True, slots=True)
class CertificateInstalled:
    """The driver has put a new chain into service."""

    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PersistFailed:
    """The last Persist did not reach the disk."""

    reason: str


@dataclass(frozen=True, slots=True)
class WriteRequested:
    """Write these registers of the world: kind, item, facet, and the body's MessagePack or None to delete.

    `seen`: for each of them the dots of the heads that the writer looked at; if others stand there now, it is refused.
    """

    token: int
    changes: tuple[tuple[str, str, str, bytes | None], ...]
    seen: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class TagsOffered:
    """Sources on this node have new values for its live frame: (tag, value, quality, source time in ms)."""

    values: tuple[tuple[str, bool | int | float | str | None, str, int], ...]
    gone: tuple[str, ...] = ()  # tags that there are no longer
    token: int = 0  # not 0: TagsTaken is wanted


@dataclass(frozen=True, slots=True)
class QuarantineDecided:
    """A person has looked at what was put aside: write these anew, or let them go."""

    keys: tuple[str, ...]
    is_merged: bool


@dataclass(frozen=True, slots=True)
class PersistResumed:
    """Everything that could not be made durable is on the disk now."""


Event = (
    Woke
    | EndpointFound
    | EndpointLost
    | LinkOpened
    | DialFailed
    | LinkClosed
    | FrameReceived
    | BrokerUp
    | BrokerDown
    | MemberAdmitted
    | CastRequested
    | RemovalRequested
    | LeaveRequested
    | StopRequested
    | ExamRequested
    | RenewalRequested
    | CertificateInstalled
    | PersistFailed
    | WriteRequested
    | TagsOffered
    | QuarantineDecided
    | PersistResumed
)


# ---------------------------------------------------------------- effects: what the driver must do, in order


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a session on the broker at `endpoint`; answer with LinkOpened or DialFailed within DIAL_TIMEOUT_S."""

    link: int
    endpoint: Endpoint
    expected: NodeId | None


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close this dialled link after what is queued on it; no LinkClosed is owed."""

    link: int


@dataclass(frozen=True, slots=True)
class Send:
    """To one peer over one link; `door`: on the hello topic."""

    peer: NodeId
    link: int
    traffic: Traffic
    data: bytes
    door: bool = False


@dataclass(frozen=True, slots=True)
class SendAll:
    """To all of these; the driver may serve every hosted one with a single publish on our own broker."""

    links: tuple[tuple[NodeId, int], ...]
    traffic: Traffic
    data: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One row of the node's store; `value` None deletes."""

    table: str
    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Persist:
    """Make these durable, all or none, before carrying out any later effect."""

    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class SetAccess:
    """Rewrite our broker's access list: `members` may link, `removed` may do nothing at all."""

    members: tuple[NodeId, ...]
    removed: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class InstallCertificate:
    """Put this chain into service for new handshakes without touching open links."""

    chain: tuple[bytes, ...]


# ---------------------------------------------------------------- effects: news for whoever listens


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """A peer's state as this node sees it is now `state` (a PeerState's value), and why."""

    node: NodeId
    name: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Isolated:
    """This node hears nobody."""


@dataclass(frozen=True, slots=True)
class Reunited:
    """This node hears somebody again."""

    peers: int


@dataclass(frozen=True, slots=True)
class CastDelivered:
    """A cast has arrived, once."""

    origin: NodeId
    incarnation: int
    sequence: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class IdentityCloned:
    """Another live process has the identity of `node`. If it is ours and we came later, we have stopped writing."""

    node: NodeId
    ours: bool
    halted: bool


HAS_LEFT = "this node has left the site"
"""The reason of a MembershipEnded that is of the node's own accord; any other reason is a removal."""


@dataclass(frozen=True, slots=True)
class MembershipEnded:
    """This node itself was removed from the site, or has left it."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClockDistrusted:
    """Our own clock is before the floor, or far from the peers': certificates are neither issued nor renewed."""

    offset_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class PeerReported:
    """One answer to ExamRequested."""

    report: Report


@dataclass(frozen=True, slots=True)
class Counted:
    """A named counter went up. `peer` is whose doing it was, or empty."""

    name: str
    peer: str = ""


@dataclass(frozen=True, slots=True)
class WriteDone:
    """A WriteRequested is durable: these are its dots. Never told of what is not on the disk."""

    token: int
    dots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """A WriteRequested was not carried out, no part of it; `reason` is a counter's name."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class TagsTaken:
    """A TagsOffered with this token was looked at; these tags found no room in the frame."""

    token: int
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordsChanged:
    """The view of these registers of one document has changed: (kind, item, facet)."""

    document: str
    registers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class WorldTrouble:
    """Something in the shared state needs to be known: `code` is a finding's name, `node` whose doing it is."""

    code: str
    document: str
    node: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClaimLost:
    """A task that this node had claimed belongs to another, who claimed it first while they were apart."""

    task: str
    owner: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ResyncBegun:
    """This node fetches from a peer what it lacks of a document, and why."""

    document: str
    peer: NodeId
    cause: str


News = (
    PeerChanged
    | Isolated
    | Reunited
    | CastDelivered
    | IdentityCloned
    | MembershipEnded
    | ClockDistrusted
    | PeerReported
    | WriteDone
    | WriteRefused
    | TagsTaken
    | RecordsChanged
    | WorldTrouble
    | ResyncBegun
    | ClaimLost
    | Counted
)
Effect = Dial | Hangup | Send | SendAll | Persist | SetAccess | InstallCertificate | News

DIAL_TIMEOUT_S = 1.0  # a SYN into a cut vanishes; a fresh one each second finds the healed path sooner
