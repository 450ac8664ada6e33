"""Holdings: what each member says that it holds, when it says so, and what follows from it."""

from crdt_state.proof import Standing
from mesh.events import Persist
from mesh.world_config import WorldConfig
from tests.crdt_state.worlds import DAY_S, QUICK, Worlds
from tests.mesh.cores import at


def formed(count: int, config: WorldConfig = QUICK) -> Worlds:
    worlds = Worlds(count, config)
    worlds.form()
    worlds.run(6)
    return worlds


def standings(worlds: Worlds, place: int, name: str) -> list[Standing]:
    (proof,) = [each for each in worlds.world(place).verify(at(worlds.now)) if each.document == name]
    return [member.standing for member in proof.members]


def said(worlds: Worlds, place: int) -> int:
    """How often this node has said what it holds."""
    table = f"record:holding:{worlds.processes[place].node}"
    return sum(write.table == table for each in worlds.news(place, Persist) for write in each.writes)


def test_equal_replicas_are_proven_equal() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(6)
    assert [standings(worlds, place, "asset") for place in range(3)] == [[Standing.EQUAL] * 2] * 3


def test_who_is_cut_off_is_behind_and_who_wrote_alone_is_different() -> None:
    worlds = formed(2)
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(6)
    worlds.cut(0)
    worlds.asset(0, "site/tank", type="silo")
    worlds.run(6)
    assert standings(worlds, 0, "asset") == [Standing.BEHIND]
    worlds.asset(1, "site/other", type="tank")
    worlds.run(6)
    worlds.heal()
    worlds.run(8)
    assert standings(worlds, 0, "asset") == [Standing.EQUAL]


def test_who_has_nothing_of_a_document_is_behind() -> None:
    worlds = formed(2)
    worlds.cut(0)
    worlds.asset(0, "site/tank", type="tank")
    assert standings(worlds, 0, "asset") == [Standing.BEHIND]


def test_a_single_change_is_reported_soon_and_endless_ones_now_and_then() -> None:
    worlds = formed(2, WorldConfig(holding_every_s=1.0, holding_at_least_s=1000.0))
    before = said(worlds, 0)
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(3)
    assert said(worlds, 0) - before == 1
    before = said(worlds, 0)
    for number in range(240):
        worlds.asset(0, "site/tank", type=f"tank {number}")
        worlds.run(0.25)
    assert 8 <= said(worlds, 0) - before <= 14


def test_it_is_said_again_in_any_case_so_that_a_quiet_member_is_not_taken_for_an_absent_one() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(40 * DAY_S)
    document = worlds.document(0, "asset")
    assert document is not None
    acknowledged = worlds.world(0).upkeep.holdings.acknowledged(document, at(worlds.now))
    assert len(acknowledged.counted) == 3
    assert acknowledged.revision == document.revision


def test_a_member_counts_until_it_was_absent_too_long() -> None:
    worlds = formed(3)
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(3)
    worlds.cut(2)
    document = worlds.document(0, "asset")
    assert document is not None
    worlds.asset(0, "site/tank", type="silo")
    holdings = worlds.world(0).upkeep.holdings
    worlds.run(20 * DAY_S)
    acknowledged = holdings.acknowledged(document, at(worlds.now))
    assert len(acknowledged.counted) == 3
    assert acknowledged.revision < document.revision
    worlds.run(20 * DAY_S)
    acknowledged = holdings.acknowledged(document, at(worlds.now))
    assert len(acknowledged.counted) == 2
    assert acknowledged.revision == document.revision


def test_a_document_that_is_being_fetched_is_not_said_to_be_held() -> None:
    worlds = formed(2)
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(6)
    document = worlds.document(0, "asset")
    assert document is not None
    document.is_whole = False
    worlds.asset(0, "site/other", type="tank")
    worlds.run(3)
    held = worlds.world(1).upkeep.holdings.held(worlds.processes[0].node)
    assert held is not None
    assert "asset" not in held.holding.docs


def test_the_silence_of_an_idle_site() -> None:
    worlds = formed(3, WorldConfig())
    worlds.asset(0, "site/tank", type="tank")
    worlds.run(30)
    before = [said(worlds, place) for place in range(3)]
    worlds.run(600)
    assert [said(worlds, place) for place in range(3)] == before
