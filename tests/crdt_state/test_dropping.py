"""What of a document needs to be kept no longer."""

from crdt_state.dropping import droppable
from crdt_state.kinds import KINDS
from mesh.hybrid import time_of
from tests.crdt_state.records import DAY, NOW, SECOND, Cut

WEEK = 7 * DAY


def left_out(cut: Cut, at_ms: int) -> int:
    records = {**cut.replicas[0].records, **cut.replicas[1].records}
    return len(droppable(records.values(), time_of(at_ms), KINDS, 1.0))


def test_what_is_open_is_kept() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "tank"})
    assert left_out(cut, NOW + 100 * DAY) == 0


def test_what_is_deleted_goes_at_once_when_everybody_has_the_deletion() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "tank"})
    cut.heal()
    cut.raw(1, "", None, NOW + SECOND)
    assert left_out(cut, NOW) == 0  # the deletion is not there yet for all
    assert left_out(cut, NOW + 2 * SECOND) == 2


def test_what_is_closed_stays_as_long_as_its_kind_is_looked_at() -> None:
    cut = Cut("task", "20261121-1")
    cut.raw(0, "offer", {"title": "clean"})
    cut.raw(0, "outcome", {"status": "done"})
    assert left_out(cut, NOW + WEEK - DAY) == 0
    assert left_out(cut, NOW + WEEK + DAY) == 2


def test_versions_that_were_replaced_go_and_concurrent_ones_stay() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "one"})
    cut.raw(1, "", {"type": "other"})
    assert left_out(cut, NOW + DAY) == 0
    cut.heal()
    cut.raw(1, "", {"type": "over both"}, NOW + SECOND)
    assert left_out(cut, NOW) == 0
    assert left_out(cut, NOW + DAY) == 1


def test_what_observers_say_does_not_replace_what_others_say() -> None:
    cut = Cut("fact", "site/tank#full")
    cut.raw(0, "", {"value": True})
    cut.heal()
    cut.raw(1, "", {"value": False})
    assert left_out(cut, NOW + DAY) == 0


def test_one_facet_that_is_new_keeps_the_whole_item() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", None)
    cut.raw(1, "", {"type": "tank"}, NOW + 5 * SECOND)
    assert left_out(cut, NOW + SECOND) == 0
