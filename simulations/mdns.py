"""mDNS as it appears to a node: endpoints turn up a while after both ends are there."""

import random
from collections.abc import Callable, Sequence

from mesh.events import EndpointFound, Event, Source
from simulations.clock import Clock
from simulations.host import Host, Process
from simulations.network import Network

DELAY_S = (0.2, 1.2)  # as measured between network namespaces


class Mdns:
    """Tells running nodes of each other's endpoints. A hint, never an identity."""

    def __init__(
        self, clock: Clock, network: Network, chance: random.Random, deliver: Callable[[Process, Event], None]
    ) -> None:
        self._clock = clock
        self._network = network
        self._chance = chance
        self._deliver = deliver

    def announce(self, found: Host, finders: Sequence[Host]) -> None:
        """`found` speaks up: it is heard by the others, and hears of them."""
        for finder in finders:
            if finder is not found:
                self._soon(finder, found)
                self._soon(found, finder)

    def announce_all(self, hosts: Sequence[Host]) -> None:
        """The network has come together: everybody is heard again."""
        for finder in hosts:
            for found in hosts:
                if finder is not found:
                    self._soon(finder, found)

    def _soon(self, finder: Host, found: Host) -> None:
        self._clock.after(self._chance.uniform(*DELAY_S), self._find, finder, found)

    def _find(self, finder: Host, found: Host) -> None:
        heard = self._network.up(found.index, finder.index) and found.process is not None and found.broker.up
        if heard and finder.process is not None:
            self._deliver(finder.process, EndpointFound(found.endpoint, found.node, Source.MDNS))
