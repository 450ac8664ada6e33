"""The doorway: greetings in and out, and what comes of them: a link, a refusal, or a cloned identity noticed."""

from dataclasses import dataclass, field

from mesh.events import HOSTED, IdentityCloned
from mesh.greeting import GIVE_UP_S, REPEAT_S, Dialling, GreetingError
from mesh.ids import NodeId
from mesh.links import Dialled
from mesh.now import Now
from mesh.roster import MemberEntry, encode_entry
from mesh.roster_sync import RosterSync
from mesh.state import FabricState
from mesh.trust import verify
from mesh.wire import VERSION, VERSION_OLDEST, Addresses, Card, Confirm, Hello, Refuse, Row, Welcome

REFUSE_EVERY_S = 1.0  # to one peer: refusing must not become a flood
REFUSED_MAX = 1024  # peers whom we have lately refused
BOOTS_MAX = 8  # past boots remembered per peer
NOTICE_EVERY_S = 5.0
CODES = frozenset(
    {
        *("no-session", "halted", "removed", "not-a-member", "identity-cloned"),
        *(
            "other-site",
            "origin-forged",
            "version-unknown",
            "greetings-full",
            "greeting-replayed",
            "greeting-forged",
        ),
        *(
            "bad-chain",
            "bad-certificate",
            "wrong-root",
            "not-an-authority",
            "certificate-early",
            "certificate-expired",
        ),
    }
)
"""What a Refuse may say: a peer must not make up counters."""


@dataclass(slots=True)
class _Boots:
    """Which processes have greeted us with one identity."""

    current: int
    superseded: list[int] = field(default_factory=list)
    cloned: bool = False
    rows: dict[int, Row] = field(default_factory=dict)  # the last row signed by each boot: evidence
    noticed_at: dict[int, float] = field(default_factory=dict)  # by boot; bounded like `rows`


class Doorway:
    """Opens links. `linked` is called with each peer whose greeting is complete."""

    def __init__(self, state: FabricState, roster_sync: RosterSync) -> None:
        self._state = state
        self._roster_sync = roster_sync
        self._boots: dict[NodeId, _Boots] = {}
        self._refused_at: dict[NodeId, float] = {}

    # -- the dialler's side

    def begin(self, dialled: Dialled, now: Now) -> None:
        """A dial got through: greet."""
        state = self._state
        assert dialled.peer is not None
        hello = Hello(VERSION_OLDEST, VERSION, state.random.randbytes(16), state.card(now))
        dialled.greeting = Dialling(dialled.peer, hello, now.mono, now.mono + REPEAT_S)
        state.send_over(dialled.link, dialled.peer, hello, door=True)

    def repeat(self, now: Now) -> None:
        """Say again what has not been seen to arrive; give up on hosts that stay silent."""
        for dialled in self._state.links.greeting():
            greeting = dialled.greeting
            assert greeting is not None
            if now.mono - greeting.began >= GIVE_UP_S and greeting.confirm is None:
                self._state.count("greeting-unanswered", greeting.peer)
                self._give_up(dialled, "greeting unanswered", now)
            elif now.mono >= greeting.repeat_at:
                greeting.repeat_at = now.mono + REPEAT_S
                message = greeting.confirm or greeting.hello
                self._state.send_over(dialled.link, greeting.peer, message, door=True)

    def wake_at(self) -> float:
        greetings = (dialled.greeting for dialled in self._state.links.greeting())
        return min((each.repeat_at for each in greetings if each is not None), default=float("inf"))

    def welcomed(self, dialled: Dialled, welcome: Welcome, now: Now) -> bool:
        """The host has answered; whether the link is now open on our side."""
        state, greeting = self._state, dialled.greeting
        if greeting is None or greeting.confirm is not None:
            return False  # a repeated welcome
        try:
            confirm = state.greeter.confirm(greeting, welcome, self._at_ms(now))
            self._require_not_removed(NodeId(welcome.card.node))
        except GreetingError as error:
            state.count(error.code, greeting.peer)
            if error.code != "greeting-replayed":  # a late answer to an earlier hello decides nothing
                self._give_up(dialled, error.code, now)
            return False
        greeting.confirm = confirm
        greeting.repeat_at = now.mono + REPEAT_S
        state.links.confirm(dialled)
        state.send_over(dialled.link, greeting.peer, confirm, door=True)
        self._accept(welcome.card, now)
        return True

    def heard_from_host(self, dialled: Dialled) -> None:
        """The host speaks to us as to a linked peer: our confirm has arrived."""
        if dialled.is_up:
            dialled.greeting = None

    # -- the host's side

    def hello(self, sender: NodeId, hello: Hello, now: Now) -> None:
        state = self._state
        if sender == state.me:
            self._greeted_by_ourselves(hello, now)
            return
        if state.halted:
            self.refuse(HOSTED, sender, "halted", state.halted, now)
            return
        try:
            self._require_not_removed(sender)
            nonce = state.random.randbytes(16)
            at_ms = self._at_ms(now)
            welcome = state.greeter.welcome(sender, hello, state.card(now), nonce, at_ms, now.mono)
            self._take_entry(hello.card, now)
            self._require_known(sender)
        except GreetingError as error:
            state.count(error.code, sender)
            self.refuse(HOSTED, sender, error.code, error.detail, now)
            return
        state.send_over(HOSTED, sender, welcome)

    def confirm(self, sender: NodeId, confirm: Confirm, now: Now) -> bool:
        """Whether the peer's greeting is now complete and new."""
        state = self._state
        try:
            card = state.greeter.confirmed(sender, confirm)
        except GreetingError as error:
            state.count(error.code, sender)
            return False
        if card is None and not state.links.is_hosted(sender):
            state.count("confirm-unexpected", sender)
        if card is None or state.halted or not state.roster.is_member(sender):
            return False
        state.links.host(sender)
        self._accept(card, now)
        return True

    def refuse(self, link: int, peer: NodeId, code: str, detail: str, now: Now) -> None:
        """Say no, at most once a second to one peer."""
        if now.mono - self._refused_at.get(peer, float("-inf")) < REFUSE_EVERY_S:
            return
        self._refused_at.pop(peer, None)
        if len(self._refused_at) >= REFUSED_MAX:
            del self._refused_at[next(iter(self._refused_at))]
        self._refused_at[peer] = now.mono
        removal = self._state.roster.removal_entry(peer)
        self._state.send_over(link, peer, Refuse(code, detail, (), (removal,) if removal else ()))

    # -- both sides

    def refused(self, link: int, sender: NodeId, refuse: Refuse, now: Now) -> None:
        """A peer will not have us, or warns us."""
        state = self._state
        code = refuse.code if refuse.code in CODES else "other"
        state.count(f"refused-{code}", sender)
        self._roster_sync.merge(refuse.removals, sender, now)
        for row in refuse.evidence:
            self.check_own_row(row, now)
        dialled = state.links.get(link)
        if code != "identity-cloned" and dialled is not None and dialled.peer == sender:
            self._give_up(dialled, f"refused: {code}", now)

    def check_own_row(self, row: Row, now: Now) -> None:
        """A row that bears our name and that this process did not sign: is somebody else using our identity?"""
        state = self._state
        birth = state.birth
        is_ours = row.node == state.me and row.boot != birth.boot
        is_later = row.incarnation >= birth.incarnation or row.started_ms > birth.started_ms
        if is_ours and is_later and verify(state.keys.identity.public, row.signature, row.content()):
            self._cloned(row.boot, row.started_ms)

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
        noticed_at = boots.noticed_at.get(row.boot, float("-inf"))
        if boots.cloned and others and now.mono - noticed_at >= NOTICE_EVERY_S:
            boots.noticed_at[row.boot] = now.mono
            self._state.send(
                sender, Refuse("identity-cloned", "another process uses this identity", others[-2:])
            )

    def _accept(self, card: Card, now: Now) -> None:
        """A greeting is complete: its card is proven and fresh."""
        state, node = self._state, NodeId(card.node)
        self._take_entry(card, now)
        self._take_boot(card)
        state.lanes.greet(node, card.boot)
        state.membership.greeted(node, card.incarnation, now.mono)
        if state.hearing.hear(node, now.mono):
            state.paths_changed = True
        writes = state.book.prove(node, card.endpoints)
        state.persist(writes)
        if writes:
            state.send_others(node, Addresses(((node, card.endpoints),)))
        state.send_addresses(node)

    def _take_entry(self, card: Card, now: Now) -> None:
        """The card's certificate may be news to the roster."""
        entry = encode_entry(MemberEntry(card.chain, card.identity))
        self._roster_sync.merge((entry,), NodeId(card.node), now)

    def _take_boot(self, card: Card) -> None:
        """Only a process that is alive answers a fresh greeting: a past boot that does is a second process."""
        state, node = self._state, NodeId(card.node)
        boots = self._boots.setdefault(node, _Boots(card.boot))
        if card.boot == boots.current:
            return
        if card.boot in boots.superseded and not boots.cloned:
            boots.cloned = True
            state.count("identity-cloned", node)
            state.add(IdentityCloned(node, ours=False, halted=False))
        if boots.current not in boots.superseded:
            boots.superseded = [*boots.superseded[1 - BOOTS_MAX :], boots.current]
        boots.current = card.boot

    def _greeted_by_ourselves(self, hello: Hello, now: Now) -> None:
        """Either we have dialled our own broker, or a process with our certificate has."""
        state = self._state
        if hello.card.boot != state.birth.boot:
            state.send_over(HOSTED, state.me, Refuse("identity-cloned", "", (state.row,)))
            self._cloned(hello.card.boot, hello.card.started_ms)
            return
        for dialled in state.links.with_peer(state.me):
            self._give_up(dialled, "that is this node itself", now)

    def _cloned(self, boot: int, started_ms: int) -> None:
        """Another live process is us. Whoever started later stops taking part."""
        state = self._state
        is_later = (state.birth.started_ms, state.birth.boot) > (started_ms, boot)
        if is_later and not state.halted:
            state.halted = "another process with this node's identity is running and started earlier"
        state.count("identity-cloned", state.me)
        state.add(IdentityCloned(state.me, ours=True, halted=is_later))

    def _require_not_removed(self, sender: NodeId) -> None:
        removal = self._state.roster.removal(sender)
        if removal is not None:
            raise GreetingError("removed", removal.reason)

    def _require_known(self, sender: NodeId) -> None:
        if not self._state.roster.is_member(sender):
            raise GreetingError("not-a-member", "its certificate does not make it one")

    def _give_up(self, dialled: Dialled, reason: str, now: Now) -> None:
        self._state.end_dialled(dialled.link, reason, now.mono)
        self._state.hangup(dialled.link)

    def _at_ms(self, now: Now) -> int:
        return self._state.clock.mesh_ms(now.wall_ms)
