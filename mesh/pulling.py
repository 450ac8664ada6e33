"""Level two of anti-entropy: what a peer has and we lack is fetched, one replica at a time, in slices we ask for.

One pull runs with each peer, and no replica is pulled from two peers at once. Slices that were lost are asked for
again. A server of pulls keeps nothing but the deltas it has just made; asked for too many, it says when to return.
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
AGAIN_S = 0.4  # without an answer; some round trips even on a bad link
TRIES_MAX = 8  # at 30 % loss one slice in six thousand needs more
DELTA_BYTES_MAX = 134_217_728  # twice the largest document; a peer cannot make us hold more than this
SERVED_MAX = 8  # deltas held for others at once ...
SERVED_BYTES_MAX = 67_108_864  # ... of at most this size in all, but always one
SERVED_S = 5.0  # after the last question about one, it is forgotten
BUSY_MS = 300
QUEUE_MAX = 4096  # replicas wanted of one peer: no more exist


@dataclass(slots=True)
class _Pull:
    name: str
    mark: bytes
    have: bytes
    digest: bytes
    cause: str
    data: bytearray = field(default_factory=bytearray)
    total: int | None = None
    tries: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class _Served:
    data: bytes
    at: float


class Pulling:
    """Owns the pulls, ours and those that we serve."""

    def __init__(self, state: FabricState, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf
        self._wanted: dict[NodeId, OrderedDict[str, str]] = {}  # name -> cause, by linked peer
        self._pulls: dict[NodeId, _Pull] = {}
        self._served: OrderedDict[tuple[NodeId, str, bytes], _Served] = OrderedDict()

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
        """A slice: kept when it is the next one of the pull that runs with this peer."""
        pull = self._pulls.get(sender)
        if pull is None or (part.name, part.mark, part.answering) != (
            pull.name,
            pull.mark,
            _short(pull.have),
        ):
            return  # late, or of a pull that has been given up
        if part.offset != len(pull.data) or (pull.total is not None and part.total != pull.total):
            return
        if part.total > DELTA_BYTES_MAX or len(part.data) > part.total - part.offset:
            self._state.count("delta-oversized", sender)
            self._end(sender)
            return
        if not is_sealed(self._state, sender, part):
            self._end(sender)
            return
        pull.data += part.data
        pull.total = part.total
        pull.again_at, pull.tries = now.mono + AGAIN_S, 0
        if len(pull.data) == pull.total:
            self._finish(sender, pull, now)
        elif part.offset // PART_BYTES_MAX % WINDOW == WINDOW - 1:
            self._ask(sender, pull)

    def busy(self, sender: NodeId, busy: Busy, now: Now) -> None:
        pull = self._pulls.get(sender)
        if pull is not None and pull.name == busy.name:
            pull.again_at = now.mono + min(busy.retry_ms, 10_000) / 1000

    def tick(self, now: Now) -> None:
        """Ask again for what did not come; forget what nobody asks for."""
        for peer, pull in list(self._pulls.items()):
            if now.mono >= pull.again_at:
                pull.tries += 1
                pull.again_at = now.mono + AGAIN_S
                if pull.tries > TRIES_MAX:
                    self._state.count("resync-given-up", peer)
                    self._end(peer)
                else:
                    self._ask(peer, pull)
        while self._served:
            key, served = next(iter(self._served.items()))
            if now.mono - served.at < SERVED_S:
                break
            del self._served[key]

    def forget(self, peer: NodeId) -> None:
        """The links with this peer have ended."""
        self._wanted.pop(peer, None)
        self._pulls.pop(peer, None)

    def wake_at(self) -> float:
        next_again = min((pull.again_at for pull in self._pulls.values()), default=float("inf"))
        next_served = next(iter(self._served.values())).at + SERVED_S if self._served else float("inf")
        return min(next_again, next_served)

    # -- serving

    def serve(self, sender: NodeId, wanted: Wanted, now: Now) -> bool:
        """Answer a question with the next slices; False when we have no such generation."""
        key = (sender, wanted.name, _short(wanted.have))
        served = self._served.pop(key, None) if wanted.offset else None
        if served is None:
            if self._is_full(sender):
                self._state.send(sender, Busy(wanted.name, BUSY_MS))
                return True
            delta = self._shelf.delta_since(wanted.name, wanted.mark, wanted.have)
            if delta is None:
                return False
            served = _Served(delta, now.mono)
        served.at = now.mono
        self._send_parts(sender, wanted, served.data)
        if len(served.data) > PART_BYTES_MAX:
            self._served[key] = served
        return True

    def _is_full(self, sender: NodeId) -> bool:
        others = [served for (peer, _, _), served in self._served.items() if peer != sender]
        return len(others) >= SERVED_MAX or sum(len(each.data) for each in others) > SERVED_BYTES_MAX

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
        mark, digest = (entry.mark, entry.digest) if entry else (b"", b"")
        have = self._shelf.summary(name, mark)
        if have is None:
            return
        pull = _Pull(name, mark, have, digest, cause, again_at=now.mono + AGAIN_S)
        self._pulls[peer] = pull
        self._state.count(f"resync-{cause}", peer)
        self._state.add(ResyncBegun(name, peer, cause))
        self._ask(peer, pull)

    def _ask(self, peer: NodeId, pull: _Pull) -> None:
        offset = len(pull.data)
        self._state.send(peer, Wanted(pull.name, pull.mark, pull.have, pull.digest, offset, pull.cause))

    def _finish(self, peer: NodeId, pull: _Pull, now: Now) -> None:
        self._end(peer)
        if pull.data:
            self._shelf.merge(peer, pull.name, pull.mark, [bytes(pull.data)], now)
        self._shelf.fetched(peer, pull.name, now)

    def _end(self, peer: NodeId) -> None:
        self._pulls.pop(peer, None)


def _short(have: bytes) -> bytes:
    return hashlib.blake2b(have, digest_size=8).digest()
