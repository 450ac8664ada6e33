"""Measurements on worlds whose views the test itself makes right or wrong."""

import pytest

from mesh.events import Effect, Isolated, PeerChanged, Reunited
from simulations.measure import Detections, Falsehoods, Healings, Times, idle_budget
from simulations.scenario import Bounds
from simulations.world import World
from tests.simulations.scripted import Seen, core_of, invariants, node, running_world

BOUNDS = Bounds(detect_s=5.0, heal_s=5.0, isolated_s=3.0)


def changed(subject: int, state: str) -> PeerChanged:
    return PeerChanged(node(subject), f"node-{subject:03}", state, "a test")


def say(world: World, at_s: float, observer: int, *news: Effect) -> None:
    """Plan some news."""
    process = world.hosts[observer].process
    assert process is not None
    world.clock.at(at_s, world.perform, process, list(news))


def detections(world: World) -> tuple[Detections, Times]:
    times = Times()
    watcher = Detections(world, BOUNDS, times)
    world.audience.add(watcher)
    return watcher, times


def test_a_crash_is_detected_when_the_last_node_knows() -> None:
    world = running_world(3)
    watcher, times = detections(world)
    world.crash(world.hosts[2])
    watcher.begin()
    say(world, 2.0, 0, changed(2, "suspect"), changed(2, "unreachable"))
    say(world, 2.5, 1, changed(2, "unreachable"))
    world.clock.run_until(10.0)
    assert [(each.seconds, each.last) for each in times.detect] == [
        (1.5, "node-001 said unreachable of node-002: a test")
    ]
    assert invariants(world) == []


def test_a_verdict_that_is_taken_back_does_not_count() -> None:
    world = running_world(2)
    watcher, times = detections(world)
    world.crash(world.hosts[1])
    watcher.begin()
    say(world, 2.0, 0, changed(1, "suspect"))
    say(world, 3.0, 0, changed(1, "unreachable"))
    world.clock.run_until(10.0)
    assert [each.seconds for each in times.detect] == [2.0]


def test_a_cut_must_be_known_on_both_sides() -> None:
    world = running_world(2)
    for observer in range(2):
        say(world, 1.0, observer, changed(1 - observer, "alive"))
    world.clock.run_until(1.0)
    watcher, times = detections(world)
    world.network.partition([[0]])
    world.changed()
    watcher.begin()
    say(world, 2.0, 0, changed(1, "unreachable"))
    world.clock.run_until(3.0)
    assert times.detect == []
    say(world, 3.5, 1, changed(0, "unreachable"))
    world.clock.run_until(4.0)
    assert [each.seconds for each in times.detect] == [2.5]


def test_a_crash_that_somebody_never_notices_is_a_violation_that_names_the_pair() -> None:
    world = running_world(3)
    watcher, times = detections(world)
    say(world, 1.0, 1, changed(2, "alive"))
    world.clock.run_until(1.0)
    world.crash(world.hosts[2])
    watcher.begin()
    say(world, 2.0, 0, changed(2, "unreachable"))
    world.clock.run_until(10.0)
    assert times.detect == []
    assert [(each.invariant, each.detail) for each in world.violations] == [
        ("L1", "after 5.0 s not known by all: node-001 says alive of node-002")
    ]


def test_a_node_cut_off_alone_must_say_that_it_is_isolated() -> None:
    world = running_world(3)
    watcher, times = detections(world)
    world.network.partition([[0]])
    world.changed()
    watcher.begin()
    say(world, 3.5, 0, Isolated())
    world.clock.run_until(4.0)
    assert [(each.seconds, each.last) for each in times.isolated] == [(2.5, "node-000")]


def test_a_lonely_node_that_says_nothing_is_a_violation() -> None:
    world = running_world(3)
    watcher, _ = detections(world)
    say(world, 1.0, 0, Isolated(), Reunited(1))
    world.clock.run_until(1.0)
    world.network.partition([[0]])
    world.changed()
    watcher.begin()
    world.clock.run_until(4.5)
    assert [each.detail for each in world.violations] == ["node-000 hears nobody and has not said so"]


def healed(world: World, full_mesh_max: int = 32) -> Times:
    times = Times()
    Healings(world, BOUNDS, times, full_mesh_max).begin()
    world.clock.run_until(20.0)
    return times


def test_a_heal_lasts_until_all_are_alive_and_linked() -> None:
    world = running_world(2)
    core_of(world.hosts[0]).seen = [Seen(node(1), "alive")]
    say(world, 2.0, 0, changed(1, "alive"))
    say(world, 2.5, 1, changed(0, "alive"))
    world.clock.at(3.0, core_of(world.hosts[1]).seen.append, Seen(node(0), "alive"))
    times = healed(world)
    assert [each.seconds for each in times.heal] == [pytest.approx(2.0, abs=0.011)]
    assert times.heal[0].last == "node-001 has no link with node-000"


def test_in_an_overlay_links_do_not_count() -> None:
    world = running_world(2)
    say(world, 2.0, 0, changed(1, "alive"))
    say(world, 2.5, 1, changed(0, "alive"))
    assert [each.seconds for each in healed(world, full_mesh_max=1).heal] == [pytest.approx(1.5, abs=0.011)]


def test_a_heal_that_does_not_come_is_a_violation() -> None:
    world = running_world(2)
    assert healed(world).heal == []
    assert [(each.invariant, each.detail) for each in world.violations] == [
        ("L1", "not healed after 5.0 s: node-000 says unknown of node-001")
    ]


def test_nodes_that_cannot_meet_are_not_waited_for() -> None:
    world = running_world(2)
    world.network.partition([[0]])
    world.changed()
    assert [each.seconds for each in healed(world).heal] == [0.0]


def false_count(world: World) -> int:
    watcher = Falsehoods(world)
    world.audience.add(watcher)
    world.clock.run_until(10.0)
    return watcher.count


def test_calling_a_healthy_node_unreachable_is_counted() -> None:
    world = running_world(2)
    say(world, 5.0, 0, changed(1, "alive"), changed(1, "unreachable"))
    assert false_count(world) == 1
    assert invariants(world) == ["L3"]


def test_a_node_that_a_third_can_reach_is_not_unreachable() -> None:
    world = running_world(3)
    world.network.cut([(0, 1), (1, 0)])
    world.changed()
    say(world, 9.0, 0, changed(1, "unreachable"))
    assert false_count(world) == 1


def test_a_dead_or_cut_off_node_is_rightly_called_unreachable() -> None:
    world = running_world(3)
    world.crash(world.hosts[1])
    world.network.partition([[2]])
    world.changed()
    say(world, 5.0, 0, changed(1, "unreachable"), changed(2, "unreachable"))
    assert false_count(world) == 0


def test_a_verdict_shortly_after_a_heal_is_not_yet_false() -> None:
    world = running_world(2)
    world.network.partition([[0]])
    world.changed()
    world.clock.at(5.0, world.heal)
    say(world, 7.5, 0, changed(1, "unreachable"))
    say(world, 8.5, 0, changed(1, "unreachable"))
    assert false_count(world) == 1


@pytest.mark.parametrize(("nodes", "budget"), [(3, 5000.0), (10, 5000.0), (100, 25000.0)])
def test_the_idle_budget_is_that_of_the_specification(nodes: int, budget: float) -> None:
    assert idle_budget(nodes) == budget
