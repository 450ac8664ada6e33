"""Load on the shared documents: hosts that write every kind, and records that vanish."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from crdt_state.item import Change
from crdt_state.record import Body, encode_body
from mesh.events import Woke, WriteRequested
from simulations.authors import Author
from simulations.chance import chance
from simulations.fault import At, Seconds, Times
from simulations.host import Host
from simulations.memory import state_of

if TYPE_CHECKING:
    from simulations.stage import Stage

EVERY_SPREAD = (0.2, 1.8)  # of the mean time between two writes


class Write(At, frozen=True, kw_only=True, tag="write"):
    """Each of these writes: something of any kind every so often (mean), and a frame of live values."""

    for_s: Seconds
    every_s: Seconds = 2.0
    things: Times = 6  # of each kind, shared by all who write
    frame_every_s: Seconds = 1.0  # 0: no frames
    frame_tags: Times = 20

    def befall(self, stage: "Stage", host: Host) -> None:
        pens = chance(stage.world.seed, "writes", host.index, int(self.at_s * 1000))
        _Writer(self, stage, host, pens).begin()


class Lapse(At, frozen=True, kw_only=True, tag="lapse"):
    """Records vanish from memory and disk, as by a bug or a bad chip; the heads still claim that they are there."""

    records: Times = 5

    def befall(self, stage: "Stage", host: Host) -> None:
        state = None if host.process is None else state_of(host.process)
        if host.process is None or state is None:
            return
        theirs = [
            (document, key)
            for document in state.library.documents()
            if not state.library.is_owned(document.name)
            for key, record in sorted(document.records.items())
            if record.author != host.node
        ]
        for document, key in stage.chance.sample(theirs, min(self.records, len(theirs))):
            stage.note("lapse", f"{host.index} {document.name} {key}")
            state.hide(document, key)
        stage.world.deliver(host.process, Woke())


class _Writer:
    """One host's writing; it goes on after the host was away."""

    def __init__(self, load: Write, stage: "Stage", host: Host, pens: random.Random) -> None:
        self._load = load
        self._stage = stage
        self._host = host
        self._chance = pens
        self._until_s = stage.world.clock.now_s + load.for_s
        self._frames = 0

    def begin(self) -> None:
        self._later(self._load.every_s, self._write)
        if self._load.frame_every_s:
            self._stage.after(self._chance.uniform(0, self._load.frame_every_s), self._frame)

    def _write(self) -> None:
        if self._is_over():
            return
        author = self._author()
        if author is not None:
            self._request(author.next(self._load.things))
        self._later(self._load.every_s, self._write)

    def _frame(self) -> None:
        if self._is_over():
            return
        author = self._author()
        if author is not None:
            self._frames += 1
            self._request(author.frame(self._load.frame_tags, self._frames))
        self._stage.after(self._load.frame_every_s, self._frame)

    def _author(self) -> Author | None:
        process = self._host.process
        state = state_of(process) if process is not None and not process.ending else None
        if process is None or state is None:
            return None
        now = self._host.now(process, self._stage.world.clock.now_s)
        return Author(state, self._host.keys.authority is not None, self._chance, now)

    def _request(self, changes: tuple[Change, ...]) -> None:
        process = self._host.process
        if process is not None and changes:
            plain = tuple((*change.register, _encoded(change.body)) for change in changes)
            self._stage.world.deliver(process, WriteRequested(self._stage.next_number(), plain))

    def _later(self, mean_s: float, act: Callable[[], None]) -> None:
        self._stage.after(mean_s * self._chance.uniform(*EVERY_SPREAD), act)

    def _is_over(self) -> bool:
        return self._stage.world.clock.now_s >= self._until_s


def _encoded(body: Body | None) -> bytes | None:
    return None if body is None else encode_body(body)
