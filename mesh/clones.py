"""Clones: two live processes with one identity, noticed by their peers, proven to themselves, never by hearsay.

Copied folders share keys, so a signature alone tells nothing. What a process cannot have signed before another
one began is an answer to that other's fresh greeting, or a row that names that other's boot (a number drawn at
random). So: who sees a row in its own name that it did not sign names that row's boot in its next one. If the
other is alive it thereby gets its proof; if the row is only left over from a process that has ended, nobody
answers and nobody stops.
"""

from dataclasses import dataclass, field

from mesh.events import IdentityCloned
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import FabricState
from mesh.trust import verify
from mesh.wire import Card, Refuse, Row

BOOTS_MAX = 8  # past boots remembered per peer
TOLD_MAX = 64  # other processes of ours that were reported
NOTICE_EVERY_S = 5.0
NOTICE_FOR_S = 60.0  # after the last sign of a second process


@dataclass(slots=True)
class _Boots:
    """Which processes have greeted us with one identity."""

    current: int
    superseded: list[int] = field(default_factory=list)
    cloned_until: float = float("-inf")
    rows: dict[int, Row] = field(default_factory=dict)  # the last row signed by each boot: evidence
    noticed_at: dict[int, float] = field(default_factory=dict)  # by boot; bounded like `rows`


class Clones:
    """Watches over the identities of peers, and over our own."""

    def __init__(self, state: FabricState) -> None:
        self._state = state
        self._boots: dict[NodeId, _Boots] = {}
        self._told: dict[tuple[int, bool], None] = {}

    # -- peers

    def greeted(self, card: Card, now: Now) -> bool:
        """A fresh greeting proves this boot alive; whether it is another one than before.

        Only a process that is alive answers a fresh greeting: a past boot that does is a second process.
        """
        state, node = self._state, NodeId(card.node)
        boots = self._boots.setdefault(node, _Boots(card.boot))
        if card.boot == boots.current:
            return False
        if card.boot in boots.superseded:
            if now.mono >= boots.cloned_until:
                state.count("identity-cloned", node)
                state.add(IdentityCloned(node, ours=False, halted=False))
            boots.cloned_until = now.mono + NOTICE_FOR_S
        if boots.current not in boots.superseded:
            boots.superseded = [*boots.superseded[1 - BOOTS_MAX :], boots.current]
        boots.current = card.boot
        return True

    def saw_row(self, sender: NodeId, row: Row, now: Now) -> None:
        """A linked peer's own row: evidence for its other self, should there be one."""
        boots = self._boots.get(sender)
        if boots is None:
            return
        boots.rows[row.boot] = row
        if len(boots.rows) > BOOTS_MAX:
            oldest = next(iter(boots.rows))
            del boots.rows[oldest]
            boots.noticed_at.pop(oldest, None)
        others = tuple(each for boot, each in boots.rows.items() if boot != row.boot)
        is_due = now.mono - boots.noticed_at.get(row.boot, float("-inf")) >= NOTICE_EVERY_S
        if others and is_due and now.mono < boots.cloned_until:
            boots.noticed_at[row.boot] = now.mono
            text = "another process uses this identity"
            self._state.send(sender, Refuse("identity-cloned", text, others[-2:]))

    # -- ourselves

    def check_own_row(self, row: Row) -> None:
        """A row that bears our name and that this process did not sign: is somebody else using our identity?"""
        state, birth = self._state, self._state.birth
        names_us = row.twin == birth.boot
        is_later = row.incarnation >= birth.incarnation or row.started_ms > birth.started_ms
        if row.node != state.me or row.boot == birth.boot or not (names_us or is_later):
            return
        if not verify(state.keys.identity.public, row.signature, row.content()):
            return
        state.answer_twin(row)
        if names_us:
            self.proven(row.boot, row.started_ms)
        else:
            self._tell(row.boot, halted=False)

    def proven(self, boot: int, started_ms: int) -> None:
        """Another live process is us. Whoever started later stops taking part."""
        state = self._state
        is_later = (state.birth.started_ms, state.birth.boot) > (started_ms, boot)
        if is_later and not state.halted:
            state.halted = "another process with this node's identity is running and started earlier"
        self._tell(boot, halted=is_later)

    def _tell(self, boot: int, halted: bool) -> None:
        """Once for each other process, and once more when it makes us stop."""
        if (boot, halted) in self._told:
            return
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        self._told[boot, halted] = None
        self._state.count("identity-cloned", self._state.me)
        self._state.add(IdentityCloned(self._state.me, ours=True, halted=halted))
