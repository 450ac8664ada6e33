from hypothesis import given
from hypothesis import strategies as st

from mesh.hearing import Config, Hearing
from mesh.ids import NodeId

A, B = NodeId("a" * 26), NodeId("b" * 26)


def hearing(config: Config | None = None) -> Hearing:
    hearing = Hearing(config or Config())
    hearing.tick(0.0)
    return hearing


def ticked(
    machine: Hearing, until: float, since: float = 0.0
) -> list[tuple[float, list[NodeId], list[NodeId]]]:
    """Tick a hundred times a second; the ticks at which something happened."""
    steps = [round(since + 0.01 * (i + 1), 2) for i in range(round((until - since) * 100))]
    told = [(now, *machine.tick(now)) for now in steps]
    return [each for each in told if each[1] or each[2]]


def test_the_first_frame_is_news_and_the_next_is_not() -> None:
    machine = hearing()
    assert machine.hear(A, 0.0)
    assert not machine.hear(A, 0.5)
    assert machine.heard() == [A]
    assert machine.hears(A)
    assert machine.silence(A, 0.8) == 0.30000000000000004


def test_whom_we_never_heard_is_silent_for_ever() -> None:
    machine = hearing()
    assert machine.silence(A, 5.0) == float("inf")
    assert not machine.is_suspect(A, 5.0)
    assert not machine.hears(A)


def test_two_missed_beats_bring_ten_probes_and_then_the_verdict_once() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    assert ticked(machine, until=3.0) == [
        *[(round(1.0 + 0.1 * i, 2), [A], []) for i in range(10)],
        (2.0, [], [A]),
    ]
    assert machine.heard() == []


def test_suspicion_stands_between_its_time_and_the_verdict() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    assert [machine.is_suspect(A, now) for now in (1.0, 1.49, 1.5, 1.99)] == [False, False, True, True]


def test_any_frame_clears_the_doubt() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    ticked(machine, until=1.9)
    machine.hear(A, 1.9)
    assert not machine.is_suspect(A, 1.9)
    assert ticked(machine, until=2.8, since=1.9) == []


def test_only_the_silent_one_is_convicted() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    machine.hear(B, 0.0)
    for now in (0.5, 1.0, 1.5, 2.0):
        machine.hear(B, now)
        machine.tick(now)
    assert machine.heard() == [B]


def test_our_own_stall_convicts_nobody() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    ticked(machine, until=0.5)
    assert machine.tick(30.0) == ([A], [])
    assert machine.stalls == 1
    assert not machine.is_suspect(A, 30.0)


def test_after_a_stall_a_peer_has_a_second_to_answer_the_probes() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    ticked(machine, until=0.5)
    machine.tick(30.0)
    verdicts = [now for now, _, silent in ticked(machine, until=32.0, since=30.0) if silent]
    assert verdicts == [31.0]


def test_a_stall_gives_nobody_more_than_what_it_took() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    ticked(machine, until=0.9)
    machine.hear(A, 0.9)
    machine.tick(1.7)
    assert machine.stalls == 1
    assert machine.silence(A, 1.7) == 0.7999999999999999


def test_a_late_wake_below_the_limit_is_no_stall() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    machine.tick(0.74)
    assert machine.stalls == 0


def test_who_is_forgotten_is_neither_probed_nor_convicted() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    machine.forget(A)
    machine.forget(B)
    assert ticked(machine, until=3.0) == []
    assert machine.wake_at() == float("inf")


def test_the_wake_is_for_the_next_probe_or_verdict() -> None:
    machine = hearing()
    assert machine.wake_at() == float("inf")
    machine.hear(A, 0.0)
    assert machine.wake_at() == 1.0
    machine.tick(0.5)
    assert machine.tick(1.0) == ([A], [])
    assert machine.wake_at() == 1.1
    for step in range(11, 20):
        machine.tick(step / 10)
    assert machine.wake_at() == 2.0


@given(wakes_late_by=st.lists(st.floats(0, 0.02), min_size=1, max_size=300))
def test_waking_when_asked_convicts_in_time_however_late_each_wake_is_by_a_little(
    wakes_late_by: list[float],
) -> None:
    """Never before the verdict is due, and never much later: rounding must cost no whole wake."""
    machine = hearing()
    machine.hear(A, 0.0)
    now = 0.0
    for wake in range(1000):
        beat = now + 0.5  # the core wakes for its own beats too
        now = min(machine.wake_at(), beat) + wakes_late_by[wake % len(wakes_late_by)]
        _, silent = machine.tick(now)
        if silent:
            assert 2.0 - 1e-6 <= now <= 2.0 + 0.021
            return
    raise AssertionError("never convicted")


def test_a_slower_beat_still_convicts() -> None:
    """With wakes further apart than `stall_s`, every one of them looks late."""
    config = Config(beat_s=2.0, doubt_after_s=4.0, suspect_after_s=5.0, unreachable_after_s=6.0)
    machine = hearing(config)
    machine.hear(A, 0.0)
    now = 0.0
    while machine.hears(A) and now < 20:
        now = min(machine.wake_at(), now + 2.0)
        machine.tick(now)
    assert 5.99 <= now <= 6.2


def test_whatever_is_handled_first_after_a_gap_shows_that_we_had_stopped() -> None:
    machine = hearing()
    machine.hear(A, 0.0)
    machine.awake(0.0)
    machine.awake(5.0)
    assert machine.stalls == 1
    assert not machine.is_suspect(A, 5.0)
    assert machine.tick(5.0) == ([A], [])
    assert machine.stalls == 1
