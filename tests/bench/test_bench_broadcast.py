"""How broadcasts are timed: who takes turns when, what a message carries, and what counts as lost."""

import asyncio

from simulations.bench import payload
from simulations.bench.arrivals import Arrivals
from simulations.bench.broadcast import KINDS, BroadcastPlan, Kind
from simulations.bench.pacing import paced
from simulations.bench.turns import Samples, taking_turns


def test_the_kinds_take_turns_in_mirrored_order() -> None:
    cast, bare, back = KINDS
    assert list(taking_turns(KINDS, 3)) == [cast, bare, back, back, bare, cast, cast, bare, back]


def test_a_plan_lasts_as_long_as_all_its_messages_take() -> None:
    assert BroadcastPlan(blocks=20, messages=100, rate_hz=200.0).lasts_s == 30.0


def test_a_message_has_the_size_that_the_report_names_and_says_its_block() -> None:
    message = payload.stamped(7)
    assert len(message) == 200
    assert payload.read(message)[0] == 7


async def test_a_blocks_latencies_come_once_they_are_all_there() -> None:
    arrivals = Arrivals()
    taking = asyncio.create_task(arrivals.take(1, 2, within_s=30))
    arrivals.arrived(payload.stamped(1))
    arrivals.arrived(payload.stamped(2))
    await asyncio.sleep(0)
    assert not taking.done()
    arrivals.arrived(payload.stamped(1))
    assert [latency >= 0 for latency in await taking] == [True, True]
    assert len(await arrivals.take(2, 1, within_s=30)) == 1


async def test_when_the_time_is_over_what_has_arrived_must_do() -> None:
    arrivals = Arrivals()
    arrivals.arrived(payload.stamped(1))
    assert len(await arrivals.take(1, 2, within_s=0.01)) == 1
    assert await arrivals.take(1, 1, within_s=0.01) == []


async def test_sending_is_paced_to_the_count() -> None:
    assert [number async for number in paced(3, rate_hz=10_000)] == [0, 1, 2]


def test_what_was_sent_and_did_not_arrive_is_lost() -> None:
    found = Samples(KINDS)
    found.add(Kind.CAST, 3, [10, 20, 30])
    found.add(Kind.CAST, 3, [40])
    assert found.latencies_ns[Kind.CAST] == [10, 20, 30, 40]
    assert (found.lost(Kind.CAST), found.lost(Kind.BARE)) == (2, 0)
