import pytest

from mesh.clock import BUILT_MS, FAR_OFF_MS, FLOOR_STEP_MS, PEERS_MAX, ClockGuard
from mesh.ids import NodeId
from tests.mesh.site import WALL_MS

HOUR_MS = 3_600_000


def guard(*offsets_ms: int, floor_ms: int = WALL_MS) -> ClockGuard:
    clock = ClockGuard(floor_ms)
    for place, offset_ms in enumerate(offsets_ms):
        clock.heard(NodeId(f"peer-{place}"), offset_ms)
    return clock


def test_the_floor_is_at_least_the_date_of_the_release() -> None:
    assert ClockGuard(0).floor_ms == BUILT_MS
    assert ClockGuard(WALL_MS).floor_ms == WALL_MS


@pytest.mark.parametrize(
    ("offsets_ms", "middle_ms"),
    [
        ((), 0),
        ((HOUR_MS,), 0),  # one against one: stay with our own
        ((-HOUR_MS,), 0),
        ((HOUR_MS, HOUR_MS), HOUR_MS),
        ((HOUR_MS, -HOUR_MS), 0),
        ((40, 60, 80), 40),
        ((-40, -60, -80), -40),
        ((HOUR_MS, HOUR_MS, 0, 5), 5),
        ((10**15, HOUR_MS, HOUR_MS), HOUR_MS),
    ],
)
def test_the_mesh_is_the_middle_of_everybodys_clocks_ours_included(
    offsets_ms: tuple[int, ...], middle_ms: int
) -> None:
    assert guard(*offsets_ms).offset_ms() == middle_ms


def test_a_right_clock_is_not_doubted() -> None:
    assert guard(10, -20).doubt(WALL_MS) is None
    assert guard().doubt(WALL_MS - FAR_OFF_MS) is None


def test_a_clock_before_the_floor_is_doubted() -> None:
    assert (
        guard().doubt(WALL_MS - FAR_OFF_MS - 1)
        == "the clock is before a time that this node has already seen signed"
    )


def test_a_clock_far_off_most_peers_is_doubted() -> None:
    assert guard(FAR_OFF_MS, FAR_OFF_MS).doubt(WALL_MS) is None
    assert guard(FAR_OFF_MS + 1, FAR_OFF_MS + 1).doubt(WALL_MS) == "the clock is far off most peers' clocks"
    assert guard(-HOUR_MS, -HOUR_MS).doubt(WALL_MS) == "the clock is far off most peers' clocks"


def test_one_peer_alone_cannot_make_us_doubt_our_clock() -> None:
    assert guard(10 * HOUR_MS).doubt(WALL_MS) is None


@pytest.mark.parametrize(
    ("offsets_ms", "wall_ms", "mesh_ms"),
    [
        ((), WALL_MS + 5, WALL_MS + 5),
        ((200, 200), WALL_MS, WALL_MS),  # a little off: our own date is good enough
        ((HOUR_MS, HOUR_MS), WALL_MS, WALL_MS + HOUR_MS),
        ((-HOUR_MS, -HOUR_MS), WALL_MS + 2 * HOUR_MS, WALL_MS + HOUR_MS),
        ((), WALL_MS - HOUR_MS, WALL_MS),  # never below the floor
    ],
)
def test_the_meshs_time_is_ours_unless_ours_is_far_off(
    offsets_ms: tuple[int, ...], wall_ms: int, mesh_ms: int
) -> None:
    assert guard(*offsets_ms).mesh_ms(wall_ms) == mesh_ms


def test_the_floor_rises_by_steps_and_never_falls() -> None:
    clock = guard()
    assert not clock.raise_floor(WALL_MS + FLOOR_STEP_MS - 1)
    assert clock.floor_ms == WALL_MS
    assert clock.raise_floor(WALL_MS + FLOOR_STEP_MS)
    assert clock.floor_ms == WALL_MS + FLOOR_STEP_MS
    assert not clock.raise_floor(WALL_MS)
    assert clock.floor_ms == WALL_MS + FLOOR_STEP_MS


def test_a_forgotten_peers_clock_no_longer_counts() -> None:
    clock = guard(HOUR_MS, HOUR_MS)
    clock.forget(NodeId("peer-0"))
    clock.forget(NodeId("never-heard"))
    assert clock.offset_ms() == 0


def test_the_last_word_of_each_peer_counts() -> None:
    clock = guard(HOUR_MS, HOUR_MS)
    clock.heard(NodeId("peer-0"), 0)
    assert clock.offset_ms() == 0


def test_the_clocks_that_are_remembered_are_bounded() -> None:
    clock = guard(*[HOUR_MS] * 500)
    assert len(clock._offsets) == PEERS_MAX


@pytest.mark.parametrize(
    ("offsets_ms", "ahead_ms", "is_believed"),
    [
        ((), FAR_OFF_MS, True),
        ((), HOUR_MS, False),  # alone with our clock: nobody else has come that far
        ((HOUR_MS,), HOUR_MS, True),  # our clock may be slow: the one peer's has come that far
        ((0, 0), HOUR_MS, False),
        ((HOUR_MS, 0), HOUR_MS, False),
        ((HOUR_MS, HOUR_MS), HOUR_MS, True),
    ],
)
def test_a_date_is_believed_when_most_clocks_have_come_as_far(
    offsets_ms: tuple[int, ...], ahead_ms: int, is_believed: bool
) -> None:
    assert guard(*offsets_ms).is_believed(WALL_MS + ahead_ms, WALL_MS) is is_believed
