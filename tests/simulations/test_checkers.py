"""Each checker fires on a run that is broken on purpose, and only then."""

import dataclasses

from mesh.events import (
    HOSTED,
    CastDelivered,
    CastRequested,
    Counted,
    Dial,
    Effect,
    FrameReceived,
    IdentityCloned,
    PeerChanged,
    Persist,
    Send,
    SetAccess,
    Traffic,
    Write,
)
from mesh.wire import (
    LANE_LINK,
    Beat,
    Cast,
    Frame,
    Message,
    Probe,
    ProbeReply,
    Refuse,
    Row,
    Rows,
    RowsWanted,
    encode,
)
from simulations.casting import CastChecker
from simulations.convergence import ExactViews, IdleTraffic
from simulations.cores import Core, Nativity
from simulations.endings import EndedStaysEnded, RemovedChangesNothing, StoreKeepsRoster
from simulations.inventing import NobodyInvents
from simulations.measure import Traffic as TrafficMeter
from simulations.quietness import Bounded, NoReplyToReply, items_held
from simulations.rivals import ClonesAreNoticed
from simulations.watch import Watcher
from simulations.world import World
from tests.simulations.scripted import ScriptedCore, Seen, core_of, invariants, node, perform, running_world

PAYLOAD = b"0/1/...."


def linked_world(nodes: int = 2) -> World:
    """Node 0 has dialled every other, and all are members for each other."""
    world = running_world(nodes)
    everybody = tuple(node(index) for index in range(nodes))
    for host in world.hosts:
        perform(world, host, SetAccess(everybody, ()))
    for other in range(1, nodes):
        perform(world, world.hosts[0], Dial(other, world.hosts[other].endpoint, None))
    return world


def watched(world: World, checker: type[Watcher]) -> World:
    world.audience.add(checker(world))
    return world


def says(world: World, index: int, *news: Effect) -> None:
    perform(world, world.hosts[index], *news)


def sends(world: World, source: int, target: int, *messages: Message) -> None:
    data = encode(Frame(1, LANE_LINK, 1, messages))
    link = target if source == 0 else HOSTED
    perform(world, world.hosts[source], Send(node(target), link, Traffic.STATE, data))


def hears(world: World, index: int, event: CastRequested | FrameReceived, *answer: Effect) -> None:
    """Deliver an event to a core that will answer with these effects."""
    process = world.hosts[index].process
    assert process is not None
    core_of(world.hosts[index]).answers = [list(answer)]
    world.deliver(process, event)
    world.clock.run_until(world.clock.now_s + 1.0)


def changed(subject: int, state: str) -> PeerChanged:
    return PeerChanged(node(subject), f"node-{subject:03}", state, "a test")


def row(author: int, version: int, incarnation: int = 1, heard: bytes = b"") -> Row:
    return Row(node(author), incarnation, version, 7, 0, True, heard, b"signature")


def beat(row_: Row) -> Beat:
    return Beat(row_, b"", b"")


def cast(origin: int, sequence: int, payload: bytes = PAYLOAD, hops: int = 0) -> Cast:
    return Cast(node(origin), 1, sequence, "topic", payload, b"signature", hops)


def frame_from(sender: int, *messages: Message) -> FrameReceived:
    return FrameReceived(HOSTED, node(sender), False, encode(Frame(1, LANE_LINK, 1, messages)))


# ---------------------------------------------------------------- S1


def restarted(world: World, index: int, *seen: Seen) -> None:
    """The node crashes, and its next core knows these peers."""
    host, make = world.hosts[index], world.plan.make_core

    def remembering(nativity: Nativity) -> Core:
        core = make(nativity)
        assert isinstance(core, ScriptedCore)
        core.seen = list(seen)
        return core

    world.crash(host)
    world.plan = dataclasses.replace(world.plan, make_core=remembering)
    world.start(host)


def test_s1_fires_when_a_restarted_node_has_lost_a_removal() -> None:
    world = watched(running_world(3), StoreKeepsRoster)
    says(world, 0, changed(1, "alive"), changed(2, "removed"))
    restarted(world, 0, Seen(node(1), "unreachable"), Seen(node(2), "removed"))
    assert invariants(world) == []
    restarted(world, 0, Seen(node(1), "unreachable"), Seen(node(2), "unreachable"))
    assert [each.detail for each in world.violations] == ["node-000 restarted and lost its removal: node-002"]


def test_s1_fires_when_a_restarted_node_has_lost_a_member() -> None:
    world = watched(running_world(3), StoreKeepsRoster)
    says(world, 0, changed(1, "alive"))
    restarted(world, 0)
    assert [each.detail for each in world.violations] == [
        "node-000 restarted and lost its membership: node-001"
    ]


# ---------------------------------------------------------------- S3, S5


def test_s3_is_content_with_rows_that_rise_and_are_passed_on() -> None:
    world = watched(linked_world(3), NobodyInvents)
    sends(world, 0, 1, beat(row(0, 1)))
    sends(world, 0, 1, beat(row(0, 1)))
    sends(world, 0, 1, beat(row(0, 2)))
    sends(world, 1, 0, Rows((row(0, 1), row(0, 2))))
    assert invariants(world) == []


def test_s3_fires_on_a_row_that_its_author_never_made() -> None:
    world = watched(linked_world(3), NobodyInvents)
    sends(world, 0, 1, beat(row(0, 1)))
    sends(world, 1, 0, Rows((row(0, 1, heard=b"fake"),)))
    sends(world, 1, 0, Rows((row(2, 1),)))
    assert invariants(world) == ["S3", "S3"]


def test_s3_fires_on_a_version_that_falls_or_changes() -> None:
    world = watched(linked_world(), NobodyInvents)
    sends(world, 0, 1, beat(row(0, 2)))
    sends(world, 0, 1, beat(row(0, 1)))
    sends(world, 0, 1, beat(row(0, 2, heard=b"else")))
    assert invariants(world) == ["S3", "S3"]


def test_s3_fires_on_a_forged_cast_and_on_two_casts_with_one_number() -> None:
    world = watched(linked_world(3), NobodyInvents)
    sends(world, 0, 1, cast(0, 1))
    sends(world, 1, 0, cast(0, 1, hops=1))
    assert invariants(world) == []
    sends(world, 1, 0, cast(2, 1))
    sends(world, 0, 1, cast(0, 1, b"another"))
    assert invariants(world) == ["S3", "S3"]


def test_s3_fires_when_casts_are_not_numbered_in_the_order_of_their_requests() -> None:
    world = watched(linked_world(), NobodyInvents)
    for payload, sequence in ((b"first", 2), (b"second", 1)):
        hears(world, 0, CastRequested("topic", payload))
        sends(world, 0, 1, cast(0, sequence, payload))
    world.audience.ended()
    assert invariants(world) == ["S3"]


def test_s5_fires_when_somebody_is_said_to_be_in_an_incarnation_that_never_ran() -> None:
    world = watched(linked_world(), NobodyInvents)
    sends(world, 0, 1, beat(row(0, 1, incarnation=2)))
    assert invariants(world) == ["S5"]


# ---------------------------------------------------------------- S4


def test_s4_fires_when_a_removed_node_comes_back() -> None:
    world = watched(running_world(), EndedStaysEnded)
    says(world, 0, changed(1, "removed"), changed(1, "removed"))
    assert invariants(world) == []
    says(world, 0, changed(1, "alive"))
    assert invariants(world) == ["S4"]


def test_s4_lets_a_node_that_left_return_only_in_a_new_incarnation() -> None:
    world = watched(running_world(3), EndedStaysEnded)
    says(world, 0, changed(1, "left"), changed(2, "left"))
    world.crash(world.hosts[1])
    world.start(world.hosts[1])
    says(world, 0, changed(1, "alive"))
    assert invariants(world) == []
    says(world, 0, changed(2, "alive"))
    assert invariants(world) == ["S4"]


# ---------------------------------------------------------------- S7, L4, L5


def test_l4_fires_when_a_local_cast_is_refused() -> None:
    world = watched(linked_world(), CastChecker)
    hears(world, 0, CastRequested("topic", PAYLOAD), Counted("cast-halted"))
    assert invariants(world) == ["L4"]


def test_l5_fires_on_a_second_delivery() -> None:
    world = watched(linked_world(), CastChecker)
    hears(world, 0, CastRequested("topic", PAYLOAD))
    says(world, 1, CastDelivered(node(0), 1, 1, "topic", PAYLOAD))
    world.audience.ended()
    assert invariants(world) == []
    says(world, 1, CastDelivered(node(0), 1, 1, "topic", PAYLOAD))
    assert invariants(world) == ["L5"]


def test_l5_fires_on_a_cast_that_never_arrived() -> None:
    world = watched(linked_world(), CastChecker)
    hears(world, 0, CastRequested("topic", PAYLOAD))
    world.audience.ended()
    assert invariants(world) == ["L5"]


def test_a_delivery_of_what_nobody_asked_for_is_an_invention() -> None:
    world = watched(linked_world(), CastChecker)
    says(world, 1, CastDelivered(node(0), 1, 1, "topic", b"never requested"))
    assert invariants(world) == ["S3"]


def test_s7_fires_when_copies_outnumber_links() -> None:
    world = watched(linked_world(), CastChecker)
    for _ in range(3):
        sends(world, 0, 1, cast(0, 1))
    world.audience.ended()
    assert invariants(world) == []
    sends(world, 0, 1, cast(0, 1))
    world.audience.ended()
    assert invariants(world) == ["S7"]


def test_s7_fires_on_a_cast_that_travels_too_far() -> None:
    world = watched(linked_world(), CastChecker)
    sends(world, 0, 1, cast(0, 1, hops=17))
    assert invariants(world) == ["S7"]


# ---------------------------------------------------------------- S8


def answered(*answer: Message, to: Message) -> list[str]:
    """The invariants broken by a node that answers one message with others."""
    world = watched(linked_world(), NoReplyToReply)
    data = encode(Frame(1, LANE_LINK, 2, answer))
    hears(world, 1, frame_from(0, to), Send(node(0), HOSTED, Traffic.CONTROL, data))
    return invariants(world)


def test_s8_fires_when_a_reply_is_answered() -> None:
    assert answered(ProbeReply(1, 0), to=Probe(1)) == []
    assert answered(cast(1, 1), to=ProbeReply(1, 0)) == []
    assert answered(Probe(2), to=ProbeReply(1, 0)) == ["S8"]
    assert answered(RowsWanted(()), to=Rows(())) == ["S8"]


def test_s8_allows_turning_away_a_stray_reply_but_not_a_refusal() -> None:
    assert answered(Refuse("no-session"), to=Rows(())) == []
    assert answered(Refuse("no-session"), to=Refuse("no-session")) == ["S8"]


def test_s8_fires_on_a_node_that_talks_without_end() -> None:
    world = watched(linked_world(), Bounded)
    data = encode(Frame(1, LANE_LINK, 1, (Probe(1),)))
    says(world, 0, *[Send(node(1), 1, Traffic.CONTROL, data)] * 400)
    assert invariants(world) == []
    says(world, 0, Send(node(1), 1, Traffic.CONTROL, data))
    assert invariants(world) == ["S8"]


def test_s8_fires_on_a_core_that_hoards() -> None:
    world = watched(running_world(), Bounded)
    core_of(world.hosts[1]).answers = [[] for _ in range(2200)]
    world.audience.ended()
    assert invariants(world) == ["S8"]


def test_items_are_counted_in_containers_however_deep_and_once() -> None:
    core = core_of(running_world(1).hosts[0])
    before = items_held(core)
    shared: list[Effect] = [Counted("a"), Counted("b")]
    core.answers = [shared, shared]
    assert items_held(core) == before + 4


# ---------------------------------------------------------------- S9


def test_s9_fires_when_a_frame_of_a_removed_node_has_an_effect() -> None:
    world = watched(linked_world(), RemovedChangesNothing)
    hears(world, 1, frame_from(0, Probe(1)), changed(0, "removed"))
    hears(world, 1, frame_from(0, Probe(1)), Counted("frame-from-removed"))
    assert invariants(world) == []
    hears(world, 1, frame_from(0, Probe(1)), Persist((Write("roster", "x", b""),)))
    hears(world, 1, frame_from(0, Probe(1)), changed(0, "alive"))
    assert invariants(world) == ["S9", "S9"]


# ---------------------------------------------------------------- clones


def test_a_clone_that_goes_unnoticed_is_reported_for_both_processes() -> None:
    world = watched(running_world(), ClonesAreNoticed)
    world.start(world.add_clone(world.hosts[1]))
    world.audience.ended()
    assert [each.detail for each in world.violations] == [
        "node-001 on host 1 has not noticed its rival",
        "node-001 on host 2 has not noticed its rival",
        "node-001 on host 2 writes on",
    ]


def test_clones_that_both_notice_are_in_order_when_only_the_later_one_stops() -> None:
    world = watched(running_world(), ClonesAreNoticed)
    world.start(world.add_clone(world.hosts[1]))
    says(world, 1, IdentityCloned(node(1), ours=True, halted=False))
    says(world, 2, IdentityCloned(node(1), ours=True, halted=True))
    world.audience.ended()
    assert invariants(world) == []


def test_a_node_that_sees_a_clone_where_there_is_none_is_reported() -> None:
    world = watched(running_world(), ClonesAreNoticed)
    says(world, 0, IdentityCloned(node(0), ours=True, halted=True))
    assert invariants(world) == ["CLONE"]


# ---------------------------------------------------------------- L1, L6


def test_l1_fires_on_every_view_that_is_wrong_in_the_end() -> None:
    world = watched(running_world(3), ExactViews)
    for observer in range(3):
        for subject in {0, 1, 2} - {observer}:
            says(world, observer, changed(subject, "alive"))
    world.audience.ended()
    assert invariants(world) == []
    world.crash(world.hosts[2])
    says(world, 1, changed(2, "unreachable"))
    world.audience.ended()
    assert [each.detail for each in world.violations] == [
        "in the end node-000 says alive of node-002, not unreachable"
    ]


def test_l1_fires_when_the_list_of_peers_differs_from_the_news() -> None:
    world = watched(running_world(), ExactViews)
    for observer in range(2):
        says(world, observer, changed(1 - observer, "alive"))
    core_of(world.hosts[0]).seen = [Seen(node(1), "suspect")]
    world.audience.ended()
    assert invariants(world) == ["L1"]


def test_l6_fires_on_traffic_above_the_idle_budget() -> None:
    world = linked_world()
    meter = TrafficMeter(world)
    world.audience.add(IdleTraffic(world, meter))
    meter.begin()
    says(world, 0, Send(node(1), 1, Traffic.BULK, bytes(9_000)))
    world.audience.ended()
    assert invariants(world) == []
    says(world, 0, Send(node(1), 1, Traffic.BULK, bytes(60_000)))
    world.audience.ended()
    assert invariants(world) == ["L6"]
