"""Upkeep as a whole: what it costs, and what the budget and the claims say."""

import time

from crdt_state.item import Change
from crdt_state.kinds import task
from crdt_state.record import Register
from mesh.events import ClaimLost
from tests.crdt_state.worlds import TODAY, Worlds, do, now_ms, offer_task, thing
from tests.mesh.cores import at


def test_a_tick_with_many_documents_is_cheap() -> None:
    worlds = Worlds(1)
    worlds.run(1)
    state, upkeep = worlds.state(0), worlds.world(0).upkeep
    for day in range(250):
        state.write([Change(Register("task", f"{20200101 + day}-1", "offer"), {"title": "x"})], at(1.0))
    costs = []
    for number in range(200):
        began = time.perf_counter()
        upkeep.tick(at(2.0 + number * 0.5))
        costs.append(time.perf_counter() - began)
    assert sorted(costs)[100] < 0.001


def test_the_budget_names_who_makes_what_grow_and_says_when_it_is_full() -> None:
    worlds = Worlds(2)
    worlds.form()
    for number in range(20):
        worlds.asset(0, f"site/tank{number}", type="tank")
    worlds.become_equal()
    early = worlds.world(1).budget(at(worlds.now))
    assert early.documents[0].name == "asset"
    assert early.documents[0].days_left is None
    assert (early.writers[0].kind, early.writers[0].name, early.writers[0].writes) == ("asset", "a", 20)
    later = worlds.world(1).budget(at(worlds.now + 86_400))
    weight = later.documents[0]
    assert weight.records == 20
    assert weight.form_bytes >= weight.record_bytes
    assert weight.bytes_per_day is not None
    assert weight.days_left is not None
    assert 1_000 < weight.days_left < 100_000


def test_who_has_lost_a_claim_is_told_once() -> None:
    worlds = Worlds(2)
    worlds.form()
    offer_task(worlds, 0, f"{TODAY}-1", "clean")
    worlds.become_equal()
    worlds.cut(0)
    for place in (0, 1):
        item = thing(worlds, place, "task", f"{TODAY}-1")
        stamp = worlds.state(place).clock.stamp(now_ms(worlds))
        do(worlds, place, task.claim(item, worlds.processes[place].node, stamp, 3_600_000))
        worlds.run(0.5)
    worlds.heal()
    worlds.become_equal()
    worlds.run(3)
    told = [worlds.news(place, ClaimLost) for place in (0, 1)]
    assert [len(each) for each in told] == [0, 1]
    assert told[1][0].task == f"{TODAY}-1"
