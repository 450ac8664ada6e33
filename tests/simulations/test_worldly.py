"""The checker of the shared documents fires on what is broken on purpose, and only then."""

import msgspec

from mesh.events import WriteRequested
from simulations.host import Host
from simulations.memory import state_of
from simulations.runner import Job, world_of
from simulations.scenario import Scenario
from simulations.world import World
from simulations.worldly import WorldChecker
from tests.simulations.scripted import invariants

QUIET = Scenario("nothing happens", 60.0)


def site(nodes: int = 3) -> tuple[World, WorldChecker]:
    world = world_of(Job(QUIET, nodes, 1))
    checker = WorldChecker(world)
    world.audience.add(checker)
    world.boot_all()
    world.clock.run_until(6.0)
    return world, checker


def write(world: World, index: int, value: str | None, item: str = "acme/pump") -> None:
    process = world.hosts[index].process
    assert process is not None
    body = None if value is None else msgspec.msgpack.encode({"type": value})
    world.deliver(process, WriteRequested(1, (("asset", item, "", body),)))
    world.clock.run_until(world.clock.now_s + 1.0)


def forget(host: Host, item: str = "acme/pump") -> None:
    """Let all versions of one item vanish from memory, unnoticed by anybody."""
    state = None if host.process is None else state_of(host.process)
    assert state is not None
    document = state.library.get("asset")
    assert document is not None
    for key in [key for key, record in document.records.items() if record.register.item == item]:
        state.hide(document, key)
    state.take_changes()


def ended(world: World) -> list[str]:
    world.audience.ended()
    return invariants(world)


def test_a_write_that_is_everywhere_breaks_nothing_and_is_counted() -> None:
    world, checker = site()
    write(world, 0, "pump")
    write(world, 1, "valve")
    assert ended(world) == []
    assert checker.losses.writes_acknowledged == 2


def test_an_author_without_its_own_acknowledged_write_has_lost_it() -> None:
    world, checker = site(1)
    write(world, 0, "pump")
    forget(world.hosts[0])
    assert ended(world) == ["S1"]
    assert (checker.losses.lost_acknowledged, checker.losses.unexplained_missing) == (1, 0)


def test_a_write_that_another_lacks_is_missing_there() -> None:
    world, checker = site(2)
    write(world, 0, "pump")
    forget(world.hosts[1])
    assert ended(world) == ["L5"]
    assert (checker.losses.lost_acknowledged, checker.losses.unexplained_missing) == (0, 1)


def test_documents_that_differ_in_the_end_have_diverged() -> None:
    world, checker = site(2)
    write(world, 0, "pump")
    world.crash(world.hosts[1])
    world.clock.run_until(world.clock.now_s + 4.0)
    world.hosts[1].disk._tables["record:asset"].clear()
    world.network.partition([[0]])
    world.start(world.hosts[1])
    world.network.heal()  # within reach, but nothing has passed yet
    world.changed()
    assert "S2" in ended(world)
    assert checker.losses.diverged >= 1


def test_a_write_that_was_replaced_need_not_be_anywhere() -> None:
    world, checker = site(2)
    write(world, 0, "pump")
    write(world, 1, "valve")
    state = state_of(world.hosts[0].process) if world.hosts[0].process else None
    assert state is not None
    document = state.library.get("asset")
    assert document is not None
    mine = next(key for key, record in document.records.items() if record.author == world.hosts[0].node)
    state.hide(document, mine)
    assert checker.losses.lost_acknowledged == 0
    assert "S1" not in ended(world)


def test_a_replaced_version_that_heads_again_is_resurrected() -> None:
    world, checker = site(2)
    write(world, 0, "pump")
    write(world, 1, None)
    process = world.hosts[0].process
    state = state_of(process) if process else None
    assert process is not None and state is not None
    document = state.library.get("asset")
    assert document is not None
    deletion = next(key for key, record in document.records.items() if record.is_deletion)
    state.hide(document, deletion)
    write(world, 0, "other", item="acme/other")  # any event makes the core tell what has changed
    assert "S4" in invariants(world)
    assert checker.losses.resurrected == 1


def test_a_restarted_host_that_has_lost_what_it_acknowledged_is_caught_at_once() -> None:
    world, checker = site(1)
    write(world, 0, "pump")
    world.crash(world.hosts[0])
    world.hosts[0].disk._tables["record:asset"].clear()
    world.start(world.hosts[0])
    assert invariants(world) == ["S1"]
    assert checker.losses.lost_acknowledged == 1
