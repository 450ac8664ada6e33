"""The month: the real documents without links, and the figures that are made of them."""

import json

import pytest
from click.testing import CliRunner

from crdt_state.item import Change
from crdt_state.record import Register
from mesh.now import Now
from mesh.world_config import WorldConfig
from simulations import month
from simulations.cli import sim
from simulations.keys import EPOCH_MS, node_keys
from simulations.shelves import Shelves, meet

PUMP = Register("asset", "acme/pump")


def shelves(count: int) -> list[Shelves]:
    keys = [node_keys(index) for index in range(count)]
    everybody = [Shelves(each, keys, WorldConfig(), seed=1) for each in keys]
    for each in everybody:
        each.start(at(0), [other.me for other in everybody])
    return everybody


def at(seconds: float) -> Now:
    return Now(seconds, EPOCH_MS + int(seconds * 1000))


def value_at(each: Shelves) -> object:
    return each.documents.state.view.versions(PUMP).value()


def test_after_a_meeting_all_hold_what_any_of_them_has_written() -> None:
    everybody = shelves(3)
    everybody[1].write([Change(PUMP, {"type": "pump"})], at(1))
    meet(everybody, at(2))
    assert [value_at(each) for each in everybody] == [{"type": "pump"}] * 3
    assert len({each.documents.digests() for each in everybody}) == 1


def test_a_meeting_of_equals_takes_one_round_and_changes_nothing() -> None:
    everybody = shelves(3)
    everybody[0].write([Change(PUMP, {"type": "pump"})], at(1))
    assert meet(everybody, at(2)) == 2
    assert meet(everybody, at(3)) == 1


def test_the_slope_is_that_of_the_straight_line() -> None:
    assert month.slope([(1, 10.0), (2, 12.0), (3, 14.0)]) == 2.0
    assert month.slope([(1, 10.0), (2, 14.0), (3, 10.0)]) == 0.0
    assert month.slope([(1, 10.0)]) == 0.0


def test_a_naive_document_grows_with_every_write() -> None:
    ten_s, fresh = month.naive(10)
    assert ten_s > 2 * fresh
    assert month.naive(20)[0] > 1.5 * ten_s


def test_the_days_load_adds_up() -> None:
    shares = [month._share(1000, step) for step in range(1, month.STEPS_PER_DAY + 1)]
    assert sum(shares) == 1000 and max(shares) - min(shares) <= 1


def test_a_small_month_stays_as_small_as_fresh_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(month, "DENSE_S", 0)
    monkeypatch.setattr(month, "STEP_S", 7200)
    monkeypatch.setattr(month, "STEPS_PER_DAY", 12)
    monkeypatch.setattr(month, "ALARMS_PER_DAY", 900)
    monkeypatch.setattr(month, "ALARM_POINTS", 60)
    monkeypatch.setattr(month, "TASKS_PER_DAY", 100)
    plant = month.plant_of(3)
    daily = list(month.run(plant, 12))
    assert daily[-1].generations > 3
    assert daily[-1].doc_bytes_ratio_max < 2.0
    assert daily[-1].records < 1.2 * daily[-3].records  # what is closed goes after a week
    assert len({each.documents.digests() for each in plant.nodes}) == 1


@pytest.mark.slow
def test_the_command_prints_the_stable_keys() -> None:
    done = CliRunner().invoke(sim, ("run", "month", "--nodes", "3", "--days", "2", "--json"))
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["doc_bytes_ratio"] <= 2.0
    assert figures["naive_bytes_ratio"] > 100 and figures["naive_hours"] == 1.0
    assert figures["is_equal"] is True and len(figures["daily"]) == 2
    assert isinstance(figures["rss_slope_mb_per_day"], float)
