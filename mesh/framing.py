"""Lanes: the counters that make a frame count once, whatever the network repeats or reorders."""

from collections.abc import Iterable

from mesh.ids import NodeId
from mesh.wire import LANE_ALL, LANE_LINK, Frame, Message, encode

WINDOW = 1024  # how far out of order a frame may come; beyond that it is refused as a replay
SENT_MAX = 4096  # counters; peers that greeted are at most a site's members, the rest got a refusal


class Lanes:
    """What we have sent to each peer, and which of its frames we have had. A new boot starts a peer afresh."""

    def __init__(self, boot: int) -> None:
        self._boot = boot
        self._sent: dict[NodeId, int] = {}
        self._sent_all = 0
        self._had: dict[tuple[NodeId, int], _Window] = {}
        self._boots: dict[NodeId, int] = {}

    def seal(self, peer: NodeId, messages: Iterable[Message]) -> bytes:
        """A frame for one peer."""
        if len(self._sent) >= SENT_MAX and peer not in self._sent:
            self._forget_a_stranger()
        self._sent[peer] = self._sent.get(peer, 0) + 1
        return encode(Frame(self._boot, LANE_LINK, self._sent[peer], tuple(messages)))

    def seal_all(self, messages: Iterable[Message]) -> bytes:
        """A frame that is the same for everybody."""
        self._sent_all += 1
        return encode(Frame(self._boot, LANE_ALL, self._sent_all, tuple(messages)))

    def greet(self, peer: NodeId, boot: int) -> None:
        """The peer has proved, freshly, that this boot of it is alive."""
        if self._boots.get(peer) != boot:
            self._boots[peer] = boot
            self._had.pop((peer, LANE_LINK), None)
            self._had.pop((peer, LANE_ALL), None)

    def refusal(self, peer: NodeId, frame: Frame) -> str | None:
        """Why this frame must not be used, as a counter's name; None the first time it comes."""
        if self._boots.get(peer) != frame.boot:
            return "frame-stale-boot"
        window = self._had.setdefault((peer, frame.lane), _Window())
        return None if window.take(frame.sequence) else "frame-replayed"

    def forget(self, peer: NodeId) -> None:
        self._boots.pop(peer, None)
        self._had.pop((peer, LANE_LINK), None)
        self._had.pop((peer, LANE_ALL), None)

    def _forget_a_stranger(self) -> None:
        """Who never greeted us has no window for us, and so does not mind our counting anew."""
        stranger = next((each for each in self._sent if each not in self._boots), None)
        if stranger is not None:
            del self._sent[stranger]


class _Window:
    """The highest sequence seen and, as bits, which of the WINDOW below it."""

    __slots__ = ("_bits", "_top")

    def __init__(self) -> None:
        self._top = 0
        self._bits = 0

    def take(self, sequence: int) -> bool:
        if sequence > self._top:
            shift = min(sequence - self._top, WINDOW)
            self._bits = ((self._bits << shift) | 1) & ((1 << WINDOW) - 1)
            self._top = sequence
            return True
        age = self._top - sequence
        if age >= WINDOW or self._bits >> age & 1:
            return False
        self._bits |= 1 << age
        return True
