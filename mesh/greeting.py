"""The greeting that opens a link: three signed, fresh messages, checked against the roster on both sides.

    dialler -- Hello(nonce, card) -------------------------> host
    dialler <- Welcome(echo, nonce, card, signature) ------- host      signature over hello and welcome
    dialler -- Confirm(echo, signature) -------------------> host      signature over hello and welcome

A lost message is repaired by the dialler, who repeats what it has not seen answered; the host answers the same
hello with the same welcome. Nothing here trusts the transport for more than the sender's name on the topic.
"""

from dataclasses import dataclass, field

import msgspec

from mesh.ids import NodeId, node_id_of
from mesh.trust import Identity, Member, Root, TrustError, verify
from mesh.wire import VERSION, VERSION_OLDEST, Card, Confirm, Hello, Welcome

REPEAT_S = 0.3  # a LAN answers in milliseconds; three repeats fit before the dialler gives up
GIVE_UP_S = 2.0
PENDING_MAX = 1024  # one per greeting peer; a broker admits certificate holders only
PENDING_S = 10.0


class GreetingError(Exception):
    """The greeting cannot be accepted; `code` is a counter's name and goes into the Refuse."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class Dialling:
    """A greeting that we began on a link that we dialled."""

    peer: NodeId
    hello: Hello
    began: float
    repeat_at: float
    confirm: Confirm | None = None  # set once the welcome was good; repeated until the host is heard
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    hello: Hello
    welcome: Welcome
    until: float


@dataclass(slots=True)
class Greeter:
    """Makes and checks the three messages. Keeps the greetings that hosts have answered and not seen confirmed."""

    identity: Identity
    root: Root
    _pending: dict[NodeId, _Pending] = field(default_factory=dict)

    def welcome(
        self,
        sender: NodeId,
        hello: Hello,
        card: Card,
        nonce: bytes,
        at_ms: int,
        now: float,
        early_ok: bool = False,
    ) -> Welcome:
        """Answer a hello, or GreetingError. `early_ok`: it may be our clock that is behind."""
        self._expire(now)
        pending = self._pending.get(sender)
        if pending is not None and pending.hello == hello:
            return pending.welcome
        self.check_card(hello.card, sender, at_ms, early_ok)
        version = min(VERSION, hello.version_newest)
        if version < max(VERSION_OLDEST, hello.version_oldest):
            detail = f"it speaks {hello.version_oldest} to {hello.version_newest}"
            raise GreetingError("version-unknown", detail)
        unsigned = Welcome(version, hello.nonce, nonce, card, b"")
        signature = self.identity.sign(_transcript(b"welcome", hello, unsigned))
        answer = msgspec.structs.replace(unsigned, signature=signature)
        if len(self._pending) >= PENDING_MAX and sender not in self._pending:
            raise GreetingError("greetings-full")
        self._pending[sender] = _Pending(hello, answer, now + PENDING_S)
        return answer

    def confirm(self, dialling: Dialling, welcome: Welcome, at_ms: int, early_ok: bool = False) -> Confirm:
        """Check the host's welcome and prove ourselves, or GreetingError."""
        if welcome.echo != dialling.hello.nonce:
            raise GreetingError("greeting-replayed", "the welcome answers another hello")
        if not VERSION_OLDEST <= welcome.version <= VERSION:
            raise GreetingError("version-unknown", str(welcome.version))
        self.check_card(welcome.card, dialling.peer, at_ms, early_ok)
        unsigned = msgspec.structs.replace(welcome, signature=b"")
        if not verify(
            welcome.card.identity, welcome.signature, _transcript(b"welcome", dialling.hello, unsigned)
        ):
            raise GreetingError("greeting-forged", "the welcome's signature is wrong")
        signature = self.identity.sign(_transcript(b"confirm", dialling.hello, unsigned))
        return Confirm(welcome.nonce, signature)

    def confirmed(self, sender: NodeId, confirm: Confirm, now: float) -> Card | None:
        """The dialler's card, now proven; None when no such greeting is under way (any more). Or GreetingError."""
        self._expire(now)
        pending = self._pending.get(sender)
        if pending is None:
            return None
        if confirm.echo != pending.welcome.nonce:
            raise GreetingError("greeting-replayed", "the confirm answers another welcome")
        unsigned = msgspec.structs.replace(pending.welcome, signature=b"")
        content = _transcript(b"confirm", pending.hello, unsigned)
        if not verify(pending.hello.card.identity, confirm.signature, content):
            raise GreetingError("greeting-forged", "the confirm's signature is wrong")
        del self._pending[sender]
        return pending.hello.card

    def check_card(self, card: Card, sender: NodeId, at_ms: int, early_ok: bool = False) -> Member:
        """A card must name its sender, its key must be that name's, its chain must be this site's and valid."""
        if card.site != self.root.site:
            raise GreetingError("other-site", card.site)
        if card.node != sender or node_id_of(card.identity) != sender:
            raise GreetingError("origin-forged", f"a card of {card.node}")
        try:
            member = self.root.verify_chain(card.chain, at_ms, early_ok)
        except TrustError as error:
            raise GreetingError(error.reason, str(error)) from None
        if member.node != sender:
            raise GreetingError("origin-forged", f"a certificate of {member.node}")
        return member

    @property
    def pending(self) -> int:
        return len(self._pending)

    def _expire(self, now: float) -> None:
        for peer in [peer for peer, each in self._pending.items() if each.until <= now]:
            del self._pending[peer]


def _transcript(what: bytes, hello: Hello, unsigned: Welcome) -> bytes:
    return b"fieldmesh " + what + b"\0" + msgspec.msgpack.encode((hello, unsigned))
