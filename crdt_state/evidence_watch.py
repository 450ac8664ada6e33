"""Equivocation: one author, one dot, two contents. Whoever meets both publishes them; everybody judges for itself."""

import hashlib
from collections.abc import Iterable

from crdt_state.item import Change
from crdt_state.record import Dot, Record, RecordError, Register, check_record, decode_record
from crdt_state.state import WorldState
from mesh.ids import NodeId
from mesh.now import Now

KIND = "evidence"
SUPERSEDED_MAX = 1024  # dots of versions that are no longer held, before the index is made anew
JUDGED_MAX = 4096  # verdicts remembered; what is judged twice comes to the same

Pair = tuple[Record, Record]


class EvidenceWatch:
    """Owns the search for two contents under one dot, and the list of those who are proven to have signed such."""

    def __init__(self, state: WorldState) -> None:
        self._state = state
        self._by_dot: dict[Dot, Record] = {}
        self._proven: dict[NodeId, Pair] = {}
        self._judged: dict[int, None] = {}  # hashes of evidence records
        self._undecided: dict[Register, None] = {}  # evidence against authors whom we do not know yet
        self._roster_digest = state.fabric.roster.digest

    def start(self, now: Now) -> None:
        """Look at everything that was loaded."""
        self._index_anew()
        self._judge_all([Register(KIND, item.name) for item in self._state.view.items(KIND)])

    def changed(self, registers: Iterable[Register], now: Now) -> None:
        """The versions of these have changed."""
        evidence = []
        for register in registers:
            for record in list(self._state.view.versions(register).by_author.values()):
                self._index(record, now)
            if register.kind == KIND:
                evidence.append(register)
        if self._roster_digest != self._state.fabric.roster.digest:
            self._roster_digest = self._state.fabric.roster.digest
            evidence.extend(self._undecided)
            self._undecided.clear()
        self._judge_all(evidence)

    def met(self, first: Record, second: Record, now: Now) -> None:
        """Two records with one dot have met: if their author has signed two contents, everybody is to know."""
        accused = first.author
        if first.content == second.content or accused in self._proven or self._state.fabric.halted:
            return
        first, second = sorted((first, second), key=lambda record: record.hash)
        body = {"first": first.blob, "second": second.blob}
        try:
            self._state.write([Change(Register(KIND, _item_of(first, second)), body)], now)
        except RecordError as error:  # too large together, say: others will have to find out for themselves
            self._state.fabric.count(f"evidence-{error.reason}", accused)
        self._convict(first, second)

    def equivocators(self) -> dict[NodeId, Pair]:
        """Who has signed two contents under one dot, with the proof."""
        return dict(self._proven)

    # -- inside

    def _index(self, record: Record, now: Now) -> None:
        other = self._by_dot.setdefault(record.dot, record)
        if other.hash != record.hash:
            self.met(other, record, now)
        if len(self._by_dot) > 2 * self._held() + SUPERSEDED_MAX:
            self._index_anew()

    def _index_anew(self) -> None:
        documents = self._state.library.documents()
        self._by_dot = {record.dot: record for document in documents for record in document.records.values()}

    def _held(self) -> int:
        return sum(len(document.records) for document in self._state.library.documents())

    def _judge_all(self, registers: Iterable[Register]) -> None:
        for register in registers:
            for record in self._state.view.versions(register).by_author.values():
                if record.hash not in self._judged and not record.is_deletion:
                    self._judge(record)

    def _judge(self, evidence: Record) -> None:
        pair = _pair_of(evidence)
        accused = evidence.register.item.partition("-")[0]
        identity = self._state.fabric.roster.identity(NodeId(accused))
        if identity is None:
            self._undecided[evidence.register] = None
            return
        self._judged[evidence.hash] = None
        if len(self._judged) > JUDGED_MAX:
            del self._judged[next(iter(self._judged))]
        if pair is not None and pair[0].author == accused and _is_signed(pair, identity):
            self._convict(*pair)
        else:
            name = self._state.fabric.roster.name(NodeId(accused))
            self._state.trouble("evidence-false", KIND, evidence.author, f"proves nothing against {name}")

    def _convict(self, first: Record, second: Record) -> None:
        accused = first.author
        if accused not in self._proven:
            self._proven[accused] = (first, second)
            detail = f"two contents under {first.dot}: in {first.register} and in {second.register}"
            self._state.trouble("author-equivocates", KIND, accused, detail)


def _item_of(first: Record, second: Record) -> str:
    """The same, whoever has found them."""
    both = hashlib.blake2b(first.blob + second.blob, digest_size=6)
    return f"{first.author}-{both.hexdigest()}"


def _pair_of(evidence: Record) -> Pair | None:
    """Two records of one dot and two contents; None when this evidence holds no such."""
    blobs = [evidence.body.get("first"), evidence.body.get("second")]
    try:
        first, second = (decode_record(blob if isinstance(blob, bytes) else b"") for blob in blobs)
    except RecordError:
        return None
    return (first, second) if first.dot == second.dot and first.content != second.content else None


def _is_signed(pair: Pair, identity: bytes) -> bool:
    try:
        for record in pair:
            check_record(record, identity)
    except RecordError:
        return False
    return True
