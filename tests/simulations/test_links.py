"""Links behave as MQTT sessions between hosts that do not know everything about each other."""

import pytest

from mesh.events import (
    HOSTED,
    BrokerDown,
    Dial,
    DialFailed,
    FrameReceived,
    Hangup,
    LinkClosed,
    LinkOpened,
    Send,
    SendAll,
    SetAccess,
    Traffic,
)
from mesh.wire import Endpoint
from simulations.network import Shape
from simulations.world import World
from tests.simulations.scripted import core_of, node, perform, running_world

DATA = b"any bytes"


def dial(world: World, dialler: int = 0, owner: int = 1, link: int = 1) -> None:
    perform(world, world.hosts[dialler], Dial(link, world.hosts[owner].endpoint, None))


def send(world: World, source: int, target: int, link: int, door: bool = False) -> None:
    perform(world, world.hosts[source], Send(node(target), link, Traffic.STATE, DATA, door))


def admit(world: World, owner: int, *members: int, removed: tuple[int, ...] = ()) -> None:
    members_ids, removed_ids = tuple(map(node, members)), tuple(map(node, removed))
    perform(world, world.hosts[owner], SetAccess(members_ids, removed_ids))


def frames(world: World, host: int) -> list[FrameReceived]:
    return [event for event in core_of(world.hosts[host]).told if isinstance(event, FrameReceived)]


def failures(world: World, host: int) -> list[DialFailed]:
    return [event for event in core_of(world.hosts[host]).told if isinstance(event, DialFailed)]


def test_a_dial_opens_a_link_after_a_round_trip() -> None:
    world = running_world()
    dial(world)
    assert core_of(world.hosts[0]).told[-1] == LinkOpened(1, node(1))
    opened_s, dialled_s = core_of(world.hosts[0]).moments[-1].mono, 1.0
    assert world.hosts[0].process is not None
    assert opened_s - world.hosts[0].process.mono_offset_s - dialled_s == pytest.approx(0.002)


def test_a_dial_to_a_host_without_a_broker_is_refused_at_once() -> None:
    world = running_world()
    world.broker_stops(world.hosts[1])
    dial(world)
    assert failures(world, 0) == [DialFailed(1, "refused")]


def test_a_dial_to_a_killed_node_is_refused_and_to_one_without_power_times_out() -> None:
    world = running_world(3)
    world.crash(world.hosts[1])
    world.crash(world.hosts[2], power=True)
    dial(world, owner=1, link=1)
    dial(world, owner=2, link=2)
    assert failures(world, 0) == [DialFailed(1, "refused"), DialFailed(2, "timeout")]


@pytest.mark.parametrize("cut", [(0, 1), (1, 0)])
def test_a_dial_over_a_path_that_is_cut_in_either_direction_times_out(cut: tuple[int, int]) -> None:
    world = running_world()
    world.network.cut([cut])
    dial(world)
    assert failures(world, 0) == [DialFailed(1, "timeout")]


def test_a_dial_to_nowhere_fails() -> None:
    world = running_world()
    perform(world, world.hosts[0], Dial(1, Endpoint("10.9.9.9", 1), None))
    assert failures(world, 0) == [DialFailed(1, "no-route")]


def test_a_certificate_that_has_expired_by_the_owners_clock_opens_nothing() -> None:
    world = running_world()
    world.hosts[1].wall_offset_ms = 40 * 86_400_000
    dial(world)
    assert failures(world, 0) == [DialFailed(1, "certificate-expired")]


def test_a_member_may_write_and_a_stranger_only_at_the_door() -> None:
    world = running_world()
    dial(world)
    send(world, 0, 1, 1)
    send(world, 0, 1, 1, door=True)
    admit(world, 1, 0)
    send(world, 0, 1, 1)
    assert frames(world, 1) == [
        FrameReceived(HOSTED, node(0), True, DATA),
        FrameReceived(HOSTED, node(0), False, DATA),
    ]


def test_a_stranger_may_be_answered_but_not_broadcast_to() -> None:
    world = running_world()
    dial(world)
    send(world, 1, 0, HOSTED)
    perform(world, world.hosts[1], SendAll(((node(0), HOSTED),), Traffic.STATE, DATA))
    assert frames(world, 0) == [FrameReceived(1, node(1), False, DATA)]


def test_a_removed_node_reads_and_writes_nothing_not_even_at_the_door() -> None:
    world = running_world()
    dial(world)
    admit(world, 1, removed=(0,))
    send(world, 1, 0, HOSTED)
    send(world, 0, 1, 1)
    send(world, 0, 1, 1, door=True)
    assert frames(world, 0) == [] and frames(world, 1) == []


def test_a_broadcast_reaches_every_member_hosted_whether_named_or_not_and_the_dialled_that_are_named() -> (
    None
):
    world = running_world(4)
    for dialler in (1, 2):
        dial(world, dialler, 0)
    dial(world, 0, 3, link=7)
    admit(world, 0, 1, 2)
    admit(world, 3, 0)
    perform(world, world.hosts[0], SendAll(((node(1), HOSTED), (node(3), 7)), Traffic.STATE, DATA))
    assert [len(frames(world, index)) for index in (1, 2, 3)] == [1, 1, 1]
    assert world.hosts[0].process is not None
    assert world.hosts[0].process.bytes_sent == 3 * len(DATA)


def test_frames_to_somebody_else_than_the_brokers_owner_go_nowhere() -> None:
    world = running_world(3)
    dial(world)
    admit(world, 1, 0)
    send(world, 0, 2, 1)
    assert frames(world, 1) == [] and frames(world, 2) == []


def test_hosted_frames_go_only_while_the_diallers_session_is_open() -> None:
    world = running_world()
    dial(world)
    perform(world, world.hosts[0], Hangup(1))
    send(world, 1, 0, HOSTED)
    assert frames(world, 0) == []
    assert world.hosts[1].broker.sessions == {}


def test_what_was_sent_before_a_hangup_arrives() -> None:
    world = running_world(shape=Shape(latency_ms=1.0, jitter_ms=20.0))
    dial(world)
    admit(world, 1, 0)
    perform(world, world.hosts[0], Send(node(1), 1, Traffic.STATE, DATA), Hangup(1))
    assert frames(world, 1) == [FrameReceived(HOSTED, node(0), False, DATA)]
    assert core_of(world.hosts[0]).told_of(LinkClosed) == []


def test_a_link_to_a_process_that_dies_is_reset() -> None:
    world = running_world()
    dial(world)
    world.crash(world.hosts[1])
    world.clock.run_until(world.clock.now_s + 0.1)
    assert core_of(world.hosts[0]).told_of(LinkClosed) == [LinkClosed(1, "reset")]


def test_nothing_is_heard_of_a_host_that_loses_power() -> None:
    world = running_world()
    dial(world)
    world.crash(world.hosts[1], power=True)
    world.clock.run_until(world.clock.now_s + 60.0)
    assert core_of(world.hosts[0]).told_of(LinkClosed) == []


def test_a_host_notices_nothing_of_a_dialler_that_vanishes() -> None:
    world = running_world()
    dial(world)
    told = len(core_of(world.hosts[1]).told)
    world.crash(world.hosts[0])
    world.clock.run_until(world.clock.now_s + 60.0)
    assert len(core_of(world.hosts[1]).told) == told


def test_a_broker_that_dies_resets_its_links_and_its_owner_is_told() -> None:
    world = running_world()
    dial(world)
    world.broker_stops(world.hosts[1])
    world.clock.run_until(world.clock.now_s + 0.1)
    assert core_of(world.hosts[0]).told_of(LinkClosed) == [LinkClosed(1, "reset")]
    assert core_of(world.hosts[1]).told_of(BrokerDown) == [BrokerDown("exited")]


def test_a_reset_that_was_lost_comes_again_when_the_dialler_next_sends() -> None:
    world = running_world()
    dial(world)
    world.network.cut([(1, 0)])
    world.broker_stops(world.hosts[1])
    world.clock.run_until(world.clock.now_s + 1.0)
    assert core_of(world.hosts[0]).told_of(LinkClosed) == []
    world.network.heal()
    send(world, 0, 1, 1)
    assert core_of(world.hosts[0]).told_of(LinkClosed) == [LinkClosed(1, "reset")]


def test_a_new_session_of_the_same_node_replaces_the_old_one() -> None:
    world = running_world()
    dial(world, link=1)
    dial(world, link=2)
    admit(world, 1, 0)
    send(world, 0, 1, 1)
    send(world, 1, 0, HOSTED)
    assert core_of(world.hosts[0]).told_of(LinkClosed) == [LinkClosed(1, "reset")]
    assert frames(world, 0) == [FrameReceived(2, node(1), False, DATA)]
    assert frames(world, 1) == []


def test_an_answer_that_comes_after_the_timeout_opens_nothing() -> None:
    world = running_world(shape=Shape(latency_ms=600.0, jitter_ms=0.0))
    dial(world)
    world.clock.run_until(world.clock.now_s + 5.0)
    assert core_of(world.hosts[0]).told_of(LinkOpened) == []
    assert failures(world, 0) == [DialFailed(1, "timeout")]
    assert world.hosts[1].broker.sessions == {}


def test_packets_delivered_twice_make_one_link() -> None:
    world = running_world(shape=Shape(duplicate=1.0))
    dial(world)
    assert core_of(world.hosts[0]).told_of(LinkOpened) == [LinkOpened(1, node(1))]
    assert len(world.hosts[1].broker.sessions) == 1
