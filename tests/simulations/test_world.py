import pytest

from mesh.events import (
    BrokerUp,
    CastRequested,
    CertificateInstalled,
    Dial,
    Effect,
    EndpointFound,
    Event,
    FrameReceived,
    InstallCertificate,
    Isolated,
    LinkOpened,
    Persist,
    PersistFailed,
    Send,
    Source,
    Traffic,
    Woke,
    Write,
)
from mesh.now import Now
from tests.simulations.scripted import (
    ScriptedCore,
    core_of,
    invariants,
    node,
    perform,
    running_world,
    scripted_world,
)

SAVE = Persist((Write("roster", "m:x", b"entry"),))
ASK = CastRequested("topic", b"payload")


def test_a_restarted_node_has_the_next_incarnation_another_boot_and_what_it_saved() -> None:
    world = running_world(1)
    host = world.hosts[0]
    first = core_of(host).nativity
    perform(world, host, SAVE)
    world.crash(host)
    world.start(host)
    second = core_of(host).nativity
    assert (first.incarnation, second.incarnation) == (1, 2)
    assert first.boot != second.boot
    assert second.saved == {"roster": {"m:x": b"entry"}}


def test_a_broker_comes_up_after_its_node_and_says_where() -> None:
    world = running_world(1)
    assert core_of(world.hosts[0]).told == [BrokerUp((world.hosts[0].endpoint,))]


def test_mdns_tells_both_ends_within_its_delay() -> None:
    world = running_world(2, mdns="on")
    world.clock.run_until(2.0)
    found = core_of(world.hosts[0]).told_of(EndpointFound)
    assert EndpointFound(world.hosts[1].endpoint, node(1), Source.MDNS) in found


def test_mdns_does_not_cross_a_cut_and_speaks_again_after_the_heal() -> None:
    world = scripted_world(2, mdns="on")
    world.network.partition([[0]])
    for host in world.hosts:
        world.start(host)
    world.clock.run_until(10.0)
    assert core_of(world.hosts[0]).told_of(EndpointFound) == []
    world.heal()
    world.clock.run_until(12.0)
    assert len(core_of(world.hosts[0]).told_of(EndpointFound)) == 1


def test_what_could_not_be_stored_is_reported_and_told_to_nobody() -> None:
    world = running_world(2)
    host, peer = world.hosts
    perform(world, host, Dial(1, peer.endpoint, None))
    host.disk.full = True
    perform(
        world,
        host,
        SAVE,
        Send(node(1), 1, Traffic.STATE, b"the news", door=True),
        Dial(2, peer.endpoint, None),
    )
    assert core_of(host).told_of(PersistFailed) == [PersistFailed("disk full")]
    assert host.disk.saved() == {}
    assert core_of(peer).told_of(FrameReceived) == []
    assert LinkOpened(2, node(1)) in core_of(host).told


def test_a_planned_crash_strikes_between_two_effects() -> None:
    world = running_world(1)
    host = world.hosts[0]
    assert host.process is not None
    host.process.effects_left = 1
    perform(world, host, SAVE, Persist((Write("roster", "m:y", b"never"),)))
    assert world.hosts[0].process is None
    assert host.disk.saved() == {"roster": {"m:x": b"entry"}}


def test_a_new_certificate_is_put_into_service_and_survives_a_restart() -> None:
    world = running_world(1)
    host = world.hosts[0]
    chain = host.chain
    perform(world, host, InstallCertificate(chain))
    assert core_of(host).told[-1] == CertificateInstalled(chain)
    world.crash(host)
    world.start(host)
    assert core_of(host).nativity.chain == chain


def test_a_core_is_woken_when_it_asked_on_its_own_clock() -> None:
    world = running_world(1)
    core, process = core_of(world.hosts[0]), world.hosts[0].process
    assert process is not None
    core.wake_at = process.mono_offset_s + 7.0
    world.deliver(process, ASK)
    core.wake_at = process.mono_offset_s + 7.0
    world.clock.run_until(6.999)
    assert core.told_of(Woke) == []
    core_wakes(core)
    world.clock.run_until(7.001)
    assert core.told_of(Woke) == [Woke()]
    assert core.moments[-1].mono >= process.mono_offset_s + 7.0


def core_wakes(core: ScriptedCore) -> None:
    """From the next event on this core sleeps for ever."""

    def sleep(asked: ScriptedCore, _: Event | None, __: Now) -> list[Effect]:
        asked.wake_at = float("inf")
        return []

    core.script = sleep


def test_a_core_that_wakes_without_end_is_stopped_and_reported() -> None:
    world = running_world(1)
    core, process = core_of(world.hosts[0]), world.hosts[0].process
    assert process is not None
    core.wake_at = 0.0
    world.deliver(process, ASK)
    world.clock.run_until(5.0)
    assert invariants(world) == ["S8"]
    assert "wakes for ever" in world.violations[0].detail


def test_a_core_that_raises_is_a_finding_and_a_crash() -> None:
    world = running_world(1)
    process = world.hosts[0].process
    assert process is not None

    def fail(_: ScriptedCore, __: Event | None, ___: Now) -> list[Effect]:
        raise KeyError("oh")

    core_of(world.hosts[0]).script = fail
    world.deliver(process, ASK)
    assert invariants(world) == ["core-error"]
    assert world.hosts[0].process is None


def test_a_stalled_process_hears_everything_late_and_its_timer_first() -> None:
    world = running_world(1)
    host = world.hosts[0]
    assert host.process is not None
    world.stall(host)
    world.deliver(host.process, ASK)
    assert core_of(host).told_of(CastRequested) == []
    world.resume(host)
    assert core_of(host).told[-2:] == [Woke(), ASK]


def test_a_monotonic_clock_never_steps_back_when_the_wall_clock_does() -> None:
    world = running_world(1)
    host = world.hosts[0]
    assert host.process is not None
    world.deliver(host.process, ASK)
    host.wall_offset_ms = -86_400_000
    world.deliver(host.process, ASK)
    before, after = core_of(host).moments[-2:]
    assert after.mono >= before.mono
    assert after.wall_ms == before.wall_ms - 86_400_000


def test_a_fast_clock_runs_ahead_from_where_it_was() -> None:
    world = running_world(1)
    host = world.hosts[0]
    assert host.process is not None
    begun_s = host.now(host.process, 1.0).mono
    host.drift(1.5, 1.0)
    assert host.now(host.process, 1.0).mono == begun_s
    assert host.now(host.process, 3.0).mono == pytest.approx(begun_s + 3.0)


def test_a_clone_has_the_same_identity_on_another_host_with_a_copy_of_the_disk() -> None:
    world = running_world(2)
    original = world.hosts[1]
    perform(world, original, SAVE)
    twin = world.add_clone(original)
    world.start(twin)
    assert (twin.node, twin.index, twin.incarnation) == (original.node, 2, 2)
    assert twin.disk.saved() == original.disk.saved()
    assert original.rival and twin.rival


def test_news_is_part_of_the_trace() -> None:
    quiet, loud = running_world(1), running_world(1)
    assert quiet.trace.digest() == loud.trace.digest()
    perform(loud, loud.hosts[0], Isolated())
    assert quiet.trace.digest() != loud.trace.digest()
