"""Holdings: each member says what it durably holds. That proves convergence, and acknowledges for collection."""

from dataclasses import dataclass, field

from crdt_state.document import Document
from crdt_state.item import Change
from crdt_state.kinds.holding import Holding
from crdt_state.kinds.holding import view as holding_view
from crdt_state.record import Record, RecordError, Register
from crdt_state.state import WorldState
from mesh.hybrid import ms_of
from mesh.ids import NodeId
from mesh.now import Now
from mesh.world_config import WorldConfig

FIRST_AFTER_S = (
    5.0  # after the start: by then peers have given back what we said last, if we have forgotten it
)
BUSY_TIMES = 6  # so many times longer apart while documents never stop changing: a report is some kilobytes
DOCUMENTS_MAX = 500  # in a report, which is a record; the oldest of each kind come first, to be collected


@dataclass(frozen=True, slots=True)
class Held:
    """What one member said last."""

    node: NodeId
    said_ms: int
    holding: Holding


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What every member that counts is known to hold of a document."""

    revision: int  # everything that we took up to here
    counted: tuple[NodeId, ...] = field(default=())


class Holdings:
    """Writes ours, reads the others'."""

    def __init__(self, state: WorldState, config: WorldConfig) -> None:
        self._state = state
        self._config = config
        self._said = b""
        self._seen = b""
        self._said_at = float("-inf")
        self._at = float("inf")
        self._at_latest = float("inf")
        self._turn = 0
        self._acked: dict[tuple[NodeId, str], int] = {}  # revisions, for each member and document
        self._read: dict[NodeId, tuple[Record, Held]] = {}  # reports as they were read last

    def start(self, now: Now) -> None:
        self._at = now.mono + FIRST_AFTER_S
        self._at_latest = self._at

    def tick(self, now: Now) -> None:
        """Say what we hold when that has changed, and now and then in any case."""
        if now.mono < self._at:
            return
        self._at = now.mono + self._config.holding_every_s
        fabric = self._state.fabric
        if fabric.halted or fabric.is_behind_disk:
            return  # what is not on the disk is not held
        digest = self._state.library.digests()[0]
        is_quiet, self._seen = digest == self._seen, digest
        is_rested = now.mono - self._said_at >= self._config.holding_every_s * BUSY_TIMES
        is_news = digest != self._said and (is_quiet or is_rested)
        if is_news or now.mono >= self._at_latest:
            self._said = digest
            self._said_at = now.mono
            self._at_latest = now.mono + self._config.holding_at_least_s
            self._say(now)

    def wake_at(self) -> float:
        return self._at

    def held(self, node: NodeId) -> Held | None:
        """The last that this member said, or None."""
        item = self._state.view.item("holding", node)
        record = item.facet().by_author.get(node) if item else None
        if item is None or record is None or record.is_deletion:
            return None
        known = self._read.get(node)
        if known is None or known[0] is not record:
            known = self._read[node] = record, Held(node, ms_of(record.time), holding_view(item, 0)[0])
        return known[1]

    def mark_at(self, node: NodeId, document: str) -> str:
        """The generation of a document that this member follows, by its own word; empty also when it did not say."""
        held = self.held(node)
        said = held.holding.docs.get(document) if held else None
        return said[0] if said else ""

    def forget(self, document: str) -> None:
        """This document has been dropped: one of that name begins anew, with revisions of its own."""
        for key in [key for key in self._acked if key[1] == document]:
            del self._acked[key]

    def acknowledged(self, document: Document, now: Now) -> Acknowledged:
        """Up to which of our revisions everybody who counts holds a document."""
        counted = self._counted(now)
        revision = document.revision
        for node in counted:
            revision = min(revision, self._acked_by(node, document))
        return Acknowledged(revision, (self._state.fabric.me, *counted))

    # -- inside

    def _say(self, now: Now) -> None:
        library = self._state.library
        held = (each for each in library.documents() if each.records and each.is_whole)
        shared = sorted(
            (each for each in held if not library.is_owned(each.name)), key=lambda each: each.name
        )
        first = (
            self._turn * DOCUMENTS_MAX % max(len(shared), 1)
        )  # more than fit take turns: what was said stays said
        self._turn += len(shared) > DOCUMENTS_MAX
        docs = {
            document.name: [document.mark.hex(), document.digest.hex(), len(document.records)]
            for document in [*shared[first:], *shared[:first]][:DOCUMENTS_MAX]
        }
        run = self._state.fabric.birth.incarnation
        body = {"docs": docs, "run": run, "at_ms": self._state.ms(now)}  # the date makes it one of its own
        try:
            self._state.write([Change(Register("holding", self._state.fabric.me), body)], now)
        except RecordError as error:
            self._state.fabric.count(error.reason)

    def _acked_by(self, node: NodeId, document: Document) -> int:
        key, held = (node, document.name), self.held(node)
        said = held.holding.docs.get(document.name) if held else None
        if said is not None:
            try:
                revision = document.revision_at(bytes.fromhex(said[1]))
            except ValueError:
                revision = None
            if revision is not None and revision > self._acked.get(key, 0):
                self._acked[key] = revision
        return self._acked.get(key, 0)

    def _counted(self, now: Now) -> list[NodeId]:
        """The other members whose acknowledgement is needed: heard within the absence, or admitted since.

        Less than half of the site counts everybody: it is rather cut off, or wrong about the date, than left alone.
        """
        roster, me = self._state.fabric.roster, self._state.fabric.me
        oldest_ms = self._state.ms(now) - self._config.absence_ms
        counted: list[NodeId] = []
        absent: list[NodeId] = []
        for node in roster.members():
            held, member = self.held(node), roster.member(node)
            heard_ms = held.said_ms if held else (member.not_before_ms if member else 0)
            has_left = roster.left_at(node) >= (held.holding.run if held else 0)
            if node != me and not has_left:
                (counted if heard_ms >= oldest_ms else absent).append(node)
        is_minority = (len(counted) + 1) * 2 < len(counted) + 1 + len(absent)
        return sorted([*counted, *absent]) if is_minority else counted
