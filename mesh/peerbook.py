"""Where brokers may be found: endpoints by node, and those whose node is not known yet."""

from collections.abc import Mapping

import msgspec

from mesh.events import Source, Write
from mesh.ids import NodeId
from mesh.wire import ENDPOINTS_MAX, Endpoint

TABLE = "endpoint"
NODES_MAX = 4096  # mDNS and gossip are not trusted: they may fill this and no more
STRAYS_MAX = 256  # seeds and endpoints of unknown nodes

_decoder = msgspec.msgpack.Decoder(tuple[Endpoint, ...])


class PeerBook:
    """Endpoints to try. Proven ones (a greeting came from there) stand first and survive restarts."""

    def __init__(self, saved: Mapping[str, bytes] | None = None) -> None:
        self._proven: dict[NodeId, tuple[Endpoint, ...]] = {}
        self._heard: dict[NodeId, dict[Endpoint, frozenset[Source]]] = {}  # and who says so
        self._strays: dict[Endpoint, Source] = {}
        for node, data in sorted((saved or {}).items()):
            try:
                self._proven[NodeId(node)] = _decoder.decode(data)[:ENDPOINTS_MAX]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # a damaged hint is no loss: the peer will be found again

    def found(self, endpoint: Endpoint, node: NodeId | None, source: Source) -> bool:
        """An endpoint was heard of; whether it is new."""
        if node is None:
            new = endpoint not in self._strays
            if new and len(self._strays) < STRAYS_MAX:
                self._strays[endpoint] = source
            return new
        if node not in self._heard and len(self._heard) >= NODES_MAX:
            return False
        known = self._heard.setdefault(node, {})
        new = endpoint not in known
        if new and source is Source.GOSSIP and len(known) >= ENDPOINTS_MAX:
            return False  # else what is passed on could displace what comes back, and go round for ever
        known[endpoint] = known.pop(endpoint, frozenset()) | {source}
        if len(known) > ENDPOINTS_MAX:
            del known[next(iter(known))]
        return new and endpoint not in self._proven.get(node, ())

    def lost(self, node: NodeId, source: Source) -> None:
        """This source no longer vouches for the node."""
        known = self._heard.get(node, {})
        for endpoint in [each for each, by in known.items() if source in by]:
            known[endpoint] -= {source}
            if not known[endpoint]:
                del known[endpoint]

    def prove(self, node: NodeId, endpoints: tuple[Endpoint, ...]) -> tuple[Write, ...]:
        """The node itself has told us where it listens: what others say of it is out of date."""
        endpoints = endpoints[:ENDPOINTS_MAX]
        if endpoints:
            self.lost(node, Source.GOSSIP)
        if self._proven.get(node) == endpoints or not endpoints:
            return ()
        self._proven[node] = endpoints
        return (Write(TABLE, node, msgspec.msgpack.encode(endpoints)),)

    def told(
        self, node: NodeId, endpoints: tuple[Endpoint, ...], is_own: bool
    ) -> tuple[list[Endpoint], tuple[Write, ...]]:
        """A linked peer named a node's endpoints; what was news, and what to write.

        Of itself, over its own link, its word is proof; of others it is hearsay.
        """
        if not is_own:
            return [each for each in endpoints if self.found(each, node, Source.GOSSIP)], ()
        writes = self.prove(node, endpoints)
        return (list(endpoints) if writes else []), writes

    def settle(self, endpoint: Endpoint, node: NodeId) -> None:
        """A dial has shown who answers at an endpoint that was a stray."""
        if self._strays.pop(endpoint, None) is not None:
            self.found(endpoint, node, Source.SEED)

    def endpoints(self, node: NodeId) -> tuple[Endpoint, ...]:
        """What to try for this node, the best first."""
        return tuple(dict.fromkeys((*self._proven.get(node, ()), *reversed(self._heard.get(node, {})))))

    def proven(self, node: NodeId) -> tuple[Endpoint, ...]:
        return self._proven.get(node, ())

    def strays(self) -> tuple[Endpoint, ...]:
        return tuple(self._strays)

    def nodes(self) -> list[NodeId]:
        return sorted({*self._proven, *self._heard})

    def seen_by(self, node: NodeId, source: Source) -> bool:
        return any(source in by for by in self._heard.get(node, {}).values())

    def forget(self, node: NodeId) -> tuple[Write, ...]:
        self._heard.pop(node, None)
        return (Write(TABLE, node, None),) if self._proven.pop(node, None) else ()
