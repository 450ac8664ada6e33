"""S1, S2, S4 and L5 of the shared documents: nothing acknowledged is lost, nothing diverges, nothing comes back."""

from collections.abc import Iterable
from typing import Any

import msgspec
from pycrdt import Doc, Map

from crdt_state.document import Document
from crdt_state.headers import header_of
from crdt_state.record import Record, Register, key_of
from crdt_state.state import WorldState
from crdt_state.update import ROOT
from mesh.events import (
    Effect,
    Event,
    News,
    RecordsChanged,
    WorldTrouble,
    WriteDone,
    WriteRefused,
    WriteRequested,
)
from mesh.hybrid import ms_of
from simulations.chronicle import Chronicle, Floor
from simulations.host import Host, Process
from simulations.memory import holds, is_aside, state_of
from simulations.watch import Watcher
from simulations.world import World

UNDER_WAY_MS = 3000  # what the nodes themselves wrote in the last moments may still be on its way
CHECK_EVERY_S = 10.0  # summaries of all replicas are compared so often, and at the end


class Losses(msgspec.Struct):
    """What must be zero, and how many writes that is said of."""

    diverged: int = 0
    lost_acknowledged: int = 0
    resurrected: int = 0
    unexplained_missing: int = 0
    writes_acknowledged: int = 0


class WorldChecker(Watcher):
    """Owns the chronicle of a run and holds every node to it."""

    def __init__(self, world: World, expects_divergence: bool = False) -> None:
        super().__init__(world)
        self.losses = Losses()
        self.chronicle = Chronicle()
        self._expects_divergence = expects_divergence
        self._requested: dict[tuple[Process, int], WriteRequested] = {}
        self._changed: dict[Process, dict[Register, None]] = {}  # since the last event
        self._seen: dict[Host, dict[Register, Floor]] = {}  # what each host has held, restarts included
        self._shown: dict[Process, dict[Register, dict[str, Record]]] = {}  # what each shows now
        self._reported: dict[tuple[str, ...], None] = {}  # each loss is told and counted once
        world.clock.after(CHECK_EVERY_S, self._check_again)

    # ------------------------------------------------------------ looking on

    def on_event(self, process: Process, event: Event) -> None:
        if isinstance(event, WriteRequested):
            self._requested[process, event.token] = event

    def on_news(self, process: Process, news: News) -> None:
        if isinstance(news, RecordsChanged):
            self._changed.setdefault(process, {}).update(dict.fromkeys(map(_register, news.registers)))
        elif isinstance(news, WriteDone):
            self._done(process, news)
        elif isinstance(news, WriteRefused):
            self.world.violate("L4", f"{process.host.name} refused a local write: {news.reason}")
        elif isinstance(news, WorldTrouble):
            self._troubled(process, news)

    def on_handled(self, process: Process, event: Event, effects: list[Effect]) -> None:
        """What has changed is durable by now, or its process is dead."""
        state, changed = state_of(process), self._changed.pop(process, {})
        if state is not None and process.alive:
            for register in changed:
                self._look(process, state, register)

    def on_start(self, process: Process) -> None:
        """S1: what its last run has acknowledged is here; S4: and nothing that it knew to be replaced."""
        state = state_of(process)
        if state is None:
            return
        seen = self._seen.setdefault(process.host, {})
        for register in [each for each in seen if _is_anothers(state, each)]:
            del seen[register]  # saved lazily: it is no promise of this node
        for record in self.chronicle.acknowledged.values():
            if record.author == process.host.node and not process.host.rival:
                self._check_kept(process, state, record)
        for kind in state.view.kinds():
            for item in state.view.items(kind):
                for facet in item.facets:
                    self._look(process, state, Register(kind, item.name, facet))

    def on_end(self) -> None:
        members = [host.process for host in self.world.truth.members() if host.process is not None]
        for process in members:
            state = state_of(process)
            if state is not None:
                for record in self.chronicle.acknowledged.values():
                    self._check_kept(process, state, record)
            self._check_gone(process)
        self._check_summaries()
        self._check_equal(members)
        self.losses.writes_acknowledged = self.chronicle.writes

    # ------------------------------------------------------------ S1 and L5

    def _done(self, process: Process, done: WriteDone) -> None:
        state, requested = state_of(process), self._requested.pop((process, done.token), None)
        if state is None or requested is None:
            return
        for kind, item, facet, _ in requested.changes:
            register = Register(kind, item, facet)
            document = state.library.get(state.kinds.document_of(register) or "")
            record = document.records.get(key_of(register, process.host.node)) if document else None
            if record is None or str(record.dot) not in done.dots:
                self._count(
                    "lost_acknowledged", "S1", f"{process.host.name} does not hold what it just wrote"
                )
                continue
            self.chronicle.shown((record,), process.host.node)
            self.chronicle.told(record)

    def _check_kept(self, process: Process, state: WorldState, record: Record) -> None:
        """It is here, or there is a reason why nobody needs it."""
        if self.chronicle.is_needless(record) or holds(process, record) or state.gate.is_shut_out(record):
            return
        if record.author == process.host.node:
            self._count("lost_acknowledged", "S1", f"{process.host.name} has lost its own {record!r}")
        elif not self._is_aside_somewhere(record):
            self._count("unexplained_missing", "L5", f"{process.host.name} lacks {record!r}")

    def _is_aside_somewhere(self, record: Record) -> bool:
        processes = [host.process for host in self.world.hosts if host.process is not None]
        return any(is_aside(process, record) for process in processes)

    def _vanished(self, process: Process, state: WorldState, record: Record) -> None:
        """A node shows a version no more: it may, when the item was done with by all that was written anywhere."""
        header = header_of(state, state.kinds.document_of(record.register) or "")
        scale = state.fabric.config.world.retention_scale
        if header is not None and self.chronicle.is_done(record, header, state.kinds, scale):
            self.chronicle.collected(record)
        told = self.chronicle.acknowledged.get(record.key)
        if told is not None and told.dot == record.dot:
            self._check_kept(process, state, record)

    # ------------------------------------------------------------ S4

    def _look(self, process: Process, state: WorldState, register: Register) -> None:
        """What was replaced on this host is no head on it again, whatever was forgotten meanwhile."""
        versions = state.view.versions(register)
        seen = self._seen.setdefault(process.host, {}).setdefault(register, Floor())
        for head in versions.heads():
            if seen.is_under(head.dot) and not self._expects_divergence:
                self._count("resurrected", "S4", f"{process.host.name} shows {head!r} again")
        shown = {record.key: record for record in versions.by_author.values()}
        before = self._shown.setdefault(process, {}).get(register, {})
        self._shown[process][register] = shown
        for record in shown.values():
            seen.note(record)
        self.chronicle.shown(shown.values(), process.host.node)
        for key, record in before.items():
            if key not in shown and not self._expects_divergence:
                self._vanished(process, state, record)

    def _check_gone(self, process: Process) -> None:
        """In the end nothing is open that was done with and let go, unless somebody has written to it since."""
        state = state_of(process)
        if state is None:
            return
        ms = state.ms(process.host.now(process, self.world.clock.now_s))
        for kind in state.view.kinds():
            for item in state.view.items(kind):
                records = [each for facet in item.facets.values() for each in facet.by_author.values()]
                is_gone = all(self.chronicle.is_collected(record) for record in records)
                if is_gone and not item.is_deleted and not state.kinds.get(kind).is_closed(item, ms):
                    self._count(
                        "resurrected", "S4", f"{process.host.name} shows {records[0]!r}, long done with"
                    )

    # ------------------------------------------------------------ S2

    def _check_again(self) -> None:
        self._check_summaries()
        self.world.clock.after(CHECK_EVERY_S, self._check_again)

    def _check_summaries(self) -> None:
        """Replicas with equal heads or equal digests have equal content."""
        by_heads: dict[tuple[str, bytes, bytes], list[Document]] = {}
        by_digest: dict[tuple[str, bytes], list[Document]] = {}
        for document in self._documents():
            by_heads.setdefault((document.name, document.mark, document.summary()), []).append(document)
            by_digest.setdefault((document.name, document.digest), []).append(document)
        if not self._expects_divergence:
            for heads, replicas in by_heads.items():
                if not _have_equal_forms(replicas):
                    self._diverged(heads[0], "forms with equal heads differ")
        for digest, replicas in by_digest.items():
            if any(each.records != replicas[0].records for each in replicas[1:]):
                self._diverged(digest[0], "records with equal digests differ")

    def _check_equal(self, members: list[Process]) -> None:
        """In the end those who can reach each other hold the same records."""
        states = [(process.host, state) for process in members if (state := state_of(process)) is not None]
        for index, (host, state) in enumerate(states):
            leader, theirs = next(
                (other, each)
                for other, each in states
                if other is host or self.world.truth.together(other, host)
            )
            if leader is host or index == 0:
                continue
            for name in _differing(state, theirs, host.wall_ms(self.world.clock.now_s) - UNDER_WAY_MS):
                self._diverged(name, f"in the end {host.name} and {leader.name} hold different records")

    def _troubled(self, process: Process, trouble: WorldTrouble) -> None:
        if trouble.code != "document-diverged" or self._expects_divergence:
            return
        ours, peer = state_of(process), self.world.name_of(trouble.node)
        replicas = [each for each in self._documents() if each.name == trouble.document]
        mine = ours.library.get(trouble.document) if ours else None
        alike = [each for each in replicas if mine is not None and each.summary() == mine.summary()]
        if _have_equal_forms(alike) and any(each.astray for each in alike):
            detail = (
                f"{process.host.name} calls {trouble.document} of {peer} diverged, which it is about to draw"
            )
            self.world.violate("S2", detail)  # an alarm about what is no fault
        else:
            self._diverged(trouble.document, f"{process.host.name} says: {trouble.detail}")

    def _documents(self) -> Iterable[Document]:
        for host in self.world.hosts:
            state = None if host.process is None else state_of(host.process)
            if state is not None:
                yield from state.library.documents()

    def _diverged(self, document: str, detail: str) -> None:
        self._count("diverged", "S2", f"document {document}: {detail}")

    def _count(self, loss: str, invariant: str, detail: str) -> None:
        if (loss, detail) not in self._reported:
            self._reported[loss, detail] = None
            setattr(self.losses, loss, getattr(self.losses, loss) + 1)
            self.world.violate(invariant, detail)


def _register(names: tuple[str, str, str]) -> Register:
    return Register(*names)


def _is_anothers(state: WorldState, register: Register) -> bool:
    return state.kinds.get(register.kind).group == "owner" and register.item != state.fabric.me


def _differing(one: WorldState, other: WorldState, until_ms: int) -> list[str]:
    """The documents whose records differ by more than what was written since."""
    ours, theirs = _contents(one), _contents(other)
    differing = []
    for name in sorted({*ours, *theirs}):
        mine, its = ours.get(name, {}), theirs.get(name, {})
        versions = [(mine.get(key), its.get(key)) for key in {*mine, *its} if mine.get(key) != its.get(key)]
        is_old = any(all(each is None or ms_of(each.time) < until_ms for each in pair) for pair in versions)
        if is_old and not any(_is_being_built(state, name, until_ms) for state in (one, other)):
            differing.append(name)
    return differing


def _is_being_built(state: WorldState, name: str, since_ms: int) -> bool:
    """Whether a generation of this document was built a moment ago: its header may still be on its way."""
    header = header_of(state, name)
    return header is not None and ms_of(header.record.time) >= since_ms


def _contents(state: WorldState) -> dict[str, dict[str, Record]]:
    return {document.name: document.records for document in state.library.documents() if document.records}


def _have_equal_forms(replicas: list[Document]) -> bool:
    states = [each.state() for each in replicas]
    if not states or all(state == states[0] for state in states[1:]):
        return True
    first = _form(states[0])
    return all(_form(state) == first for state in states[1:])


def _form(state: bytes) -> dict[str, Any]:
    """What a pycrdt document holds, read as any peer would."""
    doc: Doc[Any] = Doc()
    values: Map[Any] = doc.get(ROOT, type=Map)
    doc.apply_update(state)
    return values.to_py() or {}
