"""Level two of anti-entropy: what a peer has and we lack is fetched, one replica at a time, in slices we ask for.

One pull runs with each peer, and no replica is pulled from two peers at once. Slices that were lost are asked for
again, as soon as the peer's usual answering time has passed. A server of pulls keeps nothing but the deltas it has
just made, one for each asker; asked for too many, it says when to return.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from mesh.envelopes import is_sealed, seal
from mesh.events import ResyncBegun, Traffic
from mesh.ids import NodeId
from mesh.now import Now
from mesh.replicas import Shelf
from mesh.state import FabricState
from mesh.wire import PART_BYTES_MAX, Busy, Part, Wanted

WINDOW = 4  # slices for one question: half a megabyte is on its way while the next question travels
AGAIN_S = 0.2  # without an answer of a peer whose answering time is not known: some round trips on a bad link
AGAIN_MIN_S = 0.1  # of one that is known: a busy machine answers within that, most of the time
AGAIN_MAX_S = 1.6
ANSWERS = 3  # so many usual answering times are waited for
QUICK_TRIES = 4  # before pauses double
TRIES_MAX = 10  # at 30 % loss one slice in eight hundred needs more; the next telling then starts anew
DELTA_BYTES_MAX = 134_217_728  # twice the largest document; a peer cannot make us hold more than this
SERVED_MAX = 8  # deltas held for others at once ...
SERVED_BYTES_MAX = 67_108_864  # ... of at most this size in all, but always one
SERVED_AGAIN_S = 1.0  # a question that comes twice within that is answered with the same
SERVED_S = 5.0  # after the last question about one, it is forgotten
BUSY_MS = 300
NEVER_MS = 0  # in Busy: I have no such generation, or not all of it, so do not ask again
SMOOTHING = 0.7  # of what was known before
WINDOW_BYTES = WINDOW * PART_BYTES_MAX
QUEUE_MAX = 4096  # replicas wanted of one peer: no more exist


@dataclass(slots=True)
class _Pull:
    name: str
    mark: bytes
    have: bytes
    digest: bytes
    is_settled: bool
    cause: str
    data: bytearray = field(default_factory=bytearray)
    early: dict[int, bytes] = field(
        default_factory=dict
    )  # slices of the window that came before an earlier one
    total: int | None = None
    window: int = 0  # where the slices begin that we have asked for
    hurried: int = (
        -1
    )  # a window that was asked for before its time, as a slice of it was lost: once is enough
    tries: int = 0
    asked_at: float = 0.0
    again_at: float = 0.0

    def is_for(self, part: Part) -> bool:
        return (part.name, part.mark, part.answering) == (self.name, self.mark, _short(self.have))

    def awaits(self, part: Part) -> bool:
        """Whether it is one of the slices asked for, not there yet, of the same delta."""
        start = len(self.data)
        is_known = part.offset < start or part.offset in self.early
        is_ours = not (part.offset - start) % PART_BYTES_MAX and part.offset < self.window + WINDOW_BYTES
        return is_ours and not is_known and self.total in (None, part.total)

    def take(self, part: Part) -> None:
        self.total = part.total
        self.early[part.offset] = part.data
        while len(self.data) in self.early:
            self.data += self.early.pop(len(self.data))

    def is_holed(self) -> bool:
        """Whether the last slice asked for has come and one before it has not: that one was lost."""
        assert self.total is not None
        stop = min(self.window + WINDOW_BYTES, self.total)
        return any(offset + len(data) == stop for offset, data in self.early.items())


@dataclass(slots=True)
class _Served:
    name: str
    mark: bytes
    answering: bytes
    data: bytes
    at: float  # last asked for
    made_at: float

    def is_for(self, wanted: Wanted, now: float) -> bool:
        is_fresh = wanted.offset or now - self.made_at < SERVED_AGAIN_S
        return bool(is_fresh) and (self.name, self.mark, self.answering) == (
            wanted.name,
            wanted.mark,
            _short(wanted.have),
        )


class Pulling:
    """Owns the pulls, ours and those that we serve."""

    def __init__(self, state: FabricState, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf
        self._wanted: dict[NodeId, OrderedDict[str, str]] = {}  # name -> cause, by linked peer
        self._pulls: dict[NodeId, _Pull] = {}
        self._served: OrderedDict[NodeId, _Served] = OrderedDict()
        self._answering_s: dict[NodeId, float] = {}  # smoothed; by linked peer

    # -- asking

    def want(self, peer: NodeId, name: str, cause: str) -> None:
        """Fetch what this peer has of a replica, when its turn comes."""
        queue = self._wanted.setdefault(peer, OrderedDict())
        if len(queue) < QUEUE_MAX:
            queue.setdefault(name, cause)

    def is_pulling(self, name: str) -> bool:
        return any(pull.name == name for pull in self._pulls.values())

    def begin(self, now: Now) -> None:
        """Start whatever may start."""
        if not self._wanted:
            return
        busy_names = {pull.name for pull in self._pulls.values()}
        for peer in list(self._wanted):
            if peer in self._pulls:
                continue
            queue = self._wanted[peer]
            name = next((each for each in queue if each not in busy_names), None)
            if name is not None:
                busy_names.add(name)
                self._start(peer, name, queue.pop(name), now)
            if not queue:
                del self._wanted[peer]

    def part(self, sender: NodeId, part: Part, now: Now) -> None:
        """A slice: kept when it belongs to the pull that runs with this peer, and is signed."""
        pull = self._pulls.get(sender)
        if pull is None or not pull.is_for(part) or not pull.awaits(part):
            return  # late, twice, or of a pull that has been given up
        if part.total > DELTA_BYTES_MAX or len(part.data) > part.total - part.offset:
            self._state.count("delta-oversized", sender)
            self._end(sender)
            return
        if not is_sealed(self._state, sender, part):
            self._end(sender)
            return
        self._answered(sender, pull, now)
        pull.take(part)
        if len(pull.data) == pull.total:
            self._finish(sender, pull, now)
        elif len(pull.data) >= pull.window + WINDOW_BYTES:
            self._ask(sender, pull, now)
        elif pull.is_holed() and pull.hurried != pull.window:
            pull.hurried = len(pull.data)
            self._ask(sender, pull, now)

    def busy(self, sender: NodeId, busy: Busy, now: Now) -> None:
        pull = self._pulls.get(sender)
        if pull is None or pull.name != busy.name:
            return
        if busy.retry_ms == NEVER_MS:
            self._end(sender)
        else:
            pull.again_at = now.mono + min(busy.retry_ms, 10_000) / 1000

    def tick(self, now: Now) -> None:
        """Ask again for what did not come; forget what nobody asks for."""
        for peer, pull in list(self._pulls.items()):
            if now.mono >= pull.again_at:
                pull.tries += 1
                if pull.tries > TRIES_MAX:
                    self._state.count("resync-given-up", peer)
                    self._end(peer)
                else:
                    self._ask(peer, pull, now)
        while self._served:
            peer, served = next(iter(self._served.items()))
            if now.mono - served.at < SERVED_S:
                break
            del self._served[peer]

    def forget(self, peer: NodeId) -> None:
        """The links with this peer have ended."""
        self._wanted.pop(peer, None)
        self._pulls.pop(peer, None)
        self._served.pop(peer, None)
        self._answering_s.pop(peer, None)

    def wake_at(self) -> float:
        next_again = min((pull.again_at for pull in self._pulls.values()), default=float("inf"))
        next_served = next(iter(self._served.values())).at + SERVED_S if self._served else float("inf")
        return min(next_again, next_served)

    # -- serving

    def serve(self, sender: NodeId, wanted: Wanted, now: Now) -> bool:
        """Answer a question with the next slices; False when we have no such generation."""
        served = self._served.pop(sender, None)  # one delta for each asker: a pull runs alone
        if served is None or not served.is_for(wanted, now.mono):
            if self._is_full():
                self._state.send(sender, Busy(wanted.name, BUSY_MS))
                return True
            delta = self._shelf.delta_since(wanted.name, wanted.mark, wanted.have)
            if delta is None:
                self._state.send(sender, Busy(wanted.name, NEVER_MS))
                return False
            served = _Served(wanted.name, wanted.mark, _short(wanted.have), delta, now.mono, now.mono)
        served.at = now.mono
        self._send_parts(sender, wanted, served.data)
        if len(served.data) > PART_BYTES_MAX:
            self._served[sender] = served
        return True

    def _is_full(self) -> bool:
        held = sum(len(served.data) for served in self._served.values())
        return len(self._served) >= SERVED_MAX or held > SERVED_BYTES_MAX

    def _send_parts(self, sender: NodeId, wanted: Wanted, data: bytes) -> None:
        offset = wanted.offset
        for _ in range(WINDOW):
            if offset > len(data) or (offset == len(data) and offset):
                return
            piece = data[offset : offset + PART_BYTES_MAX]
            part = Part(wanted.name, wanted.mark, _short(wanted.have), offset, len(data), piece)
            self._state.send(sender, seal(self._state, part), traffic=Traffic.STATE)
            offset += PART_BYTES_MAX

    # -- inside

    def _start(self, peer: NodeId, name: str, cause: str, now: Now) -> None:
        entry = self._shelf.entry(name)
        mark, digest, is_settled = (entry.mark, entry.digest, entry.settled) if entry else (b"", b"", True)
        have = self._shelf.summary(name, mark)
        if have is None:
            return
        pull = _Pull(name, mark, have, digest, is_settled, cause)
        self._pulls[peer] = pull
        self._state.count(f"resync-{cause}", peer)
        self._state.add(ResyncBegun(name, peer, cause))
        self._ask(peer, pull, now)

    def _ask(self, peer: NodeId, pull: _Pull, now: Now) -> None:
        pull.window = offset = len(pull.data)
        pull.asked_at = now.mono
        pull.again_at = now.mono + self._patience_s(peer, pull.tries)
        wanted = Wanted(pull.name, pull.mark, pull.have, pull.digest, offset, pull.cause, pull.is_settled)
        self._state.send(peer, wanted)

    def _patience_s(self, peer: NodeId, tries: int) -> float:
        usual_s = self._answering_s.get(peer)
        first_s = AGAIN_S if usual_s is None else max(AGAIN_MIN_S, min(usual_s * ANSWERS, AGAIN_MAX_S))
        return min(first_s * (1 << max(0, tries - QUICK_TRIES)), AGAIN_MAX_S)

    def _answered(self, peer: NodeId, pull: _Pull, now: Now) -> None:
        """The first slice after a question asked once says how long the peer takes; each defers the next question."""
        if not pull.tries and len(pull.data) == pull.window and not pull.early:
            took_s = now.mono - pull.asked_at
            self._answering_s[peer] = took_s + SMOOTHING * (self._answering_s.get(peer, took_s) - took_s)
        pull.tries = 0
        pull.again_at = now.mono + self._patience_s(peer, 0)

    def _finish(self, peer: NodeId, pull: _Pull, now: Now) -> None:
        self._end(peer)
        if pull.data:
            self._shelf.merge(peer, pull.name, pull.mark, [bytes(pull.data)], now)
        self._shelf.fetched(peer, pull.name, now)

    def _end(self, peer: NodeId) -> None:
        self._pulls.pop(peer, None)


def _short(have: bytes) -> bytes:
    return hashlib.blake2b(have, digest_size=8).digest()
