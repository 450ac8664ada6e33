"""Level one of anti-entropy: what is written goes out at once, and on to whoever its writer cannot reach."""

from mesh.envelopes import is_sealed, seal
from mesh.events import Traffic
from mesh.ids import NodeId, short_of
from mesh.now import Now
from mesh.replicas import Fresh, Shelf
from mesh.rows import unpack
from mesh.state import FabricState
from mesh.wire import Push

GATHER_S = 0.02  # one push in so long while much is written: what follows closely travels together ...
BURST = 8  # ... but some may go at once, so that an alarm does not wait for another's holding
PUSH_BYTES_MAX = 120_000  # under a frame; more than this is fetched in parts
UPDATES_MAX = 256  # per push


class Pushing:
    """Owns the pushing of fresh writes."""

    def __init__(self, state: FabricState, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf
        self._spent_until = float("-inf")
        self._flush_at = float("inf")

    def flush(self, now: Now) -> bool:
        """Push what is fresh, unless we have just done so; whether something was too large to push."""
        self._flush_at = float("inf")
        if not self._shelf.has_fresh():
            return False
        self._spent_until = max(self._spent_until, now.mono - (BURST - 1) * GATHER_S)
        if self._spent_until > now.mono:
            self._flush_at = self._spent_until
            return False
        self._spent_until += GATHER_S
        pushed = [self._push(fresh) for fresh in self._shelf.take_fresh()]
        return not all(pushed)

    def take(self, sender: NodeId, push: Push, now: Now) -> str:
        """A peer's push; how it fitted (see Shelf.fits). What was not all good is no more passed on than a gap is."""
        fit = self._shelf.fits(push.name, push.mark, push.pen, push.start, push.stop)
        if fit != "next" or not is_sealed(self._state, sender, push):
            return fit
        if not self._shelf.merge(sender, push.name, push.mark, push.updates, now, pushed_by=push.pen):
            return "gap"
        self._pass_on(sender, push)
        return fit

    def wake_at(self) -> float:
        return self._flush_at

    def _push(self, fresh: Fresh) -> bool:
        if len(fresh.updates) > UPDATES_MAX or sum(map(len, fresh.updates)) > PUSH_BYTES_MAX:
            return False
        state = self._state
        if state.links.peers() and not state.halted:
            push = Push(fresh.name, fresh.mark, fresh.pen, fresh.start, fresh.stop, fresh.updates)
            state.send_all(seal(state, push), traffic=traffic_of(fresh.name))
        return True

    def _pass_on(self, sender: NodeId, push: Push) -> None:
        """To the linked peers that cannot hear who it came from; in an overlay to all the others."""
        state = self._state
        is_overlay, short = state.is_overlay(), short_of(sender)
        deaf = [
            peer
            for peer in state.links.peers()
            if peer != sender and (is_overlay or not self._hears(peer, short))
        ]
        if deaf:
            sealed = seal(state, push)
            for peer in deaf:
                state.send(peer, sealed, traffic=traffic_of(push.name))

    def _hears(self, peer: NodeId, short: bytes) -> bool:
        row = self._state.rows.get(peer)
        return row is not None and short in unpack(row.heard)


def traffic_of(name: str) -> Traffic:
    """Alarms before the rest of the state."""
    return Traffic.ALARM if name.partition(":")[0] == "alarm" else Traffic.STATE
