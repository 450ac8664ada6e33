"""What the lab's people and machines do at a node: one verb of its control socket, about one register."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from crdt_state.record import Register

THINGS = 8  # of each kind, shared by everybody: both sides of a cut act on the same ones
DATED_PER_THING = 6


class Deed(NamedTuple):
    """What is asked of a node, and which register the answer's dot is of."""

    verb: str
    arguments: dict[str, Any]
    register: Register


@dataclass(frozen=True, slots=True)
class Hand:
    """Who acts: at which node, on which day, with which chance."""

    me: str  # the node's id
    day: str  # YYYYMMDD
    chance: random.Random

    def next(self) -> Deed:
        """Something about one of the things."""
        act = self.chance.choices(_ACTS, _WEIGHTS)[0]
        return act.deed(self, self.chance.randrange(THINGS))

    def frame(self, number: int) -> Deed:
        """The live values of this node."""
        tags = {f"press/tag-{tag:02}": [number + tag / 8, "good", number] for tag in range(20)}
        return _set(Register("frame", self.me), {"t": tags})


def _set(register: Register, body: dict[str, Any] | None) -> Deed:
    kind, item, facet = register
    return Deed("world_set", {"kind": kind, "item": item, "facet": facet, "body": body}, register)


def _describe(hand: Hand, thing: int) -> Deed:
    serial = str(hand.chance.randrange(1_000_000))
    return _set(
        Register("asset", f"lab/hall/line-{thing % 3}/press-{thing}"), {"type": "press", "serial": serial}
    )


def _delete(_: Hand, thing: int) -> Deed:
    return _set(Register("asset", f"lab/hall/line-{thing % 3}/press-{thing}"), None)


def _observe(hand: Hand, thing: int) -> Deed:
    name = f"lab/hall/line-{thing % 3}#oil-{thing}"
    arguments = {"fact": name, "value": hand.chance.randrange(100)}
    return Deed("facts_observe", arguments, Register("fact", name))


def _withdraw(_: Hand, thing: int) -> Deed:
    name = f"lab/hall/line-{thing % 3}#oil-{thing}"
    return Deed("facts_withdraw", {"fact": name}, Register("fact", name))


def _alarm(thing: int) -> str:
    return f"lab/hall/line-{thing % 3}/press-{thing}#hot"


def _raise(hand: Hand, thing: int) -> Deed:
    arguments = {"alarm": _alarm(thing), "severity": 1 + thing % 4, "value": hand.chance.random() * 100}
    return Deed("alarms_raise", arguments, Register("alarm", _alarm(thing), "condition"))


def _return(_: Hand, thing: int) -> Deed:
    return Deed("alarms_return", {"alarm": _alarm(thing)}, Register("alarm", _alarm(thing), "condition"))


def _acknowledge(_: Hand, thing: int) -> Deed:
    return Deed("alarms_ack", {"alarms": [_alarm(thing)]}, Register("alarm", _alarm(thing), "ack"))


def _shelve(_: Hand, thing: int) -> Deed:
    arguments = {"alarms": [_alarm(thing)], "for_s": 600, "reason": "it is being looked at"}
    return Deed("alarms_shelve", arguments, Register("alarm", _alarm(thing), "shelving"))


def _unshelve(_: Hand, thing: int) -> Deed:
    return Deed("alarms_unshelve", {"alarms": [_alarm(thing)]}, Register("alarm", _alarm(thing), "shelving"))


def _suppress(_: Hand, thing: int) -> Deed:
    arguments = {"alarms": [_alarm(thing)], "reason": "the line stands still"}
    return Deed("alarms_suppress", arguments, Register("alarm", _alarm(thing), "suppression"))


def _out(_: Hand, thing: int) -> Deed:
    arguments = {"alarms": [_alarm(thing)], "reason": "the sensor is being replaced"}
    return Deed("alarms_out", arguments, Register("alarm", _alarm(thing), "service"))


def _offer(hand: Hand, thing: int) -> Deed:
    body = {
        "title": f"Look at press {thing}",
        "priority": 1 + thing % 4,
        "details": str(hand.chance.random()),
    }
    return _set(Register("task", _dated(hand, thing), "offer"), body)


def _task(verb: str, facet: str) -> Callable[[Hand, int], Deed]:
    def act(hand: Hand, thing: int) -> Deed:
        name = _dated(hand, thing)
        return Deed(verb, {"task": name}, Register("task", name, facet))

    return act


def _dated(hand: Hand, thing: int) -> str:
    """One of several tasks or advisories about a thing: tasks end."""
    return f"{hand.day}-{thing}-{hand.chance.randrange(DATED_PER_THING)}"


def _advise(hand: Hand, thing: int) -> Deed:
    body = {"cause": "worn bearing", "action": f"grease it {hand.chance.randrange(1000)} times"}
    return _set(Register("advisory", _dated(hand, thing)), body)


@dataclass(frozen=True, slots=True)
class _Act:
    weight: int
    deed: Callable[[Hand, int], Deed]


_ACTS = (
    _Act(8, _describe),
    _Act(2, _delete),
    _Act(8, _observe),
    _Act(1, _withdraw),
    _Act(8, _raise),
    _Act(5, _return),
    _Act(6, _acknowledge),
    _Act(2, _shelve),
    _Act(1, _unshelve),
    _Act(1, _suppress),
    _Act(1, _out),
    _Act(6, _offer),
    _Act(5, _task("tasks_claim", "claim")),
    _Act(1, _task("tasks_release", "claim")),
    _Act(2, _task("tasks_done", "outcome")),
    _Act(4, _advise),
)
_WEIGHTS = tuple(act.weight for act in _ACTS)
