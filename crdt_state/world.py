"""The world on one node: every shared document, behind the calls that anti-entropy, people and agents use."""

from collections.abc import Mapping, Sequence

from crdt_state.budget import Budget
from crdt_state.document import DIGEST_BYTES, PEN_TAKEN, Document, Merged, Stroke
from crdt_state.evidence_watch import EvidenceWatch, Pair
from crdt_state.generations import Fetching
from crdt_state.item import Change
from crdt_state.kind import Kinds
from crdt_state.manners import Manners
from crdt_state.mending import Mending
from crdt_state.proof import DocumentProof, verify
from crdt_state.quarantine import Quarantine
from crdt_state.record import RecordError, Register
from crdt_state.state import DOCUMENT_BYTES_MAX, WorldState, blobs_of, body_of
from crdt_state.update import UpdateError, read_update
from crdt_state.upkeep import Upkeep
from mesh.events import QuarantineDecided, WriteDone, WriteRefused, WriteRequested
from mesh.exchange import Exchange
from mesh.ids import NodeId
from mesh.now import Now
from mesh.ranges import Fingerprints
from mesh.replicas import Fresh
from mesh.state import FabricState
from mesh.wire import Entry

TAKEN_BYTES_MAX = 2 * DOCUMENT_BYTES_MAX  # what several authors may fill before none of it is taken any more
DIVERGED_AFTER_S = 2.0  # equal heads, other content: for less, it is a record that was on its way
DIVERGED_FORGET_S = 15.0  # since it was last seen: reconciliation is tried at least as often as that

NOTHING = bytes(DIGEST_BYTES)  # the digest of no records
EMPTY = b"\0"  # the state vector of a document without anything


class World:
    """Implements `mesh.replicas.Shelf`; owns the exchange that keeps it equal to the peers', and the upkeep."""

    def __init__(self, fabric: FabricState, kinds: Kinds, saved: Mapping[str, Mapping[str, bytes]]) -> None:
        self.state = WorldState(fabric, kinds, saved)
        self.exchange = Exchange(fabric, self)
        self.upkeep = Upkeep(
            self.state, saved, Fetching(self._want, self.exchange.is_fetching), self._findings
        )
        self._fabric = fabric
        self._mending = Mending(self.state, self._is_awaited)
        self._evidence = EvidenceWatch(self.state)
        self._manners = Manners()
        self._diverged: dict[tuple[str, NodeId], tuple[float, float]] = {}  # seen first, and last
        self._now = float("-inf")

    # -- life

    def start(self, now: Now) -> None:
        self.state.show_all(now)
        self._mending.start(now)
        self.upkeep.start(now)
        self._evidence.start(now)
        self.state.save_rows()

    def stop(self) -> None:
        """Save what would otherwise have to be fetched again."""
        self._mending.stop()

    def settle(self, now: Now) -> None:
        """After every event: what has changed is on its way to the disk before anybody is told of it."""
        self._mending.look_at_roster(now)
        changed = self.state.take_changes()
        for registers in changed.values():
            self.upkeep.changed(registers, now)
            self._evidence.changed(registers, now)
        self.state.save_rows()
        self.state.tell_changes(changed)
        self.exchange.flush(now)

    def tick(self, now: Now) -> None:
        self._now = now.mono
        self._mending.tick(now)
        self.upkeep.tick(now)
        self.exchange.tick(now)

    def wake_at(self) -> float:
        return min(self._mending.wake_at(), self.upkeep.wake_at(), self.exchange.wake_at())

    # -- reading

    @property
    def quarantine(self) -> Quarantine:
        return self.upkeep.quarantine

    def verify(self, now: Now) -> list[DocumentProof]:
        """What every member holds of each document, against what we hold."""
        self._now = now.mono
        return verify(self.state, self.upkeep.holdings, self._diverged_now())

    def budget(self, now: Now) -> Budget:
        """What the documents weigh, who makes them grow, and when they will be full."""
        return self.upkeep.growth.budget(now)

    def equivocators(self) -> dict[NodeId, Pair]:
        """Authors who have signed two contents under one dot, with the proof."""
        return self._evidence.equivocators()

    def ignored(self, now: Now) -> list[NodeId]:
        """Peers that keep sending what no honest node sends, and are not listened to at the moment."""
        return self._manners.ignored(now.mono)

    # -- writing

    def request(self, request: WriteRequested, now: Now) -> None:
        """Write all of these, or nothing."""
        if self._fabric.halted:
            self._fabric.add(WriteRefused(request.token, "write-halted"))
            return
        try:
            changes = [
                Change(Register(kind, item, facet), body_of(data))
                for kind, item, facet, data in request.changes
            ]
            self._check_seen(changes, request.seen)
            records = self.state.write(changes, now)
        except RecordError as error:
            self._fabric.add(WriteRefused(request.token, error.reason))
            return
        self.exchange.flush(
            now
        )  # signed, and under a number that no other run of ours gives again: it may go ahead
        self.state.save_rows()
        self._fabric.add(WriteDone(request.token, tuple(str(record.dot) for record in records)))

    def _check_seen(self, changes: list[Change], seen: tuple[tuple[str, ...], ...] | None) -> None:
        """RecordError when somebody has written what the writer had not looked at yet."""
        for change, dots in zip(changes, seen or (), strict=False):
            if self.heads_at(change.register) != dots:
                raise RecordError("write-overtaken")

    def heads_at(self, register: Register) -> tuple[str, ...]:
        """The dots of a register's heads; of what everybody observes for himself, ours."""
        versions = self.state.view.versions(register)
        if self.state.kinds.get(register.kind).each_observes:
            mine = versions.by_author.get(self._fabric.me)
            return (str(mine.dot),) if mine else ()
        return tuple(str(head.dot) for head in versions.heads())

    def decide(self, decided: QuarantineDecided, now: Now) -> None:
        """What a person has decided on what was put aside."""
        self.quarantine.decide(decided.keys, decided.is_merged, now)

    # -- the shelf

    def digests(self) -> tuple[bytes, ...]:
        return self.state.library.digests()

    def entries(self, theirs: Sequence[bytes]) -> tuple[Entry, ...]:
        library, ours = self.state.library, self.digests()
        differing = [index >= len(theirs) or theirs[index] != ours[index] for index in range(len(ours))]
        names = (name for name in library.names() if differing[library.is_owned(name)])
        entries = (self.entry(name) for name in names)
        return tuple(entry for entry in entries if entry is not None)

    def entry(self, name: str) -> Entry | None:
        document = self.state.library.get(name)
        if document is None:  # of a known generation, it can be fetched
            mark = self.state.library.birth_of(name).mark
            return Entry(name, mark, NOTHING, True) if mark else None
        return Entry(name, document.mark, document.digest, document.is_whole and not document.astray)

    def summary(self, name: str, mark: bytes) -> bytes | None:
        library = self.state.library
        document = library.get(name)
        if document is None:  # opened when there is something to put into it: peers may name what they like
            return EMPTY if library.may_open(name, mark) else None
        return document.summary() if document.mark == mark else None

    def delta_since(self, name: str, mark: bytes, have: bytes) -> bytes | None:
        document = self._whole(name, mark)
        if document is None:
            return None
        try:
            return document.delta_since(have)
        except ValueError:
            return None

    def lacks(self, name: str, mark: bytes, have: bytes) -> bool:
        document = self._document(name, mark)
        return document is not None and document.lacks(have)

    def has_fresh(self) -> bool:
        return self.state.library.has_drawn()

    def take_fresh(self) -> list[Fresh]:
        fresh = []
        for document in self.state.library.take_drawn():
            stroke = document.take_stroke()
            if stroke is not None:
                fresh.append(
                    Fresh(document.name, document.mark, stroke.pen, stroke.start, stroke.stop, stroke.updates)
                )
        return fresh

    def fits(self, name: str, mark: bytes, pen: int, start: int, stop: int) -> str:
        document = self.state.library.get(name)
        if document is None and self.state.library.may_open(name, mark):
            return "gap" if start else "next"
        if document is None or document.mark != mark:
            return "other"
        return document.fits(Stroke(pen, start, stop, ()))

    def listens_to(self, peer: NodeId, now: Now) -> bool:
        return not self._manners.is_ignored(peer, now.mono)

    def merge(
        self,
        sender: NodeId,
        name: str,
        mark: bytes,
        updates: Sequence[bytes],
        now: Now,
        pushed_by: int | None = None,
    ) -> bool:
        library, is_pushed = self.state.library, pushed_by is not None
        document = self._document(name, mark)
        if document is None and library.may_open(name, mark):
            document = library.open(name)
        if document is None or not self.listens_to(sender, now):
            return False
        if document.bytes_held > TAKEN_BYTES_MAX or not _is_by(updates, pushed_by):
            self._fabric.count(
                "document-full" if document.bytes_held > TAKEN_BYTES_MAX else "delta-foreign", sender
            )
            return False
        merged = self.state.merge(document, sender, updates, now)
        self._took(document, sender, merged, now, is_pushed)
        if not document.records and not document.mark:
            library.close(name)
        return merged.is_changed and not merged.refused

    def fetched(self, sender: NodeId, name: str, now: Now) -> None:
        document = self.state.library.get(name)
        if document is None or document.is_whole or self.upkeep.generations.fetched(document, now):
            return
        document.is_whole = True
        document.find_astray()

    def fingerprints(self, name: str, mark: bytes) -> Fingerprints | None:
        document = self._whole(name, mark)
        if document is None:
            return None
        return Fingerprints((key, record.hash) for key, record in document.records.items())

    def diverged(self, sender: NodeId, name: str, now: Now) -> None:
        document = self.state.library.get(name)
        if document is None or document.astray or not document.records:
            return  # our own form lags behind what we hold: no fault
        was = self._diverged_now()
        first, _ = self._diverged.get((name, sender), (now.mono, 0.0))
        self._diverged[name, sender] = (first, now.mono)
        if (name, sender) in self._diverged_now() - was:
            peer = self._fabric.roster.name(sender)
            self.state.trouble("document-diverged", name, sender, f"equal heads, other content than {peer}")

    def records(self, name: str, mark: bytes, keys: Sequence[str]) -> list[bytes]:
        document = self._whole(name, mark)
        return blobs_of(document, keys) if document else []

    def take_loose(self, sender: NodeId, name: str, mark: bytes, blobs: Sequence[bytes], now: Now) -> None:
        document = self._whole(name, mark)
        if document is None or not self.listens_to(sender, now):
            return
        for blob in blobs:
            self._took(document, sender, self.state.take_loose(document, sender, blob, now), now)
        self.state.save_rows()

    # -- inside

    def _document(self, name: str, mark: bytes) -> Document | None:
        document = self.state.library.get(name)
        return document if document is not None and document.mark == mark else None

    def _whole(self, name: str, mark: bytes) -> Document | None:
        """None also while its content is fetched: what we hold beside that may be gone, and is nobody's business."""
        document = self._document(name, mark)
        return document if document is not None and document.is_whole else None

    def _took(
        self, document: Document, sender: NodeId, merged: Merged, now: Now, is_pushed: bool = False
    ) -> None:
        self.state.save_rows()
        if "record-stranger" in merged.refused:
            self._mending.strange(document)
        if "record-rolled-back" in merged.refused:
            self._mending.rolled_back(document)
        if PEN_TAKEN in merged.refused:
            document.restart(document.mark, self.state.library.new_pen(), document.state())
        for first, second in merged.equivocal:
            self._evidence.met(first, second, now)
        if self._manners.blames(sender, merged.refused, now.mono, is_pushed):
            self._fabric.count("sender-ignored", sender)

    def _want(self, name: str) -> None:
        """Fetch a document from whoever is here, one of them."""
        peers = self._fabric.links.peers()
        if peers:
            self.exchange.want(peers[int(self._fabric.random.random() * len(peers))], name, "generation")

    def _is_awaited(self, name: str) -> bool:
        return self.exchange.is_fetching(name) or self.upkeep.generations.is_following(name)

    def _diverged_now(self) -> set[tuple[str, NodeId]]:
        return {
            key
            for key, (first, last) in self._diverged.items()
            if last - first >= DIVERGED_AFTER_S and self._now - last < DIVERGED_FORGET_S
        }

    def _findings(self) -> dict[str, str]:
        """What is wrong with the shared state at this moment, for alarms."""
        for key, (_, last) in list(self._diverged.items()):
            if self._now - last >= DIVERGED_FORGET_S:
                del self._diverged[key]
        findings: dict[str, str] = {}
        names = sorted({name for name, _ in self._diverged_now()})
        if names:
            findings["document-diverged"] = f"being repaired: {', '.join(names)}"
        roster = self._fabric.roster
        liars = sorted(roster.name(node) for node in self.equivocators() if not roster.is_removed(node))
        if liars:
            findings["author-equivocates"] = f"two contents under one number, signed by {', '.join(liars)}"
        return findings


def _is_by(updates: Sequence[bytes], pen: int | None) -> bool:
    """Whether these were drawn by this pen alone; None: by any. What cannot be read is refused later, by name."""
    try:
        return pen is None or all(set(read_update(each).stops) <= {pen} for each in updates)
    except UpdateError:
        return True
