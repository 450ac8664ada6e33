"""What people, sensors and agents on a simulated computer write: every shared kind, by the kinds' own commands.

All hosts work on the same few things, so that both sides of a cut act on one alarm, claim one task, set one asset.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crdt_state.item import Change, Item
from crdt_state.kind import day_name
from crdt_state.kinds import advisory, alarm, asset, capability, conflict, fact, policy, task
from crdt_state.kinds.refusal import RefusedError
from crdt_state.record import Register
from crdt_state.state import WorldState
from mesh.hybrid import time_of
from mesh.now import Now

TASK_MINUTES = 2  # so long new tasks and advisories keep their numbers: then others are offered
LEASES_MS = (5_000, 20_000, 60_000)
TRIES = 4  # a command may make no sense now; another one will

Changes = tuple[Change, ...]


class Author:
    """Thinks of the next write of one process, from what its own replica shows."""

    def __init__(self, state: WorldState, is_steward: bool, chance: random.Random, now: Now) -> None:
        self.state = state
        self.me = state.fabric.me
        self.chance = chance
        self.now_ms = state.ms(now)
        self.time = time_of(self.now_ms)
        self._is_steward = is_steward

    def next(self, things: int) -> Changes:
        """Something that makes sense now, about one of so many things of a kind; nothing when little does."""
        for _ in range(TRIES):
            act = self.chance.choices(_ACTS, _WEIGHTS)[0]
            if act.needs_steward and not self._is_steward:
                continue
            try:
                changes = act.command(self, self.chance.randrange(things))
            except RefusedError:
                continue
            if changes:
                return changes
        return ()

    def frame(self, tags: int, number: int) -> Changes:
        """All live values of this node."""
        values = {
            f"tag-{tag:03}": [number + tag / 8, "good", self.now_ms - self.chance.randrange(1000)]
            for tag in range(tags)
        }
        return (Change(Register("frame", self.me), {"t": values}),)

    # -- helpers of the acts

    def item(self, kind: str, name: str) -> Item:
        return self.state.view.item(kind, name) or Item(kind, name)

    def dated(self, kind: str, thing: int) -> Item:
        """An item of a kind that is grouped by day; which ones are worked on changes every few minutes."""
        series = self.now_ms // 60_000 // TASK_MINUTES
        return self.item(kind, day_name(self.now_ms, f"{series}-{thing}"))

    def any(self, of: Sequence[str]) -> str:
        return of[self.chance.randrange(len(of))]

    def number(self) -> int:
        return self.chance.randrange(1_000_000)


Command = Callable[[Author, int], Changes]


@dataclass(frozen=True, slots=True)
class _Act:
    weight: int
    command: Command
    needs_steward: bool = False


# ---------------------------------------------------------------- assets, facts, capabilities, policies


def _describe_asset(author: Author, thing: int) -> Changes:
    fields = {"type": author.any(("pump", "valve", "motor")), "serial": str(author.number())}
    return asset.describe(author.item("asset", f"acme/plant/hall/line-{thing % 3}/m{thing}"), fields)


def _delete_asset(author: Author, thing: int) -> Changes:
    return asset.delete(author.item("asset", f"acme/plant/hall/line-{thing % 3}/m{thing}"))


def _observe(author: Author, thing: int) -> Changes:
    item = author.item("fact", f"acme/plant/hall/m{thing}#open")
    return fact.observe(item, author.me, author.chance.random() < 0.5, author.now_ms)


def _withdraw_fact(author: Author, thing: int) -> Changes:
    return fact.withdraw(author.item("fact", f"acme/plant/hall/m{thing}#open"), author.me)


def _announce(author: Author, thing: int) -> Changes:
    fields = {"roles": ("sensor",), "cpu": 1 + thing, "memory_mb": author.number()}
    return capability.announce(author.item("capability", author.me), fields)


def _set_rules(author: Author, thing: int) -> Changes:
    return policy.set_rules(author.item("policy", f"rule-{thing % 3}"), {"limit": author.number()})


def _revoke(author: Author, thing: int) -> Changes:
    return policy.revoke(author.item("policy", f"rule-{thing % 3}"))


# ---------------------------------------------------------------- alarms


def _alarm(author: Author, thing: int) -> Item:
    return author.item("alarm", f"acme/plant/hall/m{thing}#hot")


def _raise(author: Author, thing: int) -> Changes:
    value = author.number() / 10
    return alarm.raise_(_alarm(author, thing), f"o{author.number()}", author.now_ms, 3, "too hot", value)


def _return(author: Author, thing: int) -> Changes:
    return alarm.return_to_normal(_alarm(author, thing), author.now_ms)


def _acknowledge(author: Author, thing: int) -> Changes:
    return alarm.acknowledge(_alarm(author, thing), "an operator", author.now_ms)


def _shelve(author: Author, thing: int) -> Changes:
    for_ms = 10_000 + author.number() % 60_000
    return alarm.shelve(_alarm(author, thing), for_ms, "noise", "an operator", author.now_ms)


def _unshelve(author: Author, thing: int) -> Changes:
    return alarm.unshelve(_alarm(author, thing), author.now_ms)


def _suppress(author: Author, thing: int) -> Changes:
    return alarm.suppress(_alarm(author, thing), "line stands", "a rule")


def _unsuppress(author: Author, thing: int) -> Changes:
    return alarm.unsuppress(_alarm(author, thing), "a rule")


def _out_of_service(author: Author, thing: int) -> Changes:
    return alarm.take_out_of_service(_alarm(author, thing), "repair", "a fitter")


def _in_service(author: Author, thing: int) -> Changes:
    return alarm.return_to_service(_alarm(author, thing), "a fitter")


# ---------------------------------------------------------------- tasks and advisories


def _offer(author: Author, thing: int) -> Changes:
    return task.offer(author.dated("task", thing), f"look at m{thing}", "an operator", priority=1 + thing % 4)


def _claim(author: Author, thing: int) -> Changes:
    lease_ms = LEASES_MS[thing % len(LEASES_MS)]
    return task.claim(author.dated("task", thing), author.me, author.time, lease_ms)


def _release(author: Author, thing: int) -> Changes:
    return task.release(author.dated("task", thing), author.me, author.now_ms)


def _hand_over(author: Author, thing: int) -> Changes:
    to = sorted(author.state.fabric.roster.members())
    return task.hand_over(author.dated("task", thing), author.me, to[thing % len(to)], author.time, 20_000)


def _done(author: Author, thing: int) -> Changes:
    return task.done(author.dated("task", thing), author.me, author.now_ms)


def _fail(author: Author, thing: int) -> Changes:
    return task.fail(author.dated("task", thing), author.me, author.now_ms, "no spare part")


def _withdraw_task(author: Author, thing: int) -> Changes:
    return task.withdraw(author.dated("task", thing), author.now_ms)


def _advise(author: Author, thing: int) -> Changes:
    fields = {"cause": "worn bearing", "action": f"grease {author.number()}", "severity": 1 + thing % 4}
    return advisory.advise(author.dated("advisory", thing), fields)


def _give_feedback(author: Author, thing: int) -> Changes:
    return advisory.give_feedback(author.dated("advisory", thing), author.me, "useful")


def _withdraw_advisory(author: Author, thing: int) -> Changes:
    return advisory.withdraw(author.dated("advisory", thing))


def _settle(author: Author, thing: int) -> Changes:
    """Settle one of the conflicts that are listed."""
    listed = [item for item in author.state.view.items("conflict") if item.value() is not None]
    if not listed:
        return ()
    return conflict.settle(listed[thing % len(listed)], "an operator", "the one that counts")


_ACTS = (
    _Act(6, _describe_asset),
    _Act(2, _delete_asset),
    _Act(6, _observe),
    _Act(1, _withdraw_fact),
    _Act(1, _announce),
    _Act(3, _set_rules, needs_steward=True),
    _Act(1, _revoke, needs_steward=True),
    _Act(8, _raise),
    _Act(5, _return),
    _Act(6, _acknowledge),
    _Act(2, _shelve),
    _Act(1, _unshelve),
    _Act(1, _suppress),
    _Act(1, _unsuppress),
    _Act(1, _out_of_service),
    _Act(1, _in_service),
    _Act(6, _offer),
    _Act(6, _claim),
    _Act(1, _release),
    _Act(1, _hand_over),
    _Act(3, _done),
    _Act(1, _fail),
    _Act(1, _withdraw_task),
    _Act(4, _advise),
    _Act(2, _give_feedback),
    _Act(1, _withdraw_advisory),
    _Act(1, _settle),
)
_WEIGHTS = tuple(act.weight for act in _ACTS)
