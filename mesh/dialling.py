"""Whom to dial next, where, and when: the dead for ever, but never more often than the network can bear.

A peer that fails is retried with growing pauses up to a cap that keeps the node's own dials at a few a second,
however many are dead. News of a peer (its endpoint, or that somebody else hears it) clears its pause at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from mesh.ids import NodeId
from mesh.wire import Endpoint


@dataclass(frozen=True, slots=True)
class Config:
    first_pause_s: float = 0.1
    pause_max_s: float = 1.0  # with one peer dead; a healed cable is found within about this
    dials_per_s: float = 4.0  # with many dead, the cap grows so that a node's dials stay below this
    yield_s: float = 0.25  # the peer with the smaller id dials first: one link per pair without a race
    stray_pause_max_s: float = 5.0  # a seed that has never answered, and may one day
    steady_s: float = (
        3.0  # a link that breaks sooner is no reason to dial at once (two nodes with one identity)
    )
    in_flight_max: int = 32


@dataclass(slots=True)
class _Target:
    pause_s: float
    next_at: float
    turn: int = 0
    in_flight: bool = False
    last_error: str = ""
    tried_at: float = float("-inf")
    flapping: bool = False  # the last link did not live long
    linked_at: float | None = None  # set while a link stands: nothing to dial


@dataclass(frozen=True, slots=True)
class Attempt:
    endpoint: Endpoint
    node: NodeId | None


class Dialling:
    """The dial schedule. Targets are wanted peers by id, and stray endpoints whose node is unknown."""

    def __init__(self, config: Config, me: NodeId, random: Random) -> None:
        self._config = config
        self._me = me
        self._random = random
        self._peers: dict[NodeId, _Target] = {}
        self._strays: dict[Endpoint, _Target] = {}

    def want(self, peers: Iterable[NodeId], is_linked: Callable[[NodeId], bool], now: float) -> None:
        """Exactly these peers are to be linked; those that are not are dialled until they are."""
        wanted = dict.fromkeys(peers)
        for node in [node for node in self._peers if node not in wanted]:
            if not self._peers[node].in_flight:
                del self._peers[node]
        for node in wanted:
            target = self._peers.get(node) or self._peers.setdefault(node, self._fresh(node, now))
            if is_linked(node):
                self._rest(target, now)
            elif target.linked_at is not None:
                self._resume(node, target, now)

    def want_strays(self, strays: Iterable[Endpoint], now: float) -> None:
        wanted = dict.fromkeys(strays)
        for endpoint in [each for each in self._strays if each not in wanted]:
            del self._strays[endpoint]
        for endpoint in wanted:
            self._strays.setdefault(endpoint, _Target(self._config.first_pause_s, now))

    def hurry(self, node: NodeId, now: float) -> None:
        """There is news of this peer: try it now. Links that break as soon as they stand earn no hurry."""
        target = self._peers.get(node)
        if target is not None and not target.in_flight and target.linked_at is None and not target.flapping:
            fresh = self._fresh(node, now)
            target.pause_s = fresh.pause_s
            target.next_at = min(
                target.next_at, max(fresh.next_at, target.tried_at + self._config.first_pause_s)
            )

    def due(self, endpoints: Callable[[NodeId], tuple[Endpoint, ...]], now: float) -> list[Attempt]:
        """The dials to make now, the longest waiting first."""
        room = self._config.in_flight_max - self.in_flight
        ready = sorted(
            (t.next_at, node) for node, t in self._peers.items() if not t.in_flight and t.next_at <= now
        )
        attempts = []
        for _, node in ready[: max(room, 0)]:
            target = self._peers[node]
            known = endpoints(node)
            if not known:
                target.next_at = now + self._pause_max()
                continue
            target.in_flight = True
            target.tried_at = now
            attempts.append(Attempt(known[target.turn % len(known)], node))
            target.turn += 1
        for endpoint, target in self._strays.items():
            if not target.in_flight and target.next_at <= now and len(attempts) < room:
                target.in_flight = True
                attempts.append(Attempt(endpoint, None))
        return attempts

    def failed(self, attempt: Attempt, reason: str, now: float) -> None:
        """The dial, or the greeting after it, led nowhere."""
        target = self._target(attempt)
        if target is None:
            return
        target.in_flight = False
        target.last_error = reason
        if attempt.node is None:
            pause_max_s = max(self._config.stray_pause_max_s, len(self._strays) / self._config.dials_per_s)
            target.next_at = now + target.pause_s * self._random.uniform(0.7, 1.3)
            target.pause_s = min(target.pause_s * 2, pause_max_s)
            return
        if target.linked_at is None:
            target.next_at = now + target.pause_s * self._random.uniform(0.7, 1.3)
            target.pause_s = min(target.pause_s * 2, self._pause_max())

    def finished(self, attempt: Attempt) -> None:
        """The dial is over and has become a link."""
        target = self._target(attempt)
        if target is not None:
            target.in_flight = False
            target.last_error = ""

    def last_error(self, node: NodeId) -> str:
        target = self._peers.get(node)
        return target.last_error if target else ""

    def stray_errors(self) -> dict[Endpoint, str]:
        """Why the endpoints whose node is unknown lead nowhere, as far as they were tried."""
        return {endpoint: target.last_error for endpoint, target in self._strays.items() if target.last_error}

    @property
    def in_flight(self) -> int:
        return sum(t.in_flight for t in self._peers.values()) + sum(
            t.in_flight for t in self._strays.values()
        )

    def wake_at(self) -> float:
        if self.in_flight >= self._config.in_flight_max:
            return float("inf")  # the end of a dial wakes us
        targets = (*self._peers.values(), *self._strays.values())
        return min((t.next_at for t in targets if not t.in_flight), default=float("inf"))

    def _fresh(self, node: NodeId, now: float) -> _Target:
        delay = 0.0 if self._me < node else self._config.yield_s
        return _Target(self._config.first_pause_s, now + delay)

    def _rest(self, target: _Target, now: float) -> None:
        if target.linked_at is None:
            target.linked_at = now
            target.next_at = float("inf")

    def _resume(self, node: NodeId, target: _Target, now: float) -> None:
        """The link is gone: dial again, at once after a steady one, with growing pauses after short ones."""
        lived_s = now - (target.linked_at or 0.0)
        target.linked_at = None
        target.flapping = lived_s < self._config.steady_s
        fresh = self._fresh(node, now)
        if target.flapping:
            target.next_at = now + target.pause_s * self._random.uniform(0.7, 1.3)
            target.pause_s = min(target.pause_s * 2, self._pause_max())
        else:
            target.pause_s, target.next_at = fresh.pause_s, fresh.next_at

    def _target(self, attempt: Attempt) -> _Target | None:
        if attempt.node is None:
            return self._strays.get(attempt.endpoint)
        return self._peers.get(attempt.node)

    def _pause_max(self) -> float:
        dialled = sum(target.linked_at is None for target in self._peers.values())
        return max(self._config.pause_max_s, dialled / self._config.dials_per_s)
