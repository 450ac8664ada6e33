import pytest

from crdt_state.manners import Manners
from mesh.ids import NodeId

LIAR, OTHER = NodeId("liar"), NodeId("other")


def offend(manners: Manners, times: int, start: float = 0.0, pause_s: float = 1.0) -> list[bool]:
    return [manners.blames(LIAR, ["record-forged"], start + place * pause_s) for place in range(times)]


def test_the_twentieth_offence_within_a_minute_is_one_too_many() -> None:
    manners = Manners()
    assert offend(manners, 19) == [False] * 19
    assert not manners.is_ignored(LIAR, 18.0)
    assert manners.blames(LIAR, ["delta-malformed"], 19.0)
    assert manners.is_ignored(LIAR, 19.0) and manners.ignored(19.0) == [LIAR]
    assert not manners.is_ignored(OTHER, 19.0)


def test_whoever_offends_more_slowly_is_listened_to() -> None:
    assert offend(Manners(), 100, pause_s=3.2) == [False] * 100


def test_one_message_is_one_offence_however_much_is_wrong_with_it() -> None:
    assert not Manners().blames(LIAR, ["record-forged"] * 1000, 0.0)


def test_each_time_it_is_ignored_twice_as_long_up_to_ten_minutes() -> None:
    manners, now, ignored_s = Manners(), 0.0, []
    for _ in range(8):
        offend(manners, 20, now, pause_s=0.0)
        ignored_s.append(
            next(seconds for seconds in range(1, 1000) if not manners.is_ignored(LIAR, now + seconds))
        )
        now += 1000
    assert ignored_s == [10, 20, 40, 80, 160, 320, 600, 600]


def test_an_hour_of_good_manners_is_forgiven() -> None:
    manners = Manners()
    offend(manners, 20, 0.0, pause_s=0.0)
    offend(manners, 20, 3700.0, pause_s=0.0)
    assert manners.is_ignored(LIAR, 3709.0) and not manners.is_ignored(LIAR, 3710.0)


@pytest.mark.parametrize(
    "reason",
    ["record-stranger", "record-removed", "record-rolled-back", "record-not-allowed", "delta-gapped", ""],
)
def test_what_lag_explains_is_no_offence(reason: str) -> None:
    manners = Manners()
    assert not any(manners.blames(LIAR, [reason], 0.0, is_pushed=True) for _ in range(100))


@pytest.mark.parametrize("reason", ["record-rubbed-out", "delta-pen-taken"])
def test_what_a_replica_may_carry_for_another_is_an_offence_only_when_pushed(reason: str) -> None:
    pulled, pushed = Manners(), Manners()
    assert not any(pulled.blames(LIAR, [reason], 0.0) for _ in range(100))
    assert any(pushed.blames(LIAR, [reason], 0.0, is_pushed=True) for _ in range(20))
