"""Making cores, and reading what they ask for."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import TypeVar

from mesh.events import Counted, Effect, Send, SendAll
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import Birth, CoreConfig, Keys
from mesh.wire import Endpoint, Message, decode
from node.core import NodeCore
from tests.mesh.site import WALL_MS

T = TypeVar("T")


def at(mono: float, wall_ms: int | None = None) -> Now:
    """A moment of the tests' time, with a right clock unless told otherwise."""
    return Now(mono, WALL_MS + int(mono * 1000) if wall_ms is None else wall_ms)


def born(incarnation: int = 1, boot: int = 1000, started_ms: int = WALL_MS) -> Birth:
    return Birth(incarnation, boot, started_ms)


def core_of(
    keys: Keys,
    saved: Mapping[str, Mapping[str, bytes]] | None = None,
    birth: Birth | None = None,
    config: CoreConfig | None = None,
    seed: int = 1,
) -> NodeCore:
    return NodeCore(config or CoreConfig(), keys, birth or born(), saved or {}, Random(seed))


def endpoint_of(place: int) -> Endpoint:
    return Endpoint(f"host-{place}", 8883)


def only(effects: Iterable[Effect], kind: type[T]) -> list[T]:
    """The effects of one kind, in order."""
    return [each for each in effects if isinstance(each, kind)]


def none_of(effects: Iterable[Effect], *kinds: type[Effect]) -> bool:
    """Whether there is no effect of these kinds."""
    return not any(isinstance(each, kinds) for each in effects)


def counted(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    return [(each.name, each.peer) for each in effects if isinstance(each, Counted)]


def sent_to(peer: NodeId, effects: Iterable[Effect]) -> list[Message]:
    """The messages that these effects send to a peer, decoded."""
    found: list[Message] = []
    for each in effects:
        is_for_peer = isinstance(each, Send) and each.peer == peer
        is_for_all = isinstance(each, SendAll) and peer in dict(each.links)
        if isinstance(each, Send | SendAll) and (is_for_peer or is_for_all):
            found.extend(decode(each.data)[0].messages)
    return found


def messages(effects: Iterable[Effect]) -> list[Message]:
    """Every message that these effects send to anybody."""
    return [
        message
        for each in effects
        if isinstance(each, Send | SendAll)
        for message in decode(each.data)[0].messages
    ]
