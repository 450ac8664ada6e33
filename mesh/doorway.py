"""The doorway: greetings in and out, and what comes of them: a link, a refusal, or a cloned identity noticed."""

from mesh.clones import Clones
from mesh.events import HOSTED
from mesh.greeting import GIVE_UP_S, REPEAT_S, Dialling, GreetingError
from mesh.ids import NodeId
from mesh.links import Dialled
from mesh.now import Now
from mesh.roster import MemberEntry, encode_entry
from mesh.roster_sync import RosterSync
from mesh.state import FabricState
from mesh.wire import VERSION, VERSION_OLDEST, Addresses, Card, Confirm, Hello, Refuse, Welcome

REFUSE_EVERY_S = 1.0  # to one peer: refusing must not become a flood
REFUSED_MAX = 1024  # peers whom we have lately refused
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


class Doorway:
    """Opens links. `linked` is called with each peer whose greeting is complete."""

    def __init__(self, state: FabricState, roster_sync: RosterSync, clones: Clones) -> None:
        self._state = state
        self._roster_sync = roster_sync
        self._clones = clones
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
            confirm = state.greeter.confirm(greeting, welcome, self._at_ms(now), state.clock.is_unjudged())
            self._require_not_removed(greeting.peer)
            if greeting.peer != state.me:
                self._take_entry(welcome.card, now)
                self._require_known(greeting.peer)
        except GreetingError as error:
            state.count(error.code, greeting.peer)
            if error.code != "greeting-replayed":  # a late answer to an earlier hello decides nothing
                self._give_up(dialled, error.code, now)
            return False
        greeting.confirm = confirm
        greeting.repeat_at = now.mono + REPEAT_S
        state.send_over(dialled.link, greeting.peer, confirm, door=True)
        if greeting.peer == state.me:
            self._clones.proven(welcome.card.boot, welcome.card.started_ms)
            self._give_up(dialled, "another process uses this identity", now)
            return False
        state.links.confirm(dialled)
        self._accept(welcome.card, dialled.link, now)
        return True

    def heard_from_host(self, dialled: Dialled) -> None:
        """The host speaks to us as to a linked peer: our confirm has arrived."""
        if dialled.is_up:
            dialled.greeting = None

    # -- the host's side

    def hello(self, sender: NodeId, hello: Hello, now: Now) -> None:
        state = self._state
        if sender == state.me and hello.card.boot == state.birth.boot:
            self._met_ourselves(now)
            return
        if state.halted:
            self.refuse(HOSTED, sender, "halted", state.halted, now)
            return
        try:
            self._require_not_removed(sender)
            nonce = state.random.randbytes(16)
            at_ms = self._at_ms(now)
            welcome = state.greeter.welcome(
                sender, hello, state.card(now), nonce, at_ms, now.mono, state.clock.is_unjudged()
            )
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
            card = state.greeter.confirmed(sender, confirm, now.mono)
        except GreetingError as error:
            state.count(error.code, sender)
            return False
        if card is not None and sender == state.me:
            self._clones.proven(card.boot, card.started_ms)
            return False
        if card is None and not state.links.is_hosted(sender):
            state.count("confirm-unexpected", sender)
        if card is None or state.halted or not state.roster.is_member(sender):
            return False
        state.links.host(sender)
        self._accept(card, HOSTED, now)
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

    def tell_removed(self, link: int, peer: NodeId) -> None:
        """At the peer's own door: that it was removed, and the proof."""
        removal = self._state.roster.removal_entry(peer)
        assert removal is not None
        self._state.send_over(link, peer, Refuse("removed", "", (), (removal,)), door=True)

    def refused(self, link: int, sender: NodeId, refuse: Refuse, now: Now) -> None:
        """A peer will not have us, or warns us."""
        state = self._state
        code = refuse.code if refuse.code in CODES else "other"
        state.count(f"refused-{code}", sender)
        self._roster_sync.merge(refuse.removals, sender, now)
        for row in refuse.evidence:
            self._clones.check_own_row(row)
        dialled = state.links.get(link)
        if code != "identity-cloned" and dialled is not None and dialled.peer == sender:
            self._give_up(dialled, f"refused: {code}", now)

    def _accept(self, card: Card, link: int, now: Now) -> None:
        """A greeting is complete: its card is proven and fresh."""
        state, node = self._state, NodeId(card.node)
        self._take_entry(card, now)
        if self._clones.greeted(card, now):
            self._end_former(node, link, now)
        state.lanes.greet(node, card.boot)
        state.releases[node] = card.release
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

    def _end_former(self, node: NodeId, link: int, now: Now) -> None:
        """The peer is another process than before: what links we had with that one are not with this one."""
        state = self._state
        for dialled in state.links.with_peer(node):
            if dialled.link != link and dialled.is_up:
                self._give_up(dialled, "it is another process now", now)
        if link != HOSTED:
            state.links.unhost(node)

    def _met_ourselves(self, now: Now) -> None:
        """We have dialled our own broker."""
        for dialled in self._state.links.with_peer(self._state.me):
            self._give_up(dialled, "that is this node itself", now)

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
