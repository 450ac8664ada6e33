"""Finding and linking: what is heard of endpoints, and what becomes of dials."""

from mesh.dialling import Attempt
from mesh.doorway import Doorway
from mesh.events import DialFailed, EndpointFound, EndpointLost, LinkClosed, LinkOpened, Source
from mesh.ids import NodeId
from mesh.links import Dialled
from mesh.now import Now
from mesh.state import FabricState
from mesh.wire import Endpoint

SEEK_EVERY_S = 5.0  # dials of a removed node that is announced
TELL_EVERY_S = 60.0  # to a removed node that is there and has been told
DOUBLE_EVERY_S = 1.0  # announcements are not trusted: they may cost one dial a second


class Finding:
    """Turns sightings into dials, and dials into greetings."""

    def __init__(self, state: FabricState, doorway: Doorway) -> None:
        self._state = state
        self._doorway = doorway
        self._double_at = float("-inf")
        self._tell_at: dict[NodeId, float] = {}  # at most one each of the roster's removals

    def endpoint_found(self, found: EndpointFound, now: Now) -> None:
        state = self._state
        if found.node == state.me:
            self._check_double(found, now)
            return
        if found.node is not None and state.roster.is_removed(found.node):
            self._seek_removed(found.endpoint, found.node, now)
            return
        is_new = state.book.found(found.endpoint, found.node, found.source)
        if found.node is not None and (is_new or found.source in (Source.MDNS, Source.SHARED)):
            state.hurry(found.node, now.mono)

    def _check_double(self, found: EndpointFound, now: Now) -> None:
        """Somebody announces our own identity elsewhere: dial it, so that the greeting shows whether it is a clone."""
        state = self._state
        is_elsewhere = found.endpoint not in state.endpoints
        is_told = now.mono < self._double_at or bool(state.links.with_peer(state.me))
        if is_elsewhere and not is_told and not state.halted:
            self._double_at = now.mono + DOUBLE_EVERY_S
            state.dial(Attempt(found.endpoint, None), now.mono)

    def _seek_removed(self, endpoint: Endpoint, node: NodeId, now: Now) -> None:
        """A node that was away when it was removed: all brokers are deaf to it, so it is told at its own door."""
        if now.mono >= self._tell_at.get(node, float("-inf")) and not self._state.halted:
            self._tell_at[node] = now.mono + SEEK_EVERY_S
            self._state.dial(Attempt(endpoint, None), now.mono)

    def endpoint_lost(self, lost: EndpointLost, now: Now) -> None:
        self._state.book.lost(lost.node, lost.source)

    def link_opened(self, opened: LinkOpened, now: Now) -> None:
        state = self._state
        dialled = state.links.get(opened.link)
        if dialled is None:
            state.hangup(opened.link)  # we have given it up in the meantime
            return
        dialled.peer = opened.peer
        state.book.settle(dialled.attempt.endpoint, opened.peer)
        if state.roster.is_removed(opened.peer):
            self._tell_at[opened.peer] = now.mono + TELL_EVERY_S
            self._doorway.tell_removed(opened.link, opened.peer)
        if state.roster.is_removed(opened.peer) or self._is_superfluous(dialled):
            state.end_dialled(opened.link, "linked already", now.mono)
            state.hangup(opened.link)
            return
        self._doorway.begin(dialled, now)

    def _is_superfluous(self, dialled: Dialled) -> bool:
        assert dialled.peer is not None
        state = self._state
        another = any(each.link != dialled.link for each in state.links.with_peer(dialled.peer))
        return another or (state.links.is_hosted(dialled.peer) and state.hearing.hears(dialled.peer))

    def dial_failed(self, failed: DialFailed, now: Now) -> None:
        dialled = self._state.links.get(failed.link)
        peer = dialled.attempt.node if dialled else None
        self._state.end_dialled(failed.link, failed.reason, now.mono)
        if failed.reason in ("wrong-root", "certificate-expired", "not-a-node"):
            self._state.count(f"dial-{failed.reason}", peer or "")

    def link_closed(self, closed: LinkClosed, now: Now) -> None:
        state = self._state
        dialled = state.links.get(closed.link)
        state.end_dialled(closed.link, closed.reason, now.mono)
        if dialled is not None and dialled.peer is not None and dialled.is_up:
            state.count("link-lost", dialled.peer)
            if state.me < dialled.peer:
                state.links.unhost(dialled.peer)  # its own dial was hung up for ours, which we were not told
