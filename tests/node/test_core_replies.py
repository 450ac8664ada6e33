"""S8: a reply never causes a reply, and everything that can grow is bounded."""

from collections import Counter

import pytest

from mesh.events import (
    BrokerDown,
    BrokerUp,
    CastRequested,
    Dial,
    DialFailed,
    EndpointFound,
    EndpointLost,
    ExamRequested,
    FrameReceived,
    LinkClosed,
    LinkOpened,
    Send,
    SendAll,
    Source,
    Woke,
)
from mesh.ids import NodeId
from mesh.wire import (
    Addresses,
    Bye,
    Cast,
    Confirm,
    Endpoint,
    Frame,
    Message,
    Probe,
    ProbeReply,
    Prune,
    Refuse,
    Renewed,
    RenewRefused,
    Report,
    RosterEntries,
    Rows,
    Welcome,
    encode,
)
from node.core import NodeCore
from tests.mesh.cores import at, core_of, endpoint_of, messages, only
from tests.mesh.plant import Plant
from tests.mesh.puppet import Puppet, dialled, linked
from tests.mesh.site import WALL_MS, entry_of, make_site
from tests.node.memory import grown, memory_of

SITE = make_site(5, stewards=2)
KEYS = SITE.keys
A, B, C, D, E = SITE.nodes


def settled_core(place: int = 3) -> tuple[NodeCore, Puppet]:
    """A core with one linked puppet, after everything that a new link brings."""
    core = core_of(KEYS[place], SITE.saved())
    core.start(at(0))
    peer = linked(KEYS[2], core)
    for step in range(1, 10):
        core.handle(Woke(), at(step / 10))
        peer.tell(at(step / 10), peer.beat(at(step / 10)))
    return core, peer


REPLIES: list[Message] = [
    ProbeReply(1, WALL_MS),
    ProbeReply(10**9, WALL_MS),
    Report(1, C, True, WALL_MS, ()),
    Report(1, A, True, WALL_MS, ()),
    Renewed(KEYS[3].chain),
    Renewed((b"x", b"y")),
    RenewRefused("no"),
    Refuse("no-session-x"),
    Refuse("identity-cloned"),
    Rows(()),
    RosterEntries((b"junk",)),
    RosterEntries((entry_of(KEYS[1]),)),
    Cast(C, 1, 1, "t", b"x"),
    Prune(),
    Bye("trimmed"),
    Addresses(()),
    Confirm(bytes(16), b""),
]


@pytest.mark.parametrize(
    "reply", REPLIES, ids=[f"{type(each).__name__}-{i}" for i, each in enumerate(REPLIES)]
)
def test_a_reply_causes_nothing_to_be_sent_back(reply: Message) -> None:
    core, peer = settled_core()
    effects = peer.tell(at(0.91), reply)
    assert [each for each in only(effects, Send) if each.peer == C] == []
    assert [each for each in only(effects, SendAll) if C in dict(each.links)] == []
    assert core.state.links.is_linked(C) is not isinstance(reply, Bye)


def test_a_refusal_of_a_greeting_is_not_answered_but_retried_later() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    dial = dialled(core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1)), B)
    core.handle(LinkOpened(dial.link, B), at(1))
    peer = Puppet(KEYS[1], core)
    peer.link = dial.link
    effects = peer.tell(at(1.1), Refuse("certificate-expired"))
    assert messages(effects) == []


def test_a_refusal_from_somebody_with_no_link_is_not_answered() -> None:
    core, _ = settled_core()
    stranger = Puppet(KEYS[4], core, boot=3)
    assert messages(stranger.tell(at(0.91), Refuse("no-session"))) == []


def test_a_welcome_that_nobody_asked_for_is_not_answered() -> None:
    core, _ = settled_core()
    stranger = Puppet(KEYS[4], core, boot=3)
    stranger.link = 55
    welcome = Welcome(1, bytes(16), bytes(16), stranger.card(at(1)), b"")
    assert messages(stranger.tell(at(0.91), welcome)) == []


def test_cores_left_alone_say_no_more_than_beats_digests_probes_and_their_replies() -> None:
    """Nothing that once went wrong between them goes on echoing."""
    plant = Plant(SITE, 3).form()
    plant.loss = 0.5
    plant.run(20)
    plant.loss = 0.0
    plant.run(20)
    quiet = plant.now
    plant.run(10)
    said: Counter[str] = Counter()
    for process in plant.processes:
        sent = [each for when, each in process.effects if when >= quiet and isinstance(each, Send | SendAll)]
        said.update(type(each).__name__ for each in messages(sent))
    assert set(said) <= {"Beat", "Probe", "ProbeReply", "Told"}
    assert said["Beat"] <= 3 * 10 * 2.5
    assert said["Probe"] == said["ProbeReply"] <= 3 * 10 + 3


# ---------------------------------------------------------------- bounds


def test_a_year_of_strangers_at_the_door_leaves_no_trace() -> None:
    core, _ = settled_core()
    before = memory_of(core)
    for number in range(6000):
        name = NodeId(f"{number:026}")
        data = encode(Frame(1, 0, number, (Probe(1),)))
        core.handle(FrameReceived(0, name, False, data), at(1 + number / 1000))
        core.handle(FrameReceived(0, name, True, data), at(1 + number / 1000))
    assert grown(before, memory_of(core)) <= 6000


def test_a_peer_that_restarts_a_thousand_times_leaves_no_trace() -> None:
    core, _ = settled_core()
    Puppet(KEYS[4], core, boot=1, incarnation=1).greet(at(1))
    before = memory_of(core)
    for boot in range(2, 1000):
        peer = Puppet(KEYS[4], core, boot=boot, incarnation=boot)
        peer.greet(at(1 + boot / 1000))
        peer.tell(at(1 + boot / 1000), peer.beat(at(1)))
    assert grown(before, memory_of(core)) <= 1200  # probes that wait for their replies: 1024 at most


def test_dials_that_fail_and_links_that_break_leave_no_trace() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    effects = core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(0))
    before = memory_of(core)
    now = 0.0
    for turn in range(1000):
        for dial in only(effects, Dial):
            if turn % 2:
                core.handle(DialFailed(dial.link, "refused"), at(now))
            else:
                core.handle(LinkOpened(dial.link, B), at(now))
                core.handle(LinkClosed(dial.link, "reset"), at(now))
        now += 1.5
        effects = core.handle(Woke(), at(now))
        core.handle(EndpointLost(B, Source.SHARED), at(now))
    assert grown(before, memory_of(core)) <= 100
    assert len(core.state.links.all_dialled()) <= 1


def test_a_million_casts_and_exams_leave_no_more_than_is_held_for_repair() -> None:
    core, peer = settled_core()
    for number in range(3000):
        now = at(1 + number / 1000)
        core.handle(CastRequested("t", b"x"), now)
        peer.tell(now, Cast(C, 1, number + 1, "t", b"x"))
        core.handle(ExamRequested(number), now)
    assert len(core.state.casts) <= 1024
    assert sum(memory_of(core).values()) <= 6000


def test_a_broker_that_comes_and_goes_leaves_no_trace() -> None:
    core, _ = settled_core()
    before = memory_of(core)
    for turn in range(500):
        core.handle(BrokerUp((Endpoint(f"10.0.0.{turn % 200}", 8883),)), at(1))
        core.handle(BrokerDown("killed"), at(1))
    assert grown(before, memory_of(core)) <= 50
