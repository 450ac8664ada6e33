from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.dialling import Attempt, Config, Dialling
from mesh.ids import NodeId
from mesh.wire import Endpoint

ME, A, B, Z = NodeId("m"), NodeId("a"), NodeId("b"), NodeId("z")


class Middle(Random):
    """Chance that always falls in the middle: pauses are what the configuration says."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def dialling(config: Config | None = None, random: Random | None = None) -> Dialling:
    return Dialling(config or Config(), ME, random or Middle())


def book(*hosts: str) -> Callable[[NodeId], tuple[Endpoint, ...]]:
    """Everybody is said to be at these hosts, or at one named like itself."""
    return lambda node: tuple(Endpoint(host, 1) for host in hosts or (node,))


def nobody_linked(_: NodeId) -> bool:
    return False


def fail_until(machine: Dialling, until: float, took_s: float = 0.0) -> list[float]:
    """Dial whenever due and fail each dial; when each began."""
    now, began = 0.0, []
    while (now := max(now, machine.wake_at())) < until:
        for attempt in machine.due(book(), now):
            began.append(round(now, 3))
            machine.failed(attempt, "refused", now + took_s)
    return began


# ---------------------------------------------------------------- when


def test_the_smaller_id_dials_at_once_and_the_larger_yields_a_moment() -> None:
    machine = dialling()
    machine.want([A, Z], nobody_linked, 10.0)
    assert machine.due(book(), 10.0) == [Attempt(Endpoint("z", 1), Z)]
    assert machine.wake_at() == 10.25
    assert machine.due(book(), 10.25) == [Attempt(Endpoint("a", 1), A)]


def test_the_pauses_double_up_to_the_longest_for_ever() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    assert fail_until(machine, until=6.0) == [0.0, 0.1, 0.3, 0.7, 1.5, 2.5, 3.5, 4.5, 5.5]


def test_a_dial_under_way_is_not_made_twice() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    assert len(machine.due(book(), 0.0)) == 1
    assert machine.due(book(), 99.0) == []
    assert machine.in_flight == 1


def test_whom_nobody_has_an_endpoint_of_is_looked_for_later() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    assert machine.due(lambda _: (), 0.0) == []
    assert machine.wake_at() == 1.0
    assert machine.due(book(), 1.0) == [Attempt(Endpoint("z", 1), Z)]


def test_the_endpoints_of_a_peer_are_tried_in_turn() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    hosts = []
    for step in range(5):
        (attempt,) = machine.due(book("one", "two", "three"), step * 2.0)
        hosts.append(attempt.endpoint.host)
        machine.failed(attempt, "refused", step * 2.0)
    assert hosts == ["one", "two", "three", "one", "two"]


def test_who_is_no_longer_wanted_is_no_longer_dialled() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    machine.want([], nobody_linked, 0.0)
    assert machine.due(book(), 5.0) == []
    assert machine.wake_at() == float("inf")


def test_a_dial_under_way_is_seen_to_its_end_though_no_longer_wanted() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    (attempt,) = machine.due(book(), 0.0)
    machine.want([], nobody_linked, 0.0)
    assert machine.in_flight == 1
    machine.failed(attempt, "refused", 0.1)
    machine.want([], nobody_linked, 0.1)
    assert machine.in_flight == 0
    assert machine.due(book(), 9.0) == []


def test_the_last_error_of_a_peer_is_kept_until_a_dial_becomes_a_link() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    (attempt,) = machine.due(book(), 0.0)
    machine.failed(attempt, "timeout", 0.0)
    assert machine.last_error(Z) == "timeout"
    assert machine.last_error(A) == ""
    (attempt,) = machine.due(book(), 1.0)
    machine.finished(attempt)
    assert machine.last_error(Z) == ""


# ---------------------------------------------------------------- links and news


def test_a_linked_peer_is_not_dialled_and_is_again_at_once_when_a_steady_link_ends() -> None:
    machine = dialling()
    machine.want([Z], lambda _: True, 0.0)
    assert machine.due(book(), 99.0) == []
    machine.want([Z], nobody_linked, 100.0)
    assert machine.due(book(), 100.0) == [Attempt(Endpoint("z", 1), Z)]


def test_links_that_break_as_soon_as_they_stand_are_dialled_with_growing_pauses() -> None:
    machine, now, pauses = dialling(), 0.0, []
    for _ in range(5):
        machine.want([Z], lambda _: True, now)
        machine.want([Z], nobody_linked, now + 0.5)
        pauses.append(round(machine.wake_at() - now - 0.5, 3))
        now = machine.wake_at()
        (attempt,) = machine.due(book(), now)
        machine.finished(attempt)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0]


def test_news_of_a_peer_clears_its_pause() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    fail_until(machine, until=6.0)
    machine.hurry(Z, 5.6)
    machine.hurry(A, 5.6)
    assert machine.due(book(), 5.6) == [Attempt(Endpoint("z", 1), Z)]


def test_news_does_not_disturb_a_dial_under_way_or_a_link() -> None:
    machine = dialling()
    machine.want([Z], nobody_linked, 0.0)
    (attempt,) = machine.due(book(), 0.0)
    machine.hurry(Z, 0.1)
    assert machine.due(book(), 0.1) == []
    machine.finished(attempt)
    machine.want([Z], lambda _: True, 0.2)
    machine.hurry(Z, 0.3)
    assert machine.due(book(), 0.3) == []


# ---------------------------------------------------------------- strays


def test_an_endpoint_of_an_unknown_node_is_tried_for_ever_every_five_seconds_at_last() -> None:
    machine = dialling()
    machine.want_strays([Endpoint("seed", 1)], 0.0)
    assert fail_until(machine, until=17.0) == [0.0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 11.3, 16.3]


def test_a_stray_that_is_settled_is_let_go() -> None:
    machine = dialling()
    machine.want_strays([Endpoint("seed", 1)], 0.0)
    machine.want_strays([], 0.0)
    assert machine.due(book(), 9.0) == []
    machine.failed(Attempt(Endpoint("seed", 1), None), "refused", 9.0)
    machine.finished(Attempt(Endpoint("seed", 1), None))
    assert machine.wake_at() == float("inf")


# ---------------------------------------------------------------- bounds


def test_no_more_dials_are_under_way_than_allowed_and_the_end_of_one_wakes_us() -> None:
    machine = dialling(Config(in_flight_max=3))
    machine.want([NodeId(f"z{i}") for i in range(10)], nobody_linked, 0.0)
    attempts = machine.due(book(), 0.0)
    assert len(attempts) == machine.in_flight == 3
    assert machine.due(book(), 1.0) == []
    assert machine.wake_at() == float("inf")
    machine.failed(attempts[0], "timeout", 1.0)
    assert machine.wake_at() <= 1.0
    assert len(machine.due(book(), 1.0)) == 1


def test_the_longest_waiting_goes_first() -> None:
    machine = dialling(Config(in_flight_max=2))
    machine.want([NodeId(f"z{i}") for i in range(6)], nobody_linked, 0.0)
    turns = []
    for step in range(6):
        for attempt in machine.due(book(), step * 1.0):
            turns.append(attempt.endpoint.host)
            machine.failed(attempt, "timeout", step * 1.0)
    assert turns[:6] == ["z0", "z1", "z2", "z3", "z4", "z5"]


@settings(max_examples=25, deadline=None)
@given(dead=st.integers(5, 120), took_s=st.sampled_from([0.0, 0.002, 1.0]), seed=st.integers(0, 1000))
def test_with_many_dead_the_dials_settle_below_the_rate_and_starve_nobody(
    dead: int, took_s: float, seed: int
) -> None:
    """Once the pauses have grown, which takes each peer a handful of dials."""
    config = Config()
    machine = dialling(config, Random(seed))
    machine.want([NodeId(f"z{i:03}") for i in range(dead)], nobody_linked, 0.0)
    longest_s = max(config.pause_max_s, dead / config.dials_per_s) * 1.3 + took_s
    settled, until = 4 * longest_s, 8 * longest_s
    dials = [each for each in simulate(machine, until, took_s) if each[0] >= settled]
    rate = len(dials) / (until - settled)
    assert (
        rate <= max(config.dials_per_s, dead / config.pause_max_s if dead < config.dials_per_s else 0) * 1.1
    )
    assert Counter(node for _, node in dials).keys() == {f"z{i:03}" for i in range(dead)}


def simulate(machine: Dialling, until: float, took_s: float) -> list[tuple[float, NodeId | None]]:
    """Every dial fails after `took_s`; when each began, and to whom."""
    now, began, ends = 0.0, [], []
    while now < until:
        for attempt in machine.due(book(), now):
            began.append((now, attempt.node))
            ends.append((now + took_s, attempt))
        now = min([machine.wake_at(), *(end for end, _ in ends)])
        for end in [each for each in ends if each[0] <= now]:
            ends.remove(end)
            machine.failed(end[1], "timeout", now)
    return began


@pytest.mark.parametrize("strays", [8, 200])
def test_strays_share_the_rate_too(strays: int) -> None:
    machine = dialling(random=Random(1))
    machine.want_strays([Endpoint(f"10.0.0.{i}", 1) for i in range(strays)], 0.0)
    began = [when for when, _ in simulate(machine, 200.0, 0.002)]
    assert len([when for when in began if when >= 100]) / 100 <= max(8.0, Config().dials_per_s * 1.5)


def test_news_without_end_makes_no_storm_of_dials() -> None:
    """An announcement repeated a hundred times a second, by mistake or on purpose."""
    machine = dialling(random=Random(1))
    machine.want([Z], nobody_linked, 0.0)
    dials = 0
    for step in range(1000):
        now = step / 100
        machine.hurry(Z, now)
        for attempt in machine.due(book(), now):
            dials += 1
            machine.failed(attempt, "refused", now)
    assert dials <= 10 / (Config().first_pause_s * 0.7)
