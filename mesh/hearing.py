"""Hearing: how long each peer has been silent to us, and what to do about it.

A peer that misses two beats is doubted: it is probed many times a second, and any frame clears it. Only a peer
that stays silent through the probes is dropped from what we hear. When our own loop has stalled, silence proves
nothing, and every peer gets a fresh doubt period.
"""

from dataclasses import dataclass

from mesh.ids import NodeId


@dataclass(frozen=True, slots=True)
class Config:
    beat_s: float = (
        0.5  # two a second: a crash is known within a few, an idle link costs some 200 bytes a second
    )
    doubt_after_s: float = 1.0  # two missed beats; lower probes healthy peers, higher delays detection
    suspect_after_s: float = 1.5  # the state that people see; probes have gone unanswered by then
    unreachable_after_s: float = 2.0  # the observer's verdict; at 20 % loss ten probes fail once in a million
    probe_every_s: float = 0.1
    stall_s: float = 0.75  # a wake this late means that we were not running
    isolated_after_s: float = 2.5  # counted from the start; later, silence itself tells


@dataclass(slots=True)
class _Ear:
    heard_at: float
    probed_at: float


class Hearing:
    """The silence of each peer that we have a link with."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ears: dict[NodeId, _Ear] = {}
        self._ticked_at: float | None = None
        self._ran_at: float | None = None
        self.stalls = 0

    def hear(self, node: NodeId, now: float) -> bool:
        """A proven frame came from this peer; whether we did not hear it before."""
        ear = self._ears.get(node)
        if ear is None:
            self._ears[node] = _Ear(now, now)
            return True
        ear.heard_at = now
        return False

    def forget(self, node: NodeId) -> None:
        self._ears.pop(node, None)

    def heard(self) -> list[NodeId]:
        return sorted(self._ears)

    def hears(self, node: NodeId) -> bool:
        return node in self._ears

    def silence(self, node: NodeId, now: float) -> float:
        ear = self._ears.get(node)
        return now - ear.heard_at if ear else float("inf")

    def is_suspect(self, node: NodeId, now: float) -> bool:
        ear = self._ears.get(node)
        return ear is not None and now - ear.heard_at >= self._config.suspect_after_s - _EPSILON

    def awake(self, now: float) -> None:
        """Something is being handled: after a gap in which nothing was, nobody's silence counts."""
        if self._ran_at is not None and now - self._ran_at >= self._config.stall_s:
            self._forgive(now)
            self._ticked_at = now
        self._ran_at = now

    def tick(self, now: float) -> tuple[list[NodeId], list[NodeId]]:
        """Whom to probe now, and whom we have just stopped hearing."""
        self._forgive_stall(now)
        probes, silent = [], []
        for node, ear in self._ears.items():
            silence = now - ear.heard_at
            if silence >= self._config.unreachable_after_s - _EPSILON:
                silent.append(node)
            elif silence >= self._config.doubt_after_s - _EPSILON and self._is_probe_due(ear, now):
                ear.probed_at = now
                probes.append(node)
        for node in silent:
            del self._ears[node]
        return probes, silent

    def wake_at(self) -> float:
        """When the next probe or verdict is due."""
        return min((self._due(ear) for ear in self._ears.values()), default=float("inf"))

    def _due(self, ear: _Ear) -> float:
        config = self._config
        doubt_at = ear.heard_at + config.doubt_after_s
        verdict_at = ear.heard_at + config.unreachable_after_s
        return min(max(doubt_at, ear.probed_at + config.probe_every_s), verdict_at)

    def _is_probe_due(self, ear: _Ear, now: float) -> bool:
        return now - ear.probed_at >= self._config.probe_every_s - _EPSILON

    def _forgive_stall(self, now: float) -> None:
        late = self._ticked_at is not None and now - self._ticked_at >= self._config.stall_s
        self._ticked_at = now
        if late:
            self._forgive(now)

    def _forgive(self, now: float) -> None:
        self.stalls += 1
        for ear in self._ears.values():
            ear.heard_at = max(ear.heard_at, now - self._config.doubt_after_s)


_EPSILON = 1e-9  # wakes come at computed times; a rounding error must not cost a whole extra wake
