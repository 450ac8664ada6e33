"""Bad inputs, one by one: each raises exactly the counter that is named here, and the node goes on as before."""

from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest

from mesh.events import (
    Dial,
    DialFailed,
    Effect,
    EndpointFound,
    FrameReceived,
    Hangup,
    LinkOpened,
    PeerChanged,
    Persist,
    Source,
    Woke,
)
from mesh.ids import NodeId
from mesh.roster import DepartureEntry, MemberEntry, RemovalEntry, departure, encode_entry
from mesh.state import CoreConfig, Keys
from mesh.wire import (
    FRAME_BYTES_MAX,
    LANE_LINK,
    Addresses,
    Beat,
    Card,
    Cast,
    CastsHeld,
    CastsWanted,
    Confirm,
    Endpoint,
    Frame,
    Hello,
    Message,
    Probe,
    ProbeReply,
    Refuse,
    Renewed,
    Report,
    RosterEntries,
    Row,
    Rows,
    RowsWanted,
    Welcome,
    encode,
)
from node.core import NodeCore
from tests.mesh.cores import at, born, core_of, counted, endpoint_of, messages, only, sent_to
from tests.mesh.puppet import Puppet, dialled, linked, welcome_in
from tests.mesh.site import (
    COLLIDING,
    WALL_MS,
    admitted,
    days_after,
    entry_of,
    make_site,
    public_bytes,
    reissued,
)

SITE = make_site(5, stewards=2)
KEYS = SITE.keys
A, B, C, D, E = SITE.nodes
OTHER = make_site(2, label="elsewhere")
STRANGER = OTHER.nodes[1]


class Bench:
    """The core of `b`, linked with the puppet of `c`; `d` is a member who has yet to greet."""

    def __init__(self, config: CoreConfig | None = None) -> None:
        self.core: NodeCore = core_of(KEYS[1], SITE.saved(), born(boot=2**62), config)
        self.core.start(at(0))
        self.peer = linked(KEYS[2], self.core)
        self.other = Puppet(KEYS[3], self.core, boot=900)
        self.peer.tell(at(0.5), self.peer.beat(at(0.5)))

    def tell(self, *messages: Message) -> list[tuple[str, str]]:
        """What is counted when the linked peer says this."""
        return counted(self.peer.tell(at(1), *messages))

    def deliver(self, data: bytes) -> list[tuple[str, str]]:
        return counted(self.peer.deliver(at(1), data))

    def knock(self, *messages: Message) -> list[tuple[str, str]]:
        """What is counted when `d` says this at the door."""
        return counted(self.other.knock(at(1), *messages))

    def raw(self, *fields: object) -> list[tuple[str, str]]:
        return self.deliver(b"\x01" + msgspec.msgpack.encode(list(fields)))

    def still_works(self) -> None:
        """A probe is answered, and somebody new gets a link."""
        assert ProbeReply in [type(each) for each in sent_to(C, self.peer.tell(at(2), Probe(5)))]
        Puppet(KEYS[4], self.core, boot=901).greet(at(2))
        assert self.core.state.links.peers() == sorted([C, E])


def changed(message: msgspec.Struct, **changes: object) -> Message:
    return msgspec.structs.replace(message, **changes)  # type: ignore[return-value]  # it is what it was


# ---------------------------------------------------------------- bytes


def replayed_frame(bench: Bench) -> list[tuple[str, str]]:
    data = bench.peer.seal(Probe(1))
    assert bench.deliver(data) == []
    return bench.deliver(data)


def frame_of_another_boot(bench: Bench) -> list[tuple[str, str]]:
    return bench.deliver(encode(Frame(bench.peer.boot + 1, LANE_LINK, 9, (Probe(1),))))


def unknown_tag_beside_a_probe(bench: Bench) -> list[tuple[str, str]]:
    data = b"\x01" + msgspec.msgpack.encode([bench.peer.boot, 0, 77, [[99, "future"], [6, 5]]])
    effects = bench.peer.deliver(at(1), data)
    assert [type(each) for each in sent_to(C, effects)] == [ProbeReply]
    return counted(effects)


def far_ahead_and_then_back(bench: Bench) -> list[tuple[str, str]]:
    assert bench.deliver(encode(Frame(bench.peer.boot, LANE_LINK, 2**63 - 1, ()))) == []
    told = bench.deliver(encode(Frame(bench.peer.boot, LANE_LINK, 5, (Probe(1),))))
    bench.peer = linked(KEYS[2], bench.core, mono=1.5, boot=502)  # it has used its numbers up: it restarts
    return told


BYTES: list[tuple[str, Callable[[Bench], list[tuple[str, str]]], str]] = [
    ("nothing at all", lambda b: b.deliver(b""), "frame-truncated"),
    ("a truncated frame", lambda b: b.deliver(b.peer.seal(Probe(1))[:-1]), "frame-truncated"),
    ("a frame cut to its version", lambda b: b.deliver(b"\x01"), "frame-truncated"),
    ("an oversized frame", lambda b: b.deliver(b"\x01" + bytes(FRAME_BYTES_MAX)), "frame-oversized"),
    (
        "a version that we do not speak",
        lambda b: b.deliver(b"\x02" + b.peer.seal(Probe(1))[1:]),
        "frame-version",
    ),
    ("a text for a frame", lambda b: b.deliver(b"\x01" + msgspec.msgpack.encode("hello")), "frame-shape"),
    ("JSON", lambda b: b.deliver(b'{"boot": 1}'), "frame-version"),
    ("huge integers", lambda b: b.raw(2**64 - 1, 0, 2**64 - 1, []), "frame-shape"),
    ("not a number", lambda b: b.raw(float("nan"), 0, 1, []), "frame-shape"),
    ("arrays nested 100,000 deep", lambda b: b.deliver(b"\x01" + b"\x91" * 100_000), "frame-shape"),
    (
        "nesting inside a message",
        lambda b: b.deliver(b"\x01\x94\x01\x00\x01\x91\x92\x63" + b"\x91" * 99_999 + b"\x90"),
        "frame-malformed",
    ),
    (
        "four billion messages announced",
        lambda b: b.deliver(b"\x01\x94\x01\x00\x01\xdd\xff\xff\xff\xff"),
        "frame-shape",
    ),
    ("257 messages in a frame", lambda b: b.raw(b.peer.boot, 0, 7, [[20]] * 257), "frame-shape"),
    (
        "invalid UTF-8",
        lambda b: b.raw(b.peer.boot, 0, 7, [msgspec.Raw(b"\x92\x10\xa2\xff\xfe")]),
        "message-unknown",
    ),
    (
        "a token that is not a number",
        lambda b: b.raw(b.peer.boot, 0, 7, [[6, float("nan")]]),
        "message-unknown",
    ),
    ("a message of the future", unknown_tag_beside_a_probe, "message-unknown"),
    ("a replayed frame", replayed_frame, "frame-replayed"),
    ("a frame of another boot", frame_of_another_boot, "frame-stale-boot"),
    ("the last number there is, and then an early one", far_ahead_and_then_back, "frame-replayed"),
]


@pytest.mark.parametrize(("bad", "counter"), [each[1:] for each in BYTES], ids=[each[0] for each in BYTES])
def test_bad_bytes(bad: Callable[[Bench], list[tuple[str, str]]], counter: str) -> None:
    bench = Bench()
    assert bad(bench) == [(counter, C)]
    bench.still_works()


# ---------------------------------------------------------------- at the door


def card_of(bench: Bench, **changes: object) -> Hello:
    hello = bench.other.hello(at(1))
    return changed(hello, card=changed(hello.card, **changes))  # type: ignore[return-value]  # a hello


def confirm_with(bench: Bench, **changes: object) -> list[tuple[str, str]]:
    hello = bench.other.hello(at(1))
    welcome = welcome_in(messages(bench.other.knock(at(1), hello)))
    return bench.knock(changed(bench.other.confirmation(hello, welcome, at(1)), **changes))


def chain_of(keys: Keys, days: float) -> tuple[bytes, ...]:
    return reissued(KEYS[0], keys, "d", days_after(days)).chain


def other_site_wholly(bench: Bench) -> list[tuple[str, str]]:
    bench.other = Puppet(OTHER.keys[1], bench.core)
    return [(name, "d" if peer == STRANGER else peer) for name, peer in bench.knock(bench.other.hello(at(1)))]


DOOR: list[tuple[str, Callable[[Bench], list[tuple[str, str]]], str]] = [
    ("a beat at the door", lambda b: b.knock(b.other.beat(at(1))), "door-misused"),
    (
        "a welcome at the door",
        lambda b: b.knock(Welcome(1, bytes(16), bytes(16), b.other.card(at(1)), b"")),
        "door-misused",
    ),
    ("a hello for another site", lambda b: b.knock(card_of(b, site="elsewhere")), "other-site"),
    ("a hello whose card names another node", lambda b: b.knock(card_of(b, node=E)), "origin-forged"),
    (
        "a hello with another node's key",
        lambda b: b.knock(card_of(b, identity=KEYS[4].identity.public)),
        "origin-forged",
    ),
    (
        "a hello with another node's certificate",
        lambda b: b.knock(card_of(b, chain=KEYS[4].chain)),
        "origin-forged",
    ),
    ("a chain of another root", lambda b: b.knock(card_of(b, chain=OTHER.keys[1].chain)), "wrong-root"),
    (
        "a chain that has expired",
        lambda b: b.knock(card_of(b, chain=chain_of(KEYS[3], -31))),
        "certificate-expired",
    ),
    ("no chain", lambda b: b.knock(card_of(b, chain=())), "bad-chain"),
    (
        "a chain of three",
        lambda b: b.knock(card_of(b, chain=(*KEYS[3].chain, KEYS[3].chain[1]))),
        "bad-chain",
    ),
    ("a chain of four", lambda b: b.knock(card_of(b, chain=KEYS[3].chain * 2)), "message-unknown"),
    (
        "certificates of junk",
        lambda b: b.knock(card_of(b, chain=(b"\x30\x82", b"\x00" * 4000))),
        "bad-certificate",
    ),
    (
        "versions of the future",
        lambda b: b.knock(changed(b.other.hello(at(1)), version_oldest=2, version_newest=3)),
        "version-unknown",
    ),
    ("a confirm without a hello", lambda b: b.knock(Confirm(bytes(16), bytes(64))), "confirm-unexpected"),
    ("a confirm of another welcome", lambda b: confirm_with(b, echo=bytes(16)), "greeting-replayed"),
    ("a confirm with a wrong signature", lambda b: confirm_with(b, signature=bytes(64)), "greeting-forged"),
    ("a confirm without a signature", lambda b: confirm_with(b, signature=b""), "greeting-forged"),
]


@pytest.mark.parametrize(("bad", "counter"), [each[1:] for each in DOOR], ids=[each[0] for each in DOOR])
def test_bad_greetings_at_the_door(bad: Callable[[Bench], list[tuple[str, str]]], counter: str) -> None:
    bench = Bench()
    assert bad(bench) == [(counter, D)]
    assert not bench.core.state.links.is_linked(D)
    bench.still_works()


def test_a_greeting_of_another_site_is_refused_and_persists_nothing() -> None:
    bench = Bench()
    stranger = Puppet(OTHER.keys[1], bench.core)
    effects = stranger.knock(
        at(1), changed(stranger.hello(at(1)), card=changed(stranger.card(at(1)), site=SITE.root.site))
    )
    assert counted(effects) == [("wrong-root", STRANGER)]
    assert only(effects, Persist) == []
    bench.still_works()


# ---------------------------------------------------------------- from a host that we have dialled


def welcomed_with(change: Callable[[Welcome], Welcome]) -> tuple[Bench, list[tuple[str, str]], list[Hangup]]:
    bench = Bench()
    dial = dialled(bench.core.handle(EndpointFound(endpoint_of(3), D, Source.MDNS), at(1)), D)
    (hello,) = [
        each
        for each in messages(bench.core.handle(LinkOpened(dial.link, D), at(1)))
        if isinstance(each, Hello)
    ]
    bench.other.link = dial.link
    effects = bench.other.tell(at(1), change(bench.other.welcome(hello, at(1))))
    return bench, counted(effects), only(effects, Hangup)


def with_card(welcome: Welcome, **changes: object) -> Welcome:
    card: Card = msgspec.structs.replace(welcome.card, **changes)
    return msgspec.structs.replace(welcome, card=card)


WELCOMES: list[tuple[str, Callable[[Welcome], Welcome], str]] = [
    ("with a wrong signature", lambda w: msgspec.structs.replace(w, signature=bytes(64)), "greeting-forged"),
    ("without a signature", lambda w: msgspec.structs.replace(w, signature=b""), "greeting-forged"),
    ("in a version of the future", lambda w: msgspec.structs.replace(w, version=9), "version-unknown"),
    ("of somebody else", lambda w: with_card(w, node=E), "origin-forged"),
    ("of another boot than was signed", lambda w: with_card(w, boot=1), "greeting-forged"),
    ("with an expired chain", lambda w: with_card(w, chain=chain_of(KEYS[3], -40)), "certificate-expired"),
    ("of another root", lambda w: with_card(w, chain=OTHER.keys[1].chain), "wrong-root"),
]


@pytest.mark.parametrize(
    ("change", "counter"), [each[1:] for each in WELCOMES], ids=[each[0] for each in WELCOMES]
)
def test_a_bad_welcome_ends_the_dial(change: Callable[[Welcome], Welcome], counter: str) -> None:
    bench, told, hangups = welcomed_with(change)
    assert told == [(counter, D)]
    assert hangups == [Hangup(1)]
    bench.still_works()


def test_a_welcome_that_answers_another_hello_is_passed_over() -> None:
    bench, told, hangups = welcomed_with(lambda welcome: msgspec.structs.replace(welcome, echo=bytes(16)))
    assert told == [("greeting-replayed", D)]
    assert hangups == []
    bench.still_works()


# ---------------------------------------------------------------- from a linked peer


def forged_row(bench: Bench, node: NodeId = A, **changes: object) -> Row:
    row = Row(node, 1, 5, 1, 0, True, b"", bytes(64))
    return msgspec.structs.replace(row, **changes)


def beat_with(bench: Bench, row: Row) -> Beat:
    return bench.peer.beat(at(1), row=row)


def removal(node: NodeId = A, **changes: object) -> bytes:
    authority = KEYS[0].authority
    assert authority is not None
    return encode_entry(
        RemovalEntry(msgspec.structs.replace(authority.remove(node, "a", "", WALL_MS), **changes))
    )


def cast(**changes: object) -> Cast:
    unsigned = msgspec.structs.replace(Cast(A, 1, 1, "t", b"p", b""), **changes)
    return msgspec.structs.replace(unsigned, signature=KEYS[0].identity.sign(unsigned.content()))


def cast_twice(bench: Bench) -> list[tuple[str, str]]:
    assert bench.tell(cast()) == []
    return bench.tell(cast(hops=2))


def colliding_members(bench: Bench) -> list[tuple[str, str]]:
    first, second = (entry_of(admitted(SITE, label, label.replace(" ", "-"))) for label in COLLIDING)
    assert bench.tell(RosterEntries((first,))) == []
    return bench.tell(RosterEntries((second,)))


def probe_answered_by_another(bench: Bench) -> list[tuple[str, str]]:
    third = linked(KEYS[0], bench.core, boot=77)
    (probe,) = [each for each in messages(third.greet(at(1))) if isinstance(each, Probe)]
    told = bench.tell(ProbeReply(probe.token, WALL_MS))
    bench.core.state.drop_peer(A, "tidied away", 1)
    return told


def wrong_root_entry() -> bytes:
    return OTHER.entries()[1]


def junk_key_entry() -> bytes:
    return encode_entry(MemberEntry(KEYS[0].chain, KEYS[3].identity.public))


def forged_departure() -> bytes:
    entry: DepartureEntry = msgspec.structs.replace(departure(KEYS[2].identity, 3), node=A)
    return encode_entry(entry)


LINKED: list[tuple[str, Callable[[Bench], list[tuple[str, str]]], str]] = [
    ("a beat with somebody else's row", lambda b: b.tell(beat_with(b, forged_row(b))), "row-forged"),
    (
        "a beat whose row has no signature",
        lambda b: b.tell(beat_with(b, msgspec.structs.replace(b.peer.row(), signature=b""))),
        "row-forged",
    ),
    (
        "a beat whose row was changed",
        lambda b: b.tell(beat_with(b, msgspec.structs.replace(b.peer.row(), broker_up=False))),
        "row-forged",
    ),
    ("rows with a bad signature", lambda b: b.tell(Rows((forged_row(b),))), "row-forged"),
    (
        "rows signed by the peer in another's name",
        lambda b: b.tell(
            Rows((forged_row(b, signature=b.peer.keys.identity.sign(forged_row(b).content())),))
        ),
        "row-forged",
    ),
    ("a roster entry of junk", lambda b: b.tell(RosterEntries((b"junk",))), "roster-malformed"),
    ("a roster entry that nests", lambda b: b.tell(RosterEntries((b"\x91" * 100_000,))), "roster-malformed"),
    ("a member of another root", lambda b: b.tell(RosterEntries((wrong_root_entry(),))), "roster-wrong-root"),
    (
        "a member with another's key",
        lambda b: b.tell(RosterEntries((junk_key_entry(),))),
        "roster-wrong-identity",
    ),
    (
        "a removal with a bad signature",
        lambda b: b.tell(RosterEntries((removal(signature=bytes(64)),))),
        "roster-bad-signature",
    ),
    (
        "a removal of another site",
        lambda b: b.tell(RosterEntries((removal(authority=OTHER.keys[0].chain[1]),))),
        "roster-wrong-root",
    ),
    (
        "a departure in another's name",
        lambda b: b.tell(RosterEntries((forged_departure(),))),
        "roster-bad-signature",
    ),
    ("two nodes with one short name", colliding_members, "roster-short-name-twice"),
    (
        "a removal of junk in a refusal",
        lambda b: b.tell(Refuse("identity-cloned", "", (), (b"junk",)))[1:],
        "roster-malformed",
    ),
    ("a refusal with a code of its own", lambda b: b.tell(Refuse("identity-cloned" * 2)), "refused-other"),
    ("a forged cast", lambda b: b.tell(changed(cast(), payload=b"other")), "cast-forged"),
    ("a cast without a signature", lambda b: b.tell(changed(cast(), signature=b"")), "cast-forged"),
    ("a cast that has come too far", lambda b: b.tell(changed(cast(), hops=32)), "cast-hops"),
    ("a cast that we had", cast_twice, "cast-duplicate"),
    ("a cast of a stranger", lambda b: b.tell(changed(cast(), origin=STRANGER)), "cast-stranger"),
    ("a cast of nobody", lambda b: b.tell(changed(cast(), origin="")), "cast-stranger"),
    ("a cast that is too large", lambda b: b.tell(cast(payload=bytes(100_001))), "cast-oversized"),
    ("a probe's reply never asked for", lambda b: b.tell(ProbeReply(10**9, WALL_MS)), "probe-unasked"),
    ("a probe's reply by somebody else", probe_answered_by_another, "probe-unasked"),
    (
        "an address of a stranger",
        lambda b: b.tell(Addresses(((STRANGER, (endpoint_of(9),)),))),
        "address-of-stranger",
    ),
    (
        "addresses of four thousand strangers",
        lambda b: b.tell(Addresses(tuple((f"{i:026}", (endpoint_of(9),)) for i in range(4000)))),
        "address-of-stranger",
    ),
    (
        "17 addresses of one node",
        lambda b: b.tell(Addresses(((A, tuple(endpoint_of(i) for i in range(17))),))),
        "message-unknown",
    ),
    ("a hello inside a link", lambda b: b.tell(b.peer.hello(at(1))), "message-misplaced"),
    ("a confirm inside a link", lambda b: b.tell(Confirm(bytes(16), b"")), "message-misplaced"),
    (
        "a welcome behind a probe",
        lambda b: b.tell(Probe(1), Welcome(1, bytes(16), bytes(16), b.peer.card(at(1)), b"")),
        "message-misplaced",
    ),
    ("a certificate of junk", lambda b: b.tell(Renewed((b"x", b"y"))), "renewal-bad-certificate"),
    ("a certificate that is not ours", lambda b: b.tell(Renewed(KEYS[2].chain)), "renewal-not-ours"),
    ("our own certificate again", lambda b: b.tell(Renewed(KEYS[1].chain)), "renewal-not-ours"),
    ("a certificate with another key in it", lambda b: b.tell(Renewed(other_key())), "renewal-not-ours"),
    ("a certificate of another root", lambda b: b.tell(Renewed(OTHER.keys[0].chain)), "renewal-wrong-root"),
    ("a report in another's name", lambda b: b.tell(Report(1, A, True, WALL_MS, ())), "report-forged"),
]


def other_key() -> tuple[bytes, ...]:
    keys = Keys(KEYS[1].identity, SITE.root, (), public_bytes(SITE.root_key))
    return reissued(KEYS[0], keys, "b", WALL_MS + 1000, days=60).chain


@pytest.mark.parametrize(("bad", "counter"), [each[1:] for each in LINKED], ids=[each[0] for each in LINKED])
def test_bad_messages_of_a_linked_peer(bad: Callable[[Bench], list[tuple[str, str]]], counter: str) -> None:
    bench = Bench()
    rows, roster = bench.core.state.rows.get(A), list(bench.core.state.roster.members())
    assert bad(bench) == [(counter, C)]
    assert bench.core.state.rows.get(A) is rows
    assert set(roster) <= set(bench.core.state.roster.members())
    bench.still_works()


# ---------------------------------------------------------------- from those who have no link


@pytest.mark.parametrize("kind", ["beat", "cast", "entries", "probe"])
def test_a_frame_before_a_greeting_is_counted_answered_with_a_refusal_and_not_used(kind: str) -> None:
    bench = Bench()
    said: dict[str, Message] = {
        "beat": bench.other.beat(at(1)),
        "cast": cast(origin=D),
        "entries": RosterEntries((removal(),)),
        "probe": Probe(1),
    }
    digest = bench.core.state.roster.digest
    effects = bench.other.deliver(at(1), bench.other.seal(said[kind]))
    assert counted(effects) == [("frame-before-greeting", D)]
    assert messages(effects) == [Refuse("no-session")]
    assert bench.core.state.roster.digest == digest
    again = bench.other.deliver(at(1.5), bench.other.seal(Probe(2)))
    assert counted(again) == [("frame-before-greeting", D)]
    assert messages(again) == []  # refusing is no flood
    bench.still_works()


def test_a_frame_over_a_link_that_we_never_dialled_is_not_used_and_not_answered() -> None:
    bench = Bench()
    bench.other.link = 42
    effects = bench.other.tell(at(1), Probe(1))
    assert counted(effects) == [("frame-before-greeting", D)]
    assert messages(effects) == []
    bench.still_works()


def test_a_frame_in_our_own_name_is_not_used() -> None:
    bench = Bench()
    mirror = Puppet(KEYS[1], bench.core)
    assert counted(mirror.tell(at(1), Probe(1))) == [("frame-before-greeting", B)]
    bench.still_works()


def test_a_sender_whose_name_is_no_id_is_refused_like_any_stranger() -> None:
    bench = Bench()
    data = bench.other.seal(bench.other.hello(at(1)))
    effects = bench.core.handle(FrameReceived(0, NodeId("../../#"), True, data), at(1))
    assert counted(effects) == [("origin-forged", "../../#")]
    bench.still_works()


# ---------------------------------------------------------------- too much of what is good


def test_ten_thousand_endpoints_found_keep_memory_and_dials_bounded() -> None:
    bench = Bench()
    dials = 0
    for place in range(10_000):
        node = [A, NodeId(f"{place:026}"), None, B][place % 4]
        endpoint = Endpoint(f"10.{place >> 16}.{place >> 8 & 255}.{place & 255}", 8883)
        dials += len(
            only(bench.core.handle(EndpointFound(endpoint, node, Source.MDNS), at(1 + place / 100_000)), Dial)
        )
    assert dials <= 40
    assert len(bench.core.state.book.nodes()) <= 4096
    assert len(bench.core.state.book.strays()) <= 256
    assert len(bench.core.state.book.endpoints(A)) <= 32
    assert len(bench.core.state.links.all_dialled()) <= 40
    bench.still_works()


def test_strangers_that_are_announced_do_not_keep_us_from_dialling_a_member() -> None:
    """Anybody on the LAN can announce four thousand nodes that are not there."""
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    effects = core.handle(EndpointFound(endpoint_of(1), B, Source.SEED), at(0))
    for place in range(3000):
        found = EndpointFound(Endpoint("10.9.9.9", 1000 + place), NodeId(f"{place:026}"), Source.MDNS)
        effects += core.handle(found, at(0.1))
    dialled_at = dials_to(core, B, effects, until=60)
    assert max(pairwise_gaps(dialled_at)) <= 5


def pairwise_gaps(moments: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(moments)]


def dials_to(core: NodeCore, node: NodeId, effects: list[Effect], until: float) -> list[float]:
    """Every dial times out after a second; when those to this node began."""
    now, began, open_dials = 0.1, [], []
    while now < until:
        for dial in only(effects, Dial):
            open_dials.append((now + 1.0, dial.link))
            if dial.expected == node:
                began.append(now)
        if open_dials and open_dials[0][0] <= core.wake_at:
            now, link = open_dials.pop(0)
            effects = core.handle(DialFailed(link, "timeout"), at(now))
        else:
            now = max(core.wake_at, now + 1e-6)
            effects = core.handle(Woke(), at(now))
    return began


def test_ranges_without_end_are_answered_with_a_frame_that_fits() -> None:
    bench = Bench()
    for sequence in range(2, 2049, 2):
        bench.peer.tell(at(1), Cast(C, 1, sequence, "t", b""))
    effects = bench.peer.tell(at(1), CastsHeld(((C, 1, 1, 2**62),) * 4096))
    effects += bench.peer.tell(at(1), CastsWanted(((C, 1, 0, 2**62),) * 4096))
    assert [name for name, _ in counted(effects)] == []
    assert len(messages(effects)) <= 2048
    bench.still_works()


def test_a_cast_as_large_as_a_frame_does_not_break_who_passes_it_on() -> None:
    """Inside our own frame, with our longer numbers, it would no longer fit."""
    bench = Bench(CoreConfig(full_mesh_max=1, overlay_degree=4))
    neighbour = linked(KEYS[3], bench.core, boot=3)
    bench.peer = linked(KEYS[2], bench.core, mono=1, boot=1)
    size = FRAME_BYTES_MAX - len(encode(Frame(1, 0, 9, (Cast(C, 1, 1, "t", bytes(70_000)),)))) + 70_000
    assert counted(bench.peer.deliver(at(1), encode(Frame(1, 0, 9, (Cast(C, 1, 1, "t", bytes(size)),))))) == [
        ("cast-oversized", C)
    ]
    assert neighbour.tell(at(1), Probe(1)) != []


def test_entries_as_large_as_a_frame_do_not_break_who_passes_them_on() -> None:
    """The frame is full to the last byte; ours has longer numbers in its head."""
    bench = Bench()
    linked(KEYS[3], bench.core, boot=3)
    bench.peer = linked(KEYS[2], bench.core, mono=1, boot=1)
    entries = [entry_of(admitted(SITE, f"extra {i}", f"extra-{i}")) for i in range(400)]
    while len(encode_or_all(entries)) > FRAME_BYTES_MAX:
        entries.pop()
    data = encode_or_all(entries)
    room = FRAME_BYTES_MAX - len(data)
    longer = [entry_of(admitted(SITE, "last", "x" * length)) for length in range(1, 41)]
    fitting = [each for each in longer if len(encode_or_all([*entries[:-1], each])) <= FRAME_BYTES_MAX]
    assert room >= 0
    bench.peer.deliver(at(1), encode_or_all([*entries[:-1], fitting[-1]]))
    assert bench.core.state.roster.is_member(admitted(SITE, "last", "x").identity.node)


def encode_or_all(entries: list[bytes]) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(Frame(1, 0, 9, (RosterEntries(tuple(entries)),)))


def test_rows_that_hear_thousands_are_passed_on_in_frames_that_fit() -> None:
    """Sixteen kilobytes each is what a row may have; forty of them are more than a frame."""
    site = make_site(40, label="big")
    core = core_of(site.keys[0], site.saved())
    core.start(at(0))
    puppet, listener = linked(site.keys[1], core, boot=1), linked(site.keys[2], core, boot=2)
    rows = []
    for keys in site.keys[3:]:
        unsigned = Row(keys.identity.node, 1, 1, 1, 0, True, bytes(16_384))
        rows.append(msgspec.structs.replace(unsigned, signature=keys.identity.sign(unsigned.content())))
    for at_once in range(0, len(rows), 10):
        puppet.tell(at(1), Rows(tuple(rows[at_once : at_once + 10])))
    listener.tell(at(1.5), RowsWanted(()))
    assert [type(each) for each in messages(listener.tell(at(2), Probe(1)))][-1] is ProbeReply


def test_a_thousand_refusals_make_no_thousand_counters() -> None:
    bench = Bench()
    names = {name for i in range(1000) for name, _ in bench.tell(Refuse(f"made-up-{i}"))}
    assert names <= {"refused-other", "frame-before-greeting"}


def test_nobody_can_make_the_core_change_a_peers_state_with_what_it_does_not_prove() -> None:
    bench = Bench()
    effects = bench.peer.tell(at(1), Rows((forged_row(bench, A),)), RosterEntries((removal(signature=b""),)))
    assert only(effects, PeerChanged) == []
