"""A peer moved by hand: it speaks the protocol to one core, honestly or not."""

from collections.abc import Iterable

import msgspec

from mesh.events import HOSTED, Dial, Effect, FrameReceived, LinkOpened, Send
from mesh.framing import Lanes
from mesh.greeting import Dialling, Greeter
from mesh.ids import NodeId
from mesh.now import Now
from mesh.rows import pack
from mesh.state import Keys
from mesh.wire import Beat, Card, Confirm, Endpoint, Hello, Message, Row, Welcome
from node.core import NodeCore
from tests.mesh.cores import at, only, sent_to


class Puppet:
    """Has a member's keys and a core to talk to."""

    def __init__(
        self,
        keys: Keys,
        core: NodeCore,
        boot: int = 500,
        incarnation: int = 1,
        started_ms: int = 0,
        endpoints: tuple[Endpoint, ...] = (),
    ) -> None:
        self.keys = keys
        self.node: NodeId = keys.identity.node
        self.core = core
        self.boot = boot
        self.incarnation = incarnation
        self.started_ms = started_ms
        self.endpoints = endpoints
        self.lanes = Lanes(boot)
        self.greeter = Greeter(keys.identity, keys.root)
        self.link = HOSTED  # on the core's side
        self.version = 0
        self._nonce = 0

    # -- what it says

    def card(self, now: Now) -> Card:
        keys = self.keys
        return Card(
            keys.root.site,
            self.node,
            self.incarnation,
            self.boot,
            self.started_ms,
            keys.identity.public,
            keys.chain,
            self.endpoints,
        )

    def hello(self, now: Now, **changes: object) -> Hello:
        hello = Hello(1, 1, self.nonce(), self.card(now))
        return msgspec.structs.replace(hello, **changes)

    def nonce(self) -> bytes:
        self._nonce += 1
        return self.boot.to_bytes(8, "big") + self._nonce.to_bytes(8, "big")

    def row(self, heard: Iterable[NodeId] = (), broker_up: bool = True) -> Row:
        """Its next row, signed."""
        self.version += 1
        unsigned = Row(
            self.node, self.incarnation, self.version, self.boot, self.started_ms, broker_up, pack(heard)
        )
        return msgspec.structs.replace(unsigned, signature=self.keys.identity.sign(unsigned.content()))

    def beat(self, now: Now, heard: Iterable[NodeId] | None = None, row: Row | None = None) -> Beat:
        """A beat that agrees with whatever the core holds."""
        state = self.core.state
        row = row or self.row((state.me,) if heard is None else heard)
        return Beat(row, state.roster.digest, state.rows.digest)

    # -- how it says it

    def seal(self, *messages: Message) -> bytes:
        return self.lanes.seal(self.core.state.me, messages)

    def tell(self, now: Now, *messages: Message) -> list[Effect]:
        return self.deliver(now, self.seal(*messages))

    def deliver(self, now: Now, data: bytes, door: bool = False) -> list[Effect]:
        link = HOSTED if door else self.link
        return self.core.handle(FrameReceived(link, self.node, door, data), now)

    def knock(self, now: Now, *messages: Message) -> list[Effect]:
        return self.deliver(now, self.seal(*messages), door=True)

    # -- greetings

    def greet(self, now: Now) -> list[Effect]:
        """Dial the core and complete the greeting; what the core did at its end."""
        hello = self.hello(now)
        welcome = welcome_in(sent_to(self.node, self.knock(now, hello)))
        return self.knock(now, self.confirmation(hello, welcome, now))

    def confirmation(self, hello: Hello, welcome: Welcome, now: Now) -> Confirm:
        dialling = Dialling(self.core.state.me, hello, now.mono, now.mono)
        return self.greeter.confirm(dialling, welcome, now.wall_ms)

    def answer(self, dial: Dial, now: Now) -> list[Effect]:
        """Be dialled: let the link open and welcome the core's hello; what the core did at its end."""
        self.link = dial.link
        opened = self.core.handle(LinkOpened(dial.link, self.node), now)
        (hello,) = [each for each in sent_to(self.node, opened) if isinstance(each, Hello)]
        return self.tell(now, self.welcome(hello, now))

    def welcome(self, hello: Hello, now: Now) -> Welcome:
        return self.greeter.welcome(
            self.core.state.me, hello, self.card(now), self.nonce(), now.wall_ms, now.mono
        )


def welcome_in(messages: Iterable[Message]) -> Welcome:
    (welcome,) = [each for each in messages if isinstance(each, Welcome)]
    return welcome


def linked(keys: Keys, core: NodeCore, mono: float = 0.0, boot: int = 500) -> Puppet:
    """A puppet whose greeting is complete, on the core's own broker."""
    puppet = Puppet(keys, core, boot=boot)
    puppet.greet(at(mono))
    assert core.state.links.is_hosted(puppet.node)
    return puppet


def dialled(effects: Iterable[Effect], node: NodeId) -> Dial:
    """The one dial to this node among the effects."""
    (dial,) = [each for each in only(effects, Dial) if each.expected == node]
    return dial


def over(effects: Iterable[Effect], peer: NodeId) -> list[tuple[int, bool]]:
    """Over which links these effects send to a peer, and whether at the door."""
    return [(each.link, each.door) for each in only(effects, Send) if each.peer == peer]
