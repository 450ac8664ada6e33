"""The links of a node: at most one in use with each peer, whichever side dialled."""

from dataclasses import dataclass

from mesh.dialling import Attempt
from mesh.events import HOSTED
from mesh.greeting import Dialling
from mesh.ids import NodeId


@dataclass(slots=True)
class Dialled:
    """A session that we opened, or are opening, on somebody's broker."""

    link: int
    attempt: Attempt
    begun: float
    peer: NodeId | None = None  # known once the handshake is through
    greeting: Dialling | None = None
    is_up: bool = False


class Links:
    """Sessions by number and by peer. Of two links with one peer, the smaller id's dial is the one to keep."""

    def __init__(self, me: NodeId) -> None:
        self.changes = 0  # goes up whenever who is linked may have changed
        self._me = me
        self._next = HOSTED + 1
        self._dialled: dict[int, Dialled] = {}
        self._up: dict[NodeId, int] = {}
        self._hosted: dict[NodeId, None] = {}  # a dict, not a set: its order is seen

    def begin(self, attempt: Attempt, now: float) -> Dialled:
        """A dial is under way."""
        dialled = Dialled(self._next, attempt, now)
        self._dialled[dialled.link] = dialled
        self._next += 1
        return dialled

    def get(self, link: int) -> Dialled | None:
        return self._dialled.get(link)

    def greeting(self) -> list[Dialled]:
        """Links on which a greeting of ours is under way, or not yet seen to have arrived."""
        return [each for each in self._dialled.values() if each.greeting is not None]

    def confirm(self, dialled: Dialled) -> None:
        """The greeting on a link that we dialled is complete."""
        assert dialled.peer is not None
        dialled.is_up = True
        self.changes += 1
        self._up[dialled.peer] = dialled.link

    def host(self, peer: NodeId) -> None:
        """A peer has completed its greeting on our broker."""
        self._hosted[peer] = None
        self.changes += 1

    def end(self, link: int) -> Dialled | None:
        """A dial or dialled link is over."""
        dialled = self._dialled.pop(link, None)
        self.changes += 1
        if dialled is not None and dialled.peer is not None and self._up.get(dialled.peer) == link:
            del self._up[dialled.peer]
        return dialled

    def unhost(self, peer: NodeId) -> bool:
        if peer not in self._hosted:
            return False
        del self._hosted[peer]
        self.changes += 1
        return True

    def unhost_all(self) -> list[NodeId]:
        gone = list(self._hosted)
        self._hosted.clear()
        self.changes += 1
        return gone

    def with_peer(self, peer: NodeId) -> list[Dialled]:
        return [each for each in self._dialled.values() if each.peer == peer]

    def all_dialled(self) -> list[Dialled]:
        return list(self._dialled.values())

    def is_hosted(self, peer: NodeId) -> bool:
        return peer in self._hosted

    def is_linked(self, peer: NodeId) -> bool:
        return peer in self._up or peer in self._hosted

    def best(self, peer: NodeId) -> int | None:
        """The link to send over."""
        dialled = self._up.get(peer)
        if dialled is None:
            return HOSTED if peer in self._hosted else None
        return HOSTED if peer in self._hosted and peer < self._me else dialled

    def spare(self, peer: NodeId) -> int | None:
        """Our own dial to this peer, when the peer's dial to us is the one to keep."""
        return self._up.get(peer) if peer in self._hosted and peer < self._me else None

    def peers(self) -> list[NodeId]:
        return sorted({*self._up, *self._hosted})

    def routes(self) -> tuple[tuple[NodeId, int], ...]:
        """Every linked peer with the link to use."""
        return tuple((peer, self.best(peer) or HOSTED) for peer in self.peers())

    def __len__(self) -> int:
        return len(self._dialled) + len(self._hosted)
