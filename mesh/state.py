"""What the fabric's machines share on one node, and the one place where effects are gathered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

import msgspec

from mesh.batches import batches
from mesh.casts import Casts
from mesh.clock import ClockGuard
from mesh.dialling import Attempt, Dialling
from mesh.dialling import Config as DiallingConfig
from mesh.events import (
    Counted,
    Dial,
    Effect,
    Hangup,
    Persist,
    Send,
    SendAll,
    SetAccess,
    Traffic,
    Write,
)
from mesh.framing import Lanes
from mesh.greeting import Greeter
from mesh.hearing import Config as HearingConfig
from mesh.hearing import Hearing
from mesh.ids import NodeId
from mesh.links import Links
from mesh.membership import Membership
from mesh.now import Now
from mesh.peerbook import TABLE as ENDPOINT_TABLE
from mesh.peerbook import PeerBook
from mesh.roster import TABLE as ROSTER_TABLE
from mesh.roster import MemberEntry, Roster, encode_entry
from mesh.rows import Rows
from mesh.trust import Authority, Identity, Root
from mesh.wire import PEERS_MAX, Addresses, Card, Endpoint, Message, Row
from mesh.world_config import WorldConfig

ADDRESSES_BYTES_MAX = 100_000  # per message, well under a frame
ROW_VERSION_MAX = 2**62  # far beyond any that counts up from one
CLOCK_TABLE = "clock"
DOUBT_TABLE = "doubt"
"""A row here (key DOUBT_KEY) makes every birth one with doubts, until the core deletes it: it has dealt with them."""
DOUBT_KEY = "store"
FLOOR_DIGITS_MAX = 16  # milliseconds since 1970, with centuries to spare
STUCK_AFTER_S = 0.25  # a slow machine's handshake is through by then; what is not has met a cut


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """The knobs of the pure core; each part's own file says what breaks when one is turned."""

    hearing: HearingConfig = field(default_factory=HearingConfig)
    dialling: DiallingConfig = field(default_factory=DiallingConfig)
    full_mesh_max: int = 32  # docs/decisions says how it was measured
    overlay_degree: int = 12  # six rings: any five neighbours may fail at once and a node is still linked
    certificate_days: float = 30.0
    is_leaf: bool = False  # hosts no broker
    release: str = ""
    world: WorldConfig = field(default_factory=WorldConfig)


@dataclass(frozen=True, slots=True)
class Birth:
    """What makes this run of the node different from every other."""

    incarnation: int
    boot: int
    started_ms: int
    doubts: bool = False  # the store may have forgotten what this node wrote: see DOUBT_TABLE


@dataclass(frozen=True, slots=True)
class Keys:
    """A node's credentials, as read from its home."""

    identity: Identity
    root: Root
    chain: tuple[bytes, ...]
    tls_public: bytes
    authority: Authority | None = None


class FabricState:
    """The machines, wired together. Nothing here decides."""

    def __init__(
        self,
        config: CoreConfig,
        keys: Keys,
        birth: Birth,
        saved: Mapping[str, Mapping[str, bytes]],
        random: Random,
    ) -> None:
        self.config = config
        self.keys = keys
        self.birth = birth
        self.random = random
        self.me: NodeId = keys.identity.node
        self.chain = keys.chain
        self.own = keys.root.verify_chain(keys.chain)
        self.endpoints: tuple[Endpoint, ...] = ()
        self.broker_up = config.is_leaf  # a leaf has none that could be down
        self.is_behind_disk = False  # the disk refuses: what we know is not yet what we hold for sure
        self.halted = ""  # why this node takes no further part, or empty
        self.roster = Roster(keys.root, saved.get(ROSTER_TABLE))
        self.book = PeerBook(saved.get(ENDPOINT_TABLE))
        self.clock = ClockGuard(_floor(saved.get(CLOCK_TABLE, {}).get("floor", b"")))
        self.rows = Rows(self.me, self.roster.by_short)
        self.hearing = Hearing(config.hearing)
        self.membership = Membership(self.me, self.roster, self.hearing, self.rows)
        self.links = Links(self.me)
        self.lanes = Lanes(birth.boot)
        self.greeter = Greeter(keys.identity, keys.root)
        self.dialling = Dialling(config.dialling, self.me, random)
        self.casts = Casts(keys.identity, birth.incarnation)
        self.row = Row(self.me, birth.incarnation, 0, birth.boot, birth.started_ms, False, b"")
        self.releases: dict[NodeId, str] = {}  # what each greeted peer runs; members only
        self.twin = 0  # the boot of another process that has signed in our name
        self.paths_changed = True  # whom we hear, or somebody's row, has changed since the last look
        self._effects: list[Effect] = []

    # -- who we are

    def take_chain(self, chain: tuple[bytes, ...]) -> None:
        """A new certificate of ours is in service."""
        self.chain = chain
        self.own = self.keys.root.verify_chain(chain)

    def own_entry(self) -> bytes:
        return encode_entry(MemberEntry(self.chain, self.keys.identity.public))

    def card(self, now: Now) -> Card:
        birth = self.birth
        return Card(
            self.keys.root.site,
            self.me,
            birth.incarnation,
            birth.boot,
            birth.started_ms,
            self.keys.identity.public,
            self.chain,
            self.endpoints,
            self.config.release,
        )

    def sign_row(self, heard: bytes) -> None:
        """Put out a new version of our own row."""
        birth = self.birth
        unsigned = Row(
            self.me,
            birth.incarnation,
            self.row.version + 1,
            birth.boot,
            birth.started_ms,
            self.broker_up,
            heard,
            twin=self.twin,
        )
        self.row = msgspec.structs.replace(unsigned, signature=self.keys.identity.sign(unsigned.content()))
        self.rows.put(self.row)

    def answer_twin(self, row: Row) -> None:
        """Somebody else has signed this row in our name: our next one names it and, of one incarnation, is newer."""
        self.twin = row.boot
        if row.incarnation == self.birth.incarnation and row.version >= self.row.version:
            self.row = msgspec.structs.replace(self.row, version=min(row.version, ROW_VERSION_MAX))
        self.paths_changed = True

    # -- effects

    def add(self, effect: Effect) -> None:
        self._effects.append(effect)

    def take_effects(self) -> list[Effect]:
        taken, self._effects = self._effects, []
        return taken

    def count(self, name: str, peer: NodeId | str = "") -> None:
        self.add(Counted(name, peer))

    def persist(self, writes: Iterable[Write]) -> None:
        rows = tuple(writes)
        if rows:
            self.add(Persist(rows))

    def dial(self, attempt: Attempt, now: float) -> None:
        self.add(Dial(self.links.begin(attempt, now).link, attempt.endpoint, attempt.node))

    def hangup(self, link: int) -> None:
        self.add(Hangup(link))

    def send(self, peer: NodeId, *messages: Message, traffic: Traffic = Traffic.CONTROL) -> None:
        """To one linked peer, over the link in use; nothing when there is none."""
        link = self.links.best(peer)
        if link is not None:
            self.send_over(link, peer, *messages, traffic=traffic)

    def send_over(
        self,
        link: int,
        peer: NodeId,
        *messages: Message,
        traffic: Traffic = Traffic.CONTROL,
        door: bool = False,
    ) -> None:
        self.add(Send(peer, link, traffic, self.lanes.seal(peer, messages), door))

    def send_all(self, *messages: Message, traffic: Traffic = Traffic.CONTROL) -> None:
        routes = self.links.routes()
        if routes:
            self.add(SendAll(routes, traffic, self.lanes.seal_all(messages)))

    def send_others(self, but: NodeId | None, *messages: Message, traffic: Traffic = Traffic.CONTROL) -> None:
        """To every linked peer except the one from whom it came."""
        if but is None:
            self.send_all(*messages, traffic=traffic)
            return
        for peer, link in self.links.routes():
            if peer != but:
                self.send_over(link, peer, *messages, traffic=traffic)

    def send_addresses(self, peer: NodeId) -> None:
        """To a linked peer: where every other member was last proven to listen."""
        known = [(each, self.book.proven(each)) for each in self.roster.members()]
        addresses = tuple((each, found) for each, found in known if found and each != peer)
        for batch in batches(addresses, _endpoints_bytes, ADDRESSES_BYTES_MAX, PEERS_MAX):
            self.send(peer, Addresses(batch))

    def set_access(self, now: Now) -> None:
        """Let in whoever is a member with a certificate that is still good; shut out the removed."""
        if self.halted:
            self.add(SetAccess((), tuple(self.roster.removed())))
            return
        at_ms = self.clock.mesh_ms(now.wall_ms)
        doubted = self.clock.doubt(now.wall_ms) is not None
        members = []
        for node in self.roster.members():
            member = self.roster.member(node)
            assert member is not None
            if node != self.me and (doubted or member.not_after_ms >= at_ms):
                members.append(node)
        self.add(SetAccess(tuple(members), tuple(self.roster.removed())))

    def hurry(self, peer: NodeId, now: float) -> None:
        """There is news of this peer: dial it at once, and give up a dial that may be stuck in a healed cut."""
        for dialled in self.links.all_dialled():
            is_stuck = dialled.peer is None and now - dialled.begun >= STUCK_AFTER_S
            if dialled.attempt.node == peer and is_stuck:
                self.end_dialled(dialled.link, "given up for a fresh one", now)
                self.hangup(dialled.link)
        self.dialling.hurry(peer, now)

    def drop_peer(self, peer: NodeId, reason: str, now: float) -> None:
        """End every link with this peer, without ceremony."""
        for dialled in self.links.with_peer(peer):
            self.end_dialled(dialled.link, reason, now)
            self.hangup(dialled.link)
        self.links.unhost(peer)
        self.unhear(peer)

    def end_dialled(self, link: int, reason: str, now: float) -> None:
        """A dial or a dialled link is over; its target may be tried again."""
        dialled = self.links.end(link)
        if dialled is None:
            return
        self.dialling.failed(dialled.attempt, reason, now)

    def unhear(self, peer: NodeId) -> None:
        self.hearing.forget(peer)
        self.paths_changed = True

    def is_overlay(self) -> bool:
        return len(self.membership.here()) + 1 > self.config.full_mesh_max


def _endpoints_bytes(address: tuple[NodeId, tuple[Endpoint, ...]]) -> int:
    return 40 + sum(len(each.host) + 8 for each in address[1])


def _floor(saved: bytes) -> int:
    """The saved floor; what is damaged counts as none."""
    return int(saved) if saved.isdigit() and len(saved) <= FLOOR_DIGITS_MAX else 0
