"""Probes: the path's round trip and the peer's clock, measured by the way and in earnest when a peer is doubted."""

from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import FabricState
from mesh.wire import Probe, ProbeReply

MEASURE_EVERY_S = 1.0  # one peer in turn: enough for a display, nothing for the network
WAITING_MAX = 1024
SMOOTHING = 0.3


@dataclass(slots=True)
class _Measured:
    rtt_s: float
    offset_ms: float


class Probes:
    """Sends probes and reads the replies. A reply causes nothing to be sent."""

    def __init__(self, state: FabricState) -> None:
        self._state = state
        self._token = 0
        self._waiting: dict[int, tuple[NodeId, Now]] = {}
        self._measured: dict[NodeId, _Measured] = {}
        self._measure_at = float("-inf")
        self._turn = 0

    def send(self, peer: NodeId, now: Now) -> None:
        self._token += 1
        self._waiting[self._token] = (peer, now)
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._state.send(peer, Probe(self._token))

    def probed(self, sender: NodeId, link: int, probe: Probe, now: Now) -> None:
        """Answer over the link it came by: it is that path that is being asked about."""
        self._state.send_over(link, sender, ProbeReply(probe.token, now.wall_ms))

    def replied(self, sender: NodeId, reply: ProbeReply, now: Now) -> None:
        peer, sent = self._waiting.pop(reply.token, (None, now))
        if peer != sender:
            self._state.count("probe-unasked", sender)
            return
        rtt_s = now.mono - sent.mono
        offset_ms = reply.wall_ms - (sent.wall_ms + rtt_s * 500)
        known = self._measured.get(sender)
        if known is None:
            self._measured[sender] = _Measured(rtt_s, offset_ms)
        else:
            known.rtt_s += SMOOTHING * (rtt_s - known.rtt_s)
            known.offset_ms += SMOOTHING * (offset_ms - known.offset_ms)
        self._state.clock.heard(sender, int(offset_ms))

    def tick(self, now: Now) -> None:
        """Measure the next peer in turn."""
        if now.mono < self._measure_at:
            return
        self._measure_at = now.mono + MEASURE_EVERY_S
        peers = self._state.links.peers()
        if peers:
            self._turn += 1
            self.send(peers[self._turn % len(peers)], now)

    def wake_at(self) -> float:
        return self._measure_at

    def rtt_s(self, peer: NodeId) -> float | None:
        known = self._measured.get(peer)
        return known.rtt_s if known else None

    def offset_ms(self, peer: NodeId) -> float | None:
        known = self._measured.get(peer)
        return known.offset_ms if known else None

    def forget(self, peer: NodeId) -> None:
        self._measured.pop(peer, None)
        self._waiting = {token: asked for token, asked in self._waiting.items() if asked[0] != peer}
        self._state.clock.forget(peer)
