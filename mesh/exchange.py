"""Anti-entropy: keeps every replica of this node equal to its peers', whatever kind of replica it is.

Level one pushes what is new (`pushing`). Level two compares digests, with one random peer every second or two and
at once with a peer that has come, and fetches what is different (`pulling`). Level three, when heads are equal and
content is not, compares ranges of record ids and exchanges the records themselves (`reconciling`).
"""

from collections.abc import Callable
from typing import Any

from mesh.batches import batches
from mesh.events import Traffic
from mesh.ids import NodeId
from mesh.now import Now
from mesh.pacing import Pacing
from mesh.pulling import Pulling
from mesh.pushing import Pushing
from mesh.reconciling import Reconciling
from mesh.replicas import Shelf
from mesh.state import FabricState
from mesh.wire import (
    REPLICAS_MAX,
    Busy,
    Entry,
    Message,
    Part,
    Push,
    Ranges,
    Records,
    RecordsWanted,
    Summaries,
    Told,
    Wanted,
)

TELL_S = (1.0, 2.0)  # between two tellings of a random peer
NEW_PEER_EVERY_S = 0.3  # a peer that has just come is told again, in case that was lost ...
NEW_PEER_S = 3.0  # ... for so long, or until we are equal
DIFFERING_S = 1.0  # so is one that was found to differ, for so long ...
DIFFERING_EVERY_S = (
    2.0,
    30.0,
)  # ... and again after a pause, longer each time: we may not be able to become equal
SUMMARIES_EVERY_S = 0.2  # answers to one peer's tellings while we differ ...
SUMMARIES_EVERY_MAX_S = 2.0  # ... and at the most, when we cannot become equal
SUMMARIES_OF_NEW_S = 0.3  # the most for a peer that has come: it stops asking by itself
SUMMARIES_BYTES_MAX = 120_000  # under a frame: four thousand replicas with long names are several messages
CAUSES = ("join", "tick", "gap", "large", "lacking", "generation", "restart", "diverged")


class Exchange:
    """Owns the three levels."""

    def __init__(self, state: FabricState, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf
        self._pushing = Pushing(state, shelf)
        self._pulling = Pulling(state, shelf)
        self._reconciling = Reconciling(state, shelf)
        self._summaries_pacing = Pacing(SUMMARIES_EVERY_S, SUMMARIES_EVERY_MAX_S)
        self._new_summaries_pacing = Pacing(SUMMARIES_EVERY_S, SUMMARIES_OF_NEW_S)
        self._differing_pacing = Pacing(*DIFFERING_EVERY_S)
        self._pacings = (
            self._summaries_pacing,
            self._new_summaries_pacing,
            self._differing_pacing,
        )
        self._new: dict[NodeId, tuple[float, float]] = {}  # linked peers to be told again: at, until
        self._tell_at = float("inf")

    # -- what happens to links

    def linked(self, peer: NodeId, now: Now) -> None:
        """A peer has come, or come back: find out at once where we differ."""
        self._new[peer] = (now.mono + NEW_PEER_EVERY_S, now.mono + NEW_PEER_S)
        self._tell(peer, "join")
        if self._tell_at == float("inf"):
            self._tell_later(now)

    def forget(self, peer: NodeId) -> None:
        """The links with this peer have ended."""
        self._settled(peer)
        self._pulling.forget(peer)

    def want(self, peer: NodeId, name: str, cause: str) -> None:
        """Fetch what this peer has of a replica."""
        self._pulling.want(peer, name, cause)

    def is_fetching(self, name: str) -> bool:
        return self._pulling.is_pulling(name)

    # -- time

    def flush(self, now: Now) -> None:
        """After every event: push what was written, start pulls that may start."""
        if self._pushing.flush(now):
            for peer in self._state.links.peers():
                self._tell(peer, "large")
        self._pulling.begin(now)

    def tick(self, now: Now) -> None:
        self._pulling.tick(now)
        for peer, (again_at, until) in list(self._new.items()):
            if now.mono >= again_at:
                self._new[peer] = (now.mono + NEW_PEER_EVERY_S, until)
                self._tell(peer, "join")
                if now.mono >= until:
                    del self._new[peer]
        if now.mono >= self._tell_at:
            self._tell_random(now)

    def wake_at(self) -> float:
        again_at = min((at for at, _ in self._new.values()), default=float("inf"))
        return min(self._tell_at, again_at, self._pushing.wake_at(), self._pulling.wake_at())

    # -- messages

    def readers(self) -> dict[type[Message], Callable[[NodeId, int, Any, Now], None]]:
        """Who reads which message; called with sender, link, message and now."""
        verbs: dict[type[Message], Callable[[NodeId, Any, Now], None]] = {
            Push: self.push,
            Told: self.told,
            Summaries: self.summaries,
            Wanted: self.wanted,
            Part: self.part,
            Busy: self._pulling.busy,
            Ranges: self._reconciling.ranges,
            RecordsWanted: self._reconciling.records_wanted,
            Records: self._reconciling.records,
        }
        return {kind: _reader(verb) for kind, verb in verbs.items()}

    def push(self, sender: NodeId, push: Push, now: Now) -> None:
        if not self._shelf.listens_to(sender, now):
            return
        fit = self._pushing.take(sender, push, now)
        if fit == "gap":
            self._pulling.want(sender, push.name, "gap")
        elif fit == "other" and self._summaries_pacing.may(sender, now.mono):
            self._tell(sender, "generation")

    def told(self, sender: NodeId, told: Told, now: Now) -> None:
        if told.digests == self._shelf.digests():
            self._settled(sender)
            return
        if sender not in self._new and self._differing_pacing.may(sender, now.mono):
            self._new[sender] = (now.mono + NEW_PEER_EVERY_S, now.mono + DIFFERING_S)
        pacing = self._new_summaries_pacing if told.cause == "join" else self._summaries_pacing
        if pacing.may(sender, now.mono):
            entries = self._shelf.entries(told.digests)
            for some in (
                batches(entries, _entry_bytes, SUMMARIES_BYTES_MAX, REPLICAS_MAX) if entries else ((),)
            ):
                self._state.send(sender, Summaries(some, told.cause), traffic=Traffic.STATE)

    def summaries(self, sender: NodeId, summaries: Summaries, now: Now) -> None:
        if not self._shelf.listens_to(sender, now):
            return
        cause = summaries.cause if summaries.cause in CAUSES else "other"
        for theirs in summaries.entries:
            ours = self._shelf.entry(theirs.name)
            is_other = ours is not None and ours.mark != theirs.mark
            if is_other or (ours is not None and ours.digest == theirs.digest):
                continue  # another generation's header travels in a replica of its own
            if ours is None and theirs.mark:
                continue
            self._pulling.want(sender, theirs.name, cause)

    def part(self, sender: NodeId, part: Part, now: Now) -> None:
        """A slice; when it completes something that we lacked, it is worth looking soon whether that was all."""
        before = self._shelf.digests()
        self._pulling.part(sender, part, now)
        if self._shelf.digests() != before:
            self._differing_pacing.settled(sender)

    def wanted(self, sender: NodeId, wanted: Wanted, now: Now) -> None:
        """Serve, and look whether the asker has what we lack, or content that heads do not explain."""
        if not self._pulling.serve(sender, wanted, now):
            return
        entry = self._shelf.entry(wanted.name)
        if entry is None or wanted.offset or entry.digest == wanted.digest:
            return
        if not self._shelf.listens_to(sender, now):
            return
        if self._shelf.lacks(wanted.name, wanted.mark, wanted.have):
            self._pulling.want(sender, wanted.name, "lacking")
        elif self._shelf.summary(wanted.name, wanted.mark) == wanted.have:
            self._reconciling.begin(sender, wanted, entry.digest, now)

    # -- inside

    def _tell(self, peer: NodeId, cause: str) -> None:
        if not self._state.halted:
            self._state.send(peer, Told(self._shelf.digests(), cause), traffic=Traffic.STATE)

    def _tell_random(self, now: Now) -> None:
        peers = self._state.links.peers()
        if peers:
            self._tell(peers[int(self._state.random.random() * len(peers))], "tick")
            self._tell_later(now)
        else:
            self._tell_at = float("inf")

    def _tell_later(self, now: Now) -> None:
        self._tell_at = now.mono + self._state.random.uniform(*TELL_S)

    def _settled(self, peer: NodeId) -> None:
        self._new.pop(peer, None)
        for pacing in self._pacings:
            pacing.settled(peer)
        self._reconciling.settled(peer)


def _entry_bytes(entry: Entry) -> int:
    return len(entry.name.encode()) + len(entry.mark) + len(entry.digest) + 16


def _reader(verb: Callable[[NodeId, Any, Now], None]) -> Callable[[NodeId, int, Any, Now], None]:
    return lambda sender, _, message, now: verb(sender, message, now)
