"""One exchange, or two on a wire, each with a shelf in memory: everything that is sent can be looked at."""

from collections.abc import Sequence
from random import Random

from mesh.events import Counted, Effect, Send, SendAll, Traffic
from mesh.exchange import Exchange
from mesh.ids import NodeId
from mesh.state import CoreConfig, FabricState
from mesh.wire import Message, Row
from tests.mesh.cores import at, born, sent_to
from tests.mesh.shelf import MemoryShelf
from tests.mesh.site import make_site

SITE = make_site(4)
A, B, C, D = SITE.nodes


class Side:
    """A node that does nothing but exchange."""

    def __init__(self, place: int, peers: Sequence[NodeId]) -> None:
        self.keys = SITE.keys[place]
        self.node: NodeId = self.keys.identity.node
        self.state = FabricState(CoreConfig(), self.keys, born(), SITE.saved(), Random(place))
        self.shelf = MemoryShelf(pen=place + 1)
        self.exchange = Exchange(self.state, self.shelf)
        self._readers = self.exchange.readers()
        for peer in peers:
            self.link(peer)

    def link(self, peer: NodeId) -> None:
        self.state.links.host(peer)

    def reads(self, sender: NodeId, *messages: Message, mono: float = 0.0) -> list[Effect]:
        """Read messages, and settle; what came of it."""
        for message in messages:
            self._readers[type(message)](sender, 0, message, at(mono))
        return self.settles(mono)

    def settles(self, mono: float = 0.0) -> list[Effect]:
        self.exchange.flush(at(mono))
        return self.state.take_effects()

    def ticks(self, mono: float) -> list[Effect]:
        self.exchange.tick(at(mono))
        return self.settles(mono)

    def hears_of(self, peer: NodeId, row: Row) -> None:
        self.state.rows.put(row)


class Wire:
    """Two sides, a millisecond apart; what is lost is decided message by message."""

    def __init__(self, loss: float = 0.0, seed: int = 1) -> None:
        self.sides = (Side(0, [B]), Side(1, [A]))
        self.now = 0.0
        self.said: list[tuple[NodeId, Message]] = []  # by whom, lost or not
        self._loss = loss
        self._random = Random(seed)
        self._under_way: list[tuple[int, Message]] = []  # to which side

    @property
    def shelves(self) -> tuple[MemoryShelf, MemoryShelf]:
        return self.sides[0].shelf, self.sides[1].shelf

    def join(self) -> None:
        for side, peer in ((self.sides[0], B), (self.sides[1], A)):
            side.exchange.linked(peer, at(self.now))
            self._send(side, side.settles(self.now))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.step()

    def run_until_equal(self, within_s: float) -> float:
        began = self.now
        while self.shelves[0].digests() != self.shelves[1].digests():
            self.step()
            assert self.now - began < within_s, "not equal in time"
        return self.now - began

    def step(self) -> None:
        self.now = round(self.now + 0.001, 3)
        under_way, self._under_way = self._under_way, []
        for place, message in under_way:
            side = self.sides[place]
            self._send(side, side.reads((A, B)[1 - place], message, mono=self.now))
        for side in self.sides:
            if self.now >= side.exchange.wake_at():
                self._send(side, side.ticks(self.now))
            else:
                self._send(side, side.settles(self.now))

    def _send(self, side: Side, effects: list[Effect]) -> None:
        place = 1 if side is self.sides[0] else 0
        for message in sent_to((A, B)[place], effects):
            self.said.append((side.node, message))
            if self._random.random() >= self._loss:
                self._under_way.append((place, message))


def traffic(effects: Sequence[Effect]) -> list[Traffic]:
    return [each.traffic for each in effects if isinstance(each, Send | SendAll)]


def causes(effects: Sequence[Effect]) -> list[str]:
    return [each.name for each in effects if isinstance(each, Counted)]
