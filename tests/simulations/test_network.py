import pytest

from simulations.chance import chance
from simulations.clock import Clock
from simulations.network import Lane, Network, Shape


def network(shape: Shape, hosts: int = 3) -> tuple[Network, Clock]:
    clock = Clock()
    return Network(clock, shape, chance(1, "network"), hosts), clock


def arrivals(shape: Shape, packets: int, lane: Lane | None = None) -> list[int]:
    """Which of so many packets, sent a millisecond apart, arrive, in the order they do."""
    net, clock = network(shape)
    arrived: list[int] = []
    for number in range(packets):
        clock.run_until(number / 1000)
        net.carry(0, 1, lane, arrived.append, number)
    clock.run_until(60.0)
    return arrived


def test_a_packet_takes_latency_and_jitter() -> None:
    net, clock = network(Shape(latency_ms=5.0, jitter_ms=2.0))
    moments: list[float] = []
    for _ in range(100):
        net.carry(0, 1, None, lambda: moments.append(clock.now_s))
    clock.run_until(1.0)
    assert len(moments) == 100
    assert 0.005 <= min(moments) < 0.0055 and 0.0065 < max(moments) <= 0.007


def test_packets_of_one_lane_keep_their_order_whatever_the_jitter() -> None:
    jittery = Shape(latency_ms=1.0, jitter_ms=50.0)
    assert arrivals(jittery, 200, Lane()) == list(range(200))
    assert arrivals(jittery, 200) != list(range(200))


def test_reordering_breaks_the_order_of_a_lane_but_loses_nothing() -> None:
    found = arrivals(Shape(reorder=0.3, reorder_ms=50.0), 200, Lane())
    assert found != list(range(200))
    assert sorted(found) == list(range(200))


def test_loss_takes_its_share() -> None:
    assert 740 < len(arrivals(Shape(loss=0.2), 1000)) < 860


def test_duplication_delivers_twice() -> None:
    found = arrivals(Shape(duplicate=0.5), 1000)
    assert 1400 < len(found) < 1600
    assert set(found) == set(range(1000))


def test_a_cut_is_in_one_direction() -> None:
    net, _ = network(Shape())
    net.cut([(0, 1)])
    assert not net.up(0, 1) and net.up(1, 0)
    assert not net.both_up(0, 1)
    net.mend([(0, 1)])
    assert net.both_up(0, 1)


def test_groups_hear_only_themselves_and_the_unnamed_are_a_group() -> None:
    net, _ = network(Shape(), hosts=5)
    net.partition([[0], [1, 2]])
    heard = [(one, other) for one in range(5) for other in range(one) if net.up(one, other)]
    assert heard == [(2, 1), (4, 3)]
    net.heal()
    assert net.up(0, 4)


def test_a_packet_under_way_when_its_path_is_cut_does_not_arrive() -> None:
    net, clock = network(Shape(latency_ms=10.0))
    arrived: list[int] = []
    net.carry(0, 1, None, arrived.append, 1)
    clock.run_until(0.005)
    net.partition([[0]])
    clock.run_until(1.0)
    assert arrived == [] and net.lost == 1


def test_held_packets_arrive_after_their_release_in_their_order() -> None:
    net, clock = network(Shape(latency_ms=1.0, jitter_ms=5.0))
    arrived: list[int] = []
    net.hold()
    for number in range(50):
        net.carry(0, 1, None, arrived.append, number)
    clock.run_until(10.0)
    assert arrived == [] and not net.both_up(0, 1)
    net.release()
    clock.run_until(11.0)
    assert arrived == list(range(50))


@pytest.mark.parametrize("shape", [Shape(), Shape(loss=0.3, duplicate=0.2, reorder=0.5)])
def test_one_seed_gives_one_network(shape: Shape) -> None:
    assert arrivals(shape, 300, Lane()) == arrivals(shape, 300, Lane())
