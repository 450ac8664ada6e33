"""Keeping rosters equal: what is new goes to everybody at once; beats carry the digest and repair the rest."""

from collections.abc import Iterable

from mesh.batches import batches
from mesh.events import MembershipEnded
from mesh.ids import NodeId
from mesh.now import Now
from mesh.pacing import Pacing
from mesh.state import FabricState
from mesh.wire import PEERS_MAX, Beat, RosterEntries, RosterWanted

EVERY_S = 0.5
EVERY_MAX_S = (
    60.0  # two rosters that cannot become equal (one refuses an entry) must not talk about it for ever
)
REMOVED = "this node was removed from the site"
ENTRIES_BYTES_MAX = 200_000  # per answer; the rest is asked for again


class RosterSync:
    """Merges entries and passes news on."""

    def __init__(self, state: FabricState) -> None:
        self._state = state
        self._pacing = Pacing(EVERY_S, EVERY_MAX_S)

    def merge(self, entries: Iterable[bytes], source: NodeId | None, now: Now) -> None:
        """Take entries from a peer (or, with None, of our own making): persist, then pass on, then act."""
        state = self._state
        merged = state.roster.merge(entries)
        for reason in merged.refused:
            state.count(reason, source or "")
        if not merged.writes:
            return
        if source is not None:
            self._pacing.settled(source)  # it gets on: the rest may be asked for with the next beat
        state.persist(merged.writes)
        state.rows.forget_names()
        state.paths_changed = True
        for batch in batches(merged.fresh, len, ENTRIES_BYTES_MAX, PEERS_MAX):
            state.send_others(source, RosterEntries(batch))
        for node in merged.changed:
            if not state.roster.is_member(node):
                self._cut_off(node, now)
        state.set_access(now)

    def forget(self, peer: NodeId) -> None:
        """The links with this peer have ended."""
        self._pacing.settled(peer)

    def beat(self, sender: NodeId, beat: Beat, now: Now) -> None:
        """Ask for what the digests say is different."""
        if beat.roster_digest == self._state.roster.digest:
            self._pacing.settled(sender)
        elif self._pacing.may(sender, now.mono):
            self._state.send(sender, RosterWanted(self._state.roster.have()))

    def wanted(self, sender: NodeId, wanted: RosterWanted) -> None:
        lacking = self._state.roster.lacking(wanted.have)
        if lacking:
            batch = next(
                batches(lacking, len, ENTRIES_BYTES_MAX, PEERS_MAX)
            )  # the rest will be asked for again
            self._state.send(sender, RosterEntries(batch))
            self._state.send_addresses(sender)  # those told before were of strangers to it

    def end_if_removed(self) -> None:
        """A node that was removed takes no part, also after it was started again."""
        state = self._state
        removal = state.roster.removal(state.me)
        if removal is not None and not state.halted.startswith(REMOVED):
            state.halted = f"{REMOVED}: {removal.reason}"
            state.add(MembershipEnded(state.halted))

    def _cut_off(self, node: NodeId, now: Now) -> None:
        state = self._state
        if node == state.me:
            self.end_if_removed()
            return
        state.drop_peer(node, "removed", now.mono)
        state.rows.forget(node)
        state.lanes.forget(node)
        state.clock.forget(node)
        state.persist(state.book.forget(node))
