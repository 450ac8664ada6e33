from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.casts import (
    GAPS_MAX,
    HELD_BYTES_MAX,
    HELD_MAX,
    HELD_S,
    HOPS_MAX,
    INCARNATIONS_MAX,
    ORIGINS_MAX,
    PROVE_MAX,
    Casts,
)
from mesh.ids import NodeId
from mesh.trust import Identity
from mesh.wire import Cast, CastsWanted, Frame, encode
from tests.mesh.site import key_of

A, B = Identity(key_of("cast a")), Identity(key_of("cast b"))


def made(count: int, origin: Identity = A, incarnation: int = 1) -> list[Cast]:
    casts = Casts(origin, incarnation)
    return [casts.make("topic", f"payload {i}".encode(), 0.0) for i in range(count)]


def take(
    casts: Casts, cast: Cast, now: float = 0.0, origin: Identity = A, is_direct: bool = False
) -> str | None:
    return casts.take(cast, origin.public, is_direct, now)


def test_casts_are_counted_from_one_and_signed() -> None:
    casts = Casts(A, 3)
    cast = casts.make("topic", b"payload", 0.0)
    assert (cast.origin, cast.incarnation, cast.sequence, cast.hops) == (A.node, 3, 1, 0)
    assert casts.make("topic", b"payload", 0.0).sequence == 2
    assert take(Casts(B, 1), cast) is None


def test_a_cast_is_delivered_once() -> None:
    casts, (cast,) = Casts(B, 1), made(1)
    assert take(casts, cast) is None
    assert take(casts, cast) == "cast-duplicate"
    assert take(casts, msgspec.structs.replace(cast, hops=3)) == "cast-duplicate"


def test_our_own_cast_that_comes_back_is_not_delivered() -> None:
    casts = Casts(A, 1)
    assert take(casts, casts.make("topic", b"", 0.0)) == "cast-duplicate"


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": b"other"},
        {"topic": "other"},
        {"sequence": 2},
        {"incarnation": 2},
        {"signature": b""},
        {"signature": bytes(64)},
    ],
)
def test_a_changed_cast_is_refused_and_the_genuine_one_still_delivered(changes: dict[str, object]) -> None:
    casts, (cast,) = Casts(B, 1), made(1)
    assert take(casts, msgspec.structs.replace(cast, **changes)) == "cast-forged"
    assert take(casts, cast) is None


def test_a_cast_signed_by_somebody_else_is_refused() -> None:
    (cast,) = made(1, origin=B)
    assert take(Casts(A, 1), msgspec.structs.replace(cast, origin=A.node)) == "cast-forged"


def test_a_cast_that_has_gone_too_far_is_refused() -> None:
    casts, (cast,) = Casts(B, 1), made(1)
    assert take(casts, msgspec.structs.replace(cast, hops=HOPS_MAX + 1)) == "cast-hops"
    assert take(casts, msgspec.structs.replace(cast, hops=HOPS_MAX)) is None


def test_an_incarnation_has_sequences_of_its_own() -> None:
    casts = Casts(B, 1)
    assert [take(casts, cast) for cast in (*made(2), *made(2, incarnation=2))] == [None] * 4


# ---------------------------------------------------------------- repair


def test_what_is_held_is_told_as_ranges() -> None:
    casts, all_five = Casts(B, 1), made(5)
    for place in (0, 1, 3, 4):
        take(casts, all_five[place])
    assert casts.held(0.0) == ((A.node, 1, 1, 2), (A.node, 1, 4, 5))


def test_of_what_another_holds_only_what_was_not_had_is_wanted() -> None:
    casts, all_five = Casts(B, 1), made(5)
    for place in (0, 1, 3):
        take(casts, all_five[place])
    assert casts.lacking(((A.node, 1, 1, 5), (A.node, 2, 7, 8))) == (
        (A.node, 1, 3, 3),
        (A.node, 1, 5, 5),
        (A.node, 2, 7, 8),
    )


def test_what_is_wanted_is_given_as_far_as_it_is_held() -> None:
    casts = Casts(A, 1)
    all_five = [casts.make("topic", b"p", 0.0) for _ in range(5)]
    assert casts.give(((A.node, 1, 2, 3), (A.node, 1, 5, 99), (B.node, 1, 1, 5)), 100_000) == [
        all_five[1],
        all_five[2],
        all_five[4],
    ]


def test_no_more_is_given_than_fits() -> None:
    casts = Casts(A, 1)
    for _ in range(10):
        casts.make("topic", bytes(1000), 0.0)
    assert len(casts.give(((A.node, 1, 1, 10),), 5_000)) == 4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
def test_each_is_delivered_at_most_once_and_lacking_and_give_repair_the_rest(seed: int, count: int) -> None:
    random = Random(seed)
    origin = Casts(A, 1)
    sent = [origin.make("topic", str(i).encode(), 0.0) for i in range(count)]
    casts, delivered = Casts(B, 1), []
    arriving = [each for each in sent * 2 if random.random() < 0.6]
    random.shuffle(arriving)
    delivered += [cast.sequence for cast in arriving if take(casts, cast) is None]
    repaired = origin.give(casts.lacking(origin.held(0.0)), 1_000_000)
    delivered += [cast.sequence for cast in repaired if take(casts, cast) is None]
    assert sorted(delivered) == list(range(1, count + 1))
    assert casts.lacking(origin.held(0.0)) == ()


# ---------------------------------------------------------------- bounds


def test_casts_are_held_for_two_minutes() -> None:
    casts = Casts(A, 1)
    casts.make("topic", b"", 0.0)
    assert len(casts.held(HELD_S)) == 1
    assert casts.held(HELD_S + 0.1) == ()
    assert casts.is_idle


def test_casts_that_are_held_are_bounded_in_number() -> None:
    casts = Casts(A, 1)
    for _ in range(HELD_MAX + 5):
        casts.make("topic", b"", 0.0)
    assert len(casts) == HELD_MAX
    assert casts.held(0.0) == ((A.node, 1, 6, HELD_MAX + 5),)


def test_casts_that_are_held_are_bounded_in_size() -> None:
    casts = Casts(A, 1)
    for _ in range(100):
        casts.make("topic", bytes(100_000), 0.0)
    assert len(casts) == HELD_BYTES_MAX // 100_000


def test_the_gaps_of_an_origin_are_bounded_by_giving_up_the_oldest() -> None:
    casts = Casts(B, 1)
    for cast in made(2 * GAPS_MAX + 10)[1::2]:
        assert take(casts, cast, is_direct=True) is None
    assert len(casts._had[A.node][1].gaps) == GAPS_MAX
    assert take(casts, made(1)[0]) == "cast-duplicate"


def test_the_origins_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ORIGINS_MAX == 2048
    monkeypatch.setattr("mesh.casts.ORIGINS_MAX", 3)
    casts = Casts(B, 1)
    for place in range(5):
        origin = Identity(key_of(f"cast {place}"))
        take(casts, made(1, origin)[0], origin=origin)
    assert len(casts._had) == 3


def test_one_member_that_cycles_through_incarnations_flushes_only_its_own() -> None:
    casts, (other,) = Casts(B, 1), made(1, origin=B, incarnation=7)
    take(casts, other, origin=B)
    told = [take(casts, made(1, incarnation=i)[0], is_direct=True) for i in range(1, ORIGINS_MAX + 10)]
    assert set(told) == {None}
    assert len(casts._had[A.node]) == INCARNATIONS_MAX
    assert take(casts, other, origin=B) == "cast-duplicate"


def test_an_incarnation_older_than_the_newest_four_is_stale_and_not_asked_for() -> None:
    casts = Casts(B, 1)
    for incarnation in (5, 3, 6, 4):
        assert take(casts, made(1, incarnation=incarnation)[0]) is None
    assert take(casts, made(1, incarnation=2)[0]) == "cast-stale"
    assert casts.lacking([(A.node, 2, 1, 3), (A.node, 3, 1, 2)]) == ((A.node, 3, 2, 2),)
    assert take(casts, made(1, incarnation=7)[0]) is None
    assert take(casts, made(2, incarnation=3)[1]) == "cast-stale"


def test_who_meets_an_origin_late_remembers_one_gap_and_still_gets_what_others_hold() -> None:
    casts, sent = Casts(B, 1), made(3 * GAPS_MAX)
    late = sent[2 * GAPS_MAX :]
    assert [take(casts, cast) for cast in late] == [None] * len(late)
    assert casts._had[A.node][1].gaps == [(1, 2 * GAPS_MAX)]
    assert casts.lacking([(A.node, 1, 2 * GAPS_MAX - 9, 3 * GAPS_MAX)]) == (
        (A.node, 1, 2 * GAPS_MAX - 9, 2 * GAPS_MAX),
    )
    repaired = sent[2 * GAPS_MAX - 10 : 2 * GAPS_MAX]
    assert [take(casts, cast) for cast in repaired * 2] == [None] * 10 + ["cast-duplicate"] * 10
    assert casts._had[A.node][1].gaps == [(1, 2 * GAPS_MAX - 10)]


def test_an_origins_own_cast_is_delivered_unchecked_but_a_badly_signed_one_goes_no_further() -> None:
    casts, (good, bad) = Casts(B, 1), made(2)
    bad = msgspec.structs.replace(bad, signature=bytes(64))
    assert [take(casts, each, is_direct=True) for each in (good, bad)] == [None, None]
    assert casts.give(((A.node, 1, 1, 2),), 100_000) == [good]
    assert casts.take_forgers() == [A.node]
    assert casts.take_forgers() == []
    assert casts.held(0.0) == ((A.node, 1, 1, 1),)
    assert (casts.prove(good), casts.prove(bad)) == (True, False)
    assert take(casts, bad, is_direct=True) == "cast-duplicate"


def test_what_is_told_is_checked_first_and_only_so_much_at_once() -> None:
    casts = Casts(B, 1)
    for cast in made(PROVE_MAX + 5):
        take(casts, msgspec.structs.replace(cast, signature=bytes(64)), is_direct=True)
    assert casts.held(0.0) == ()
    assert len(casts.take_forgers()) == PROVE_MAX
    assert len(casts) == 5
    assert casts.held(0.0) == ()
    assert casts.is_idle


def test_forged_casts_fill_nothing() -> None:
    casts, (cast,) = Casts(B, 1), made(1)
    for incarnation in range(2, 200):
        assert take(casts, msgspec.structs.replace(cast, incarnation=incarnation)) == "cast-forged"
    assert len(casts) == 0
    assert len(casts._had) <= 1


def test_what_is_wanted_fits_a_frame_whatever_is_said_to_be_held() -> None:
    """One member that sends every second sequence and then names that range again and again."""
    casts = Casts(B, 1)
    for cast in made(2 * GAPS_MAX)[1::2]:
        take(casts, cast, is_direct=True)
    wanted = casts.lacking([(A.node, 1, 1, 2 * GAPS_MAX)] * 4096)
    encode(Frame(2**62, 0, 2**40, (CastsWanted(wanted),)))


def test_naming_an_endless_range_costs_little() -> None:
    casts = Casts(B, 1)
    wanted = casts.lacking([(NodeId(f"{i:026}"), 1, 0, 2**63 - 1) for i in range(4096)])
    assert sum(last - first + 1 for _, _, first, last in wanted) <= 4 * HELD_MAX
    assert casts.give([(NodeId(f"{i:026}"), 1, 0, 2**63 - 1) for i in range(4096)], 100_000) == []
