"""Spreading rows: our own with new beats, others to whoever cannot hear their author; differences are repaired."""

from collections.abc import Iterable, Iterator

from mesh.batches import batches
from mesh.clones import Clones
from mesh.ids import NodeId, short_of
from mesh.now import Now
from mesh.pacing import Pacing
from mesh.rows import pack, unpack
from mesh.state import FabricState
from mesh.trust import verify
from mesh.wire import Beat, Row, Rows, RowsWanted

WANTED_EVERY_S = 0.5
WANTED_EVERY_MAX_S = 10.0
GATHER_NEW_S = 0.1  # hearing one more peer can wait for the next; hearing one less cannot
TELL_S = 2.0  # for so long a new row goes with every beat; after that the digest finds who has missed it
PASS_ON_S = 0.03  # rows that change together travel together
ROWS_PER_MESSAGE = 400
ROWS_BYTES_MAX = 200_000  # under the frame limit; a row that hears thousands is 16 kB
ROW_BYTES = 200  # without whom it hears


class RowSync:
    """Owns the spreading of rows."""

    def __init__(self, state: FabricState, clones: Clones) -> None:
        self._state = state
        self._clones = clones
        self._pacing = Pacing(WANTED_EVERY_S, WANTED_EVERY_MAX_S)
        self._passing: dict[NodeId, NodeId] = {}  # author -> from whom we have it
        self._pass_at = float("inf")
        self._sign_at = float("inf")
        self._tell_until = float("-inf")

    # -- our own row

    def refresh(self, now: float) -> None:
        """Note that whom we hear may have changed; losses are told at once, gains soon."""
        state = self._state
        heard = pack(state.hearing.heard())
        is_told = (state.row.broker_up, state.row.twin) == (state.broker_up, state.twin)
        if heard == state.row.heard and is_told and state.row.version:
            self._sign_at = float("inf")
            return
        lost = (
            not set(unpack(state.row.heard)) <= set(unpack(heard)) or state.broker_up != state.row.broker_up
        )
        self._sign_at = min(self._sign_at, now if lost or not state.row.version else now + GATHER_NEW_S)

    def is_row_due(self, now: float) -> bool:
        return now >= self._sign_at

    def sign(self, now: float) -> None:
        """Put the new row out; the caller beats."""
        self._sign_at = float("inf")
        self._tell_until = now + TELL_S
        self._state.sign_row(pack(self._state.hearing.heard()))

    def is_news(self, now: float) -> bool:
        """Whether our row is so new that beats carry it: one of them will get through."""
        return now <= self._tell_until

    # -- others' rows

    def beat(self, sender: NodeId, beat: Beat, now: Now) -> None:
        """A linked peer's beat: its own row, and a digest of all it holds."""
        state = self._state
        if beat.row is not None:
            if beat.row.node != sender:
                state.count("row-forged", sender)
                return
            self.take(beat.row, sender, now)
            self._clones.saw_row(sender, beat.row, now)
        if beat.roster_digest != state.roster.digest:
            return  # rows are compared among equal rosters only
        if beat.rows_digest == state.rows.digest:
            self._pacing.settled(sender)
        elif self._pacing.may(sender, now.mono):
            state.send(sender, RowsWanted(state.rows.versions()))

    def forget(self, peer: NodeId) -> None:
        """The links with this peer have ended."""
        self._pacing.settled(peer)

    def wanted(self, sender: NodeId, wanted: RowsWanted) -> None:
        newer = self._state.rows.newer_than(wanted.versions)
        if newer:
            self._state.send(sender, Rows(next(_batches(newer))))  # the rest will be asked for again

    def take(self, row: Row, source: NodeId, now: Now) -> None:
        """Verify and hold a row that is news; pass it on to those who cannot hear its author."""
        state, author = self._state, NodeId(row.node)
        if author == state.me:
            self._clones.check_own_row(row)
            return
        if not state.roster.is_member(author) or not state.rows.is_news(row):
            return
        identity = state.roster.identity(author)
        if identity is None or not verify(identity, row.signature, row.content()):
            state.count("row-forged", source)
            return
        state.rows.put(row)
        state.paths_changed = True
        self._passing[author] = source
        self._pass_at = min(self._pass_at, now.mono + PASS_ON_S)

    def pass_on(self, now: float) -> None:
        """Send gathered rows to each linked peer that their authors do not reach themselves."""
        if now < self._pass_at:
            return
        state = self._state
        passing, self._passing = self._passing, {}
        self._pass_at = float("inf")
        held = [(state.rows.get(author), source) for author, source in passing.items()]
        for peer, link in state.links.routes():
            short = short_of(peer)
            rows = tuple(
                row
                for row, source in held
                if row is not None and peer not in (source, row.node) and short not in unpack(row.heard)
            )
            for batch in _batches(rows):
                state.send_over(link, peer, Rows(batch))

    def wake_at(self) -> float:
        return min(self._pass_at, self._sign_at)


def _batches(rows: Iterable[Row]) -> Iterator[tuple[Row, ...]]:
    return batches(rows, lambda row: ROW_BYTES + len(row.heard), ROWS_BYTES_MAX, ROWS_PER_MESSAGE)
