"""Three replicas that meet in part, in any order, against a dumb model that knows every write: they say the same."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from crdt_state.item import Change, Item
from crdt_state.kind import day_name
from crdt_state.kinds import (
    KINDS,
    advisory,
    alarm,
    asset,
    capability,
    conflict,
    evidence,
    fact,
    frame,
    generation,
    holding,
    policy,
    task,
)
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.values import Quality
from crdt_state.record import Body, Record, Register
from mesh.hybrid import time_of
from tests.crdt_state import dumb_model as dumb
from tests.crdt_state.records import HOUR, IDENTITIES, MINUTE, NOW, SECOND, Replica

PLACES = 3
NODES = tuple(identity.node for identity in IDENTITIES[:PLACES])
SKEW_MS = (0, 3 * SECOND, -2 * SECOND)  # clocks of one site differ a little
THING, DAY_ITEM = "acme/leeds#hot", day_name(NOW, "a")
ITEMS = {
    "asset": "acme/leeds",
    "fact": THING,
    "alarm": THING,
    "policy": "egress",
    "generation": "asset",
    "evidence": f"{NODES[0]}-a",
    **dict.fromkeys(("task", "advisory", "conflict"), DAY_ITEM),
    **dict.fromkeys(("capability", "frame", "holding"), NODES[0]),
}
GARBAGE: dict[str, Any] = {
    **dict.fromkeys(("active", "occurrences", "until_ms", "since", "status", "verdict", "withdrawn"), "x"),
    **{field: ["x"] for field in ("severity", "number", "cpu", "value")},
    **dict.fromkeys(("out", "occurrence", "owner", "handed_to", "unit", "text", "rules", "t", "docs"), 7),
    **dict.fromkeys(("choice", "first", "title"), 7),
}

places = st.integers(0, PLACES - 1)
numbers = st.integers(1, 4)

Act = Callable[[Item, int, int, int], tuple[Change, ...]]  # item, place, number, the place's time in ms

ASSET: dict[str, Act] = {
    "describe": lambda item, place, n, ms: asset.describe(item, {"unit": f"u{n}"}),
    "delete": lambda item, place, n, ms: asset.delete(item),
}
FACT: dict[str, Act] = {
    "observe": lambda item, place, n, ms: fact.observe(item, NODES[place], n > 2, ms),
    "doubt": lambda item, place, n, ms: fact.observe(item, NODES[place], n > 2, ms, Quality.UNCERTAIN),
    "withdraw": lambda item, place, n, ms: fact.withdraw(item, NODES[place]),
}
ALARM: dict[str, Act] = {
    "raise": lambda item, place, n, ms: alarm.raise_(item, f"{place}-{ms}", ms, n, value=n / 2),
    "return": lambda item, place, n, ms: alarm.return_to_normal(item, ms),
    "acknowledge": lambda item, place, n, ms: alarm.acknowledge(item, f"p{place}", ms),
    "shelve": lambda item, place, n, ms: alarm.shelve(item, n * MINUTE, "noise", "me", ms),
    "unshelve": lambda item, place, n, ms: alarm.unshelve(item, ms),
    "suppress": lambda item, place, n, ms: alarm.suppress(item, f"r{n}", "me"),
    "unsuppress": lambda item, place, n, ms: alarm.unsuppress(item, "me"),
    "out": lambda item, place, n, ms: alarm.take_out_of_service(item, f"r{n}", "me"),
    "in": lambda item, place, n, ms: alarm.return_to_service(item, "me"),
}
TASK: dict[str, Act] = {
    "offer": lambda item, place, n, ms: task.offer(item, f"t{n}", "me"),
    "claim": lambda item, place, n, ms: task.claim(item, NODES[place], time_of(ms), n * MINUTE),
    "renew": lambda item, place, n, ms: task.renew(item, NODES[place], time_of(ms), n * MINUTE),
    "release": lambda item, place, n, ms: task.release(item, NODES[place], ms),
    "hand over": lambda item, place, n, ms: task.hand_over(
        item, NODES[place], NODES[n % PLACES], time_of(ms), MINUTE
    ),
    "withdraw": lambda item, place, n, ms: task.withdraw(item, ms),
    "done": lambda item, place, n, ms: task.done(item, NODES[place], ms),
    "fail": lambda item, place, n, ms: task.fail(item, NODES[place], ms),
}
ADVISORY: dict[str, Act] = {
    "advise": lambda item, place, n, ms: advisory.advise(item, {"text": f"t{n}"}),
    "useful": lambda item, place, n, ms: advisory.give_feedback(item, NODES[place], "useful"),
    "wrong": lambda item, place, n, ms: advisory.give_feedback(item, NODES[place], "wrong"),
    "withdraw": lambda item, place, n, ms: advisory.withdraw(item),
}


def _write(item: Item, facet: str, body: dict[str, Any] | None) -> tuple[Change, ...]:
    return (Change(Register(item.kind, item.name, facet), body),)


OTHERS: dict[str, Act] = {
    "capability": lambda item, place, n, ms: capability.announce(item, {"cpu": n}),
    "policy": lambda item, place, n, ms: policy.set_rules(item, {"a": n}),
    "frame": lambda item, place, n, ms: _write(item, "", {"t": {"p": [n, "good", ms]}}),
    "holding": lambda item, place, n, ms: _write(item, "", {"docs": {"asset": ["ab", "cd", n]}}),
    "generation": lambda item, place, n, ms: _write(item, "", {"number": n}),
    "evidence": lambda item, place, n, ms: _write(item, "", {"first": bytes([n])}),
    "conflict": lambda item, place, n, ms: (
        conflict.settle(item, "me", f"c{n}") if item.facets else _write(item, "", {"cause": "heal"})
    ),
}


ACTS: dict[str, dict[str, Act]] = {
    "asset": ASSET,
    "fact": FACT,
    "alarm": ALARM,
    "task": TASK,
    "advisory": ADVISORY,
    **{kind: {"write": act} for kind, act in OTHERS.items()},
}


MODULES: dict[str, Any] = {
    "asset": asset,
    "fact": fact,
    "alarm": alarm,
    "task": task,
    "advisory": advisory,
    "capability": capability,
    "policy": policy,
    "frame": frame,
    "holding": holding,
    "generation": generation,
    "conflict": conflict,
    "evidence": evidence,
}

# What the views say, in the model's words, and what the model says.


def _told_asset(item: Item, now: int) -> object:
    seen = asset.view(item, now)
    return seen.is_listed, seen.body.unit, bool(seen.conflicts)


def _told_fact(item: Item, now: int) -> object:
    seen = fact.view(item, now)
    return tuple(each.author for each in seen.observations), seen.value, seen.is_known, seen.disagreeing


def _told_alarm(item: Item, now: int) -> object:
    seen = alarm.view(item, now)
    severity = seen.severity if seen.is_active else None
    ackers = {each.author for each in seen.acknowledgements}
    return seen.state, seen.underlying, seen.is_active, set(seen.outstanding), ackers, severity


def _told_task(item: Item, now: int) -> object:
    seen = task.view(item, now)
    return seen.state, seen.owner, set(seen.lost_claims)


def _told_advisory(item: Item, now: int) -> object:
    seen = advisory.view(item, now)
    return seen.advice.text, {each.author: each.verdict for each in seen.feedback}, bool(seen.conflicts)


TOLD: dict[str, Callable[[Item, int], object]] = {
    "asset": _told_asset,
    "fact": _told_fact,
    "alarm": _told_alarm,
    "task": _told_task,
    "advisory": _told_advisory,
    "capability": lambda item, now: capability.view(item, now).body.cpu,
    "frame": lambda item, now: {tag: each.value for tag, each in frame.view(item, now).tags.items()},
    "holding": lambda item, now: {name: list(each) for name, each in holding.view(item, now)[0].docs.items()},
    "policy": lambda item, now: policy.view(item, now).rules,
    "generation": lambda item, now: generation.view(item, now)[0].number,
    "evidence": lambda item, now: evidence.view(item, now)[0].first,
    "conflict": lambda item, now: conflict.view(item, now)[1] is not None,
}
EXPECTED: dict[str, Callable[[dumb.Model, int], object]] = {
    "asset": lambda model, now: dumb.asset(model, ITEMS["asset"], now),
    "fact": lambda model, now: dumb.fact(model, THING, now),
    "alarm": lambda model, now: dumb.alarm(model, THING, now),
    "task": lambda model, now: dumb.task(model, DAY_ITEM, now),
    "advisory": lambda model, now: dumb.advisory(model, DAY_ITEM, now),
    "capability": lambda model, now: dumb.own("capability", model, NODES[0], "cpu", 0),
    "frame": lambda model, now: {
        tag: each[0] for tag, each in dumb.own("frame", model, NODES[0], "t", {}).items()
    },
    "holding": lambda model, now: dumb.own("holding", model, NODES[0], "docs", {}),
    "policy": lambda model, now: dumb.plain("policy", model, "egress", "rules", {}),
    "generation": lambda model, now: dumb.plain("generation", model, "asset", "number", 0),
    "evidence": lambda model, now: dumb.plain("evidence", model, ITEMS["evidence"], "first", b""),
    "conflict": lambda model, now: model.winner("conflict", DAY_ITEM, "settled") is not None,
}


class KindMachine(RuleBasedStateMachine):
    """One thing of one kind, so that what happens to it happens at once on several sides."""

    kind: str

    def __init__(self) -> None:
        super().__init__()
        self.replicas = [Replica(place) for place in range(PLACES)]
        self.model = dumb.Model(PLACES)
        self.now_ms = NOW

    @rule(place=places, data=st.data(), n=numbers)
    def act(self, place: int, data: st.DataObject, n: int) -> None:
        acts = ACTS[self.kind]
        self._act(acts[data.draw(st.sampled_from(list(acts)))], place, n)

    @rule(data=st.data(), n=numbers)
    def each_side_acts(self, data: st.DataObject, n: int) -> None:
        """At once: nobody has seen what the others do now."""
        acts = ACTS[self.kind]
        for place in range(PLACES):
            self._act(acts[data.draw(st.sampled_from(list(acts)))], place, n)

    @rule(place=places, data=st.data(), body=st.sampled_from((None, GARBAGE)))
    def garbage_or_a_deletion(self, place: int, data: st.DataObject, body: Body | None) -> None:
        facet = data.draw(st.sampled_from(KINDS.get(self.kind).facets))
        self._act(lambda item, *_: _write(item, facet, body), place, 0)

    @rule(giver=places, taker=places, chance=st.randoms(use_true_random=False), is_whole=st.booleans())
    def meet(self, giver: int, taker: int, chance: Random, is_whole: bool) -> None:
        held = list(self.replicas[giver].records.values())
        count = len(held) if is_whole else chance.randint(0, len(held))
        self._take(taker, chance.sample(held, count))

    @rule(ms=st.sampled_from((1, SECOND, MINUTE, HOUR)))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def all_meet(self) -> None:
        held = [record for replica in self.replicas for record in replica.records.values()]
        for place in range(PLACES):
            self._take(place, held)
        items = [replica.item(self.kind, ITEMS[self.kind]) for replica in self.replicas]
        told = [TOLD[self.kind](item, self.now_ms) for item in items]
        assert told == [EXPECTED[self.kind](self.model, self.now_ms)] * PLACES
        looks = [
            repr(MODULES[self.kind].view(item, self.now_ms)) for item in items
        ]  # the whole view, as text
        assert looks == looks[:1] * PLACES

    def teardown(self) -> None:
        self.all_meet()

    def _act(self, act: Act, place: int, n: int) -> None:
        replica, ms = self.replicas[place], self._ms(place)
        try:
            changes = act(replica.item(self.kind, ITEMS[self.kind]), place, n, ms)
        except RefusedError:
            return
        for change in changes:
            self.model.wrote(place, replica.write(change.register, change.body, ms), change.body)

    def _take(self, place: int, records: list[Record]) -> None:
        self.replicas[place].take(records, self._ms(place))
        for record in records:
            self.model.met(place, record)

    def _ms(self, place: int) -> int:
        return self.now_ms + SKEW_MS[place]


def test_every_kind_is_tried() -> None:
    assert sorted(ACTS) == sorted(MODULES) == sorted(ITEMS) == sorted(KINDS.names())


@pytest.mark.parametrize("kind", ITEMS)
def test_replicas_that_have_met_say_what_the_model_says(kind: str) -> None:
    run_state_machine_as_test(
        type(f"{kind.title()}Machine", (KindMachine,), {"kind": kind}),
        settings=settings(
            max_examples=500 if kind in ("alarm", "task") else 30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
