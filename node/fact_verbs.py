"""Facts: what this node says is so, and what all say."""

from collections.abc import Callable
from typing import Any

from crdt_state.item import Item
from crdt_state.kinds import fact as _fact
from crdt_state.kinds.paths import check_thing
from crdt_state.kinds.values import Quality, Value, heard
from crdt_state.queries import LIMIT, Query, sources_of
from node.desk import Desk, Result, checked_states, found_in, limited, path_of
from node.errors import FieldmeshError
from node.exits import Exit

FRESH_S = _fact.FRESH_MS / 1000

Row = dict[str, Any]


class FactVerbs:
    """The handlers of everything that starts with `facts_`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "facts_list": self.listed,
            "facts_show": self.show,
            "facts_observe": self.observe,
            "facts_withdraw": self.withdraw,
        }

    async def listed(
        self,
        path: str = "",
        states: list[str] = [],  # noqa: B006 - only read; it comes from a JSON request
        limit: int = LIMIT,
    ) -> Result:
        """Facts by name; of those on which observers disagree, what each says."""
        desk = self._desk
        query = Query(
            ("fact",), path_of(path), states=checked_states("fact", states), standing_only=not states
        )
        rows, sources = await found_in(desk, query, limited(limit))
        facts = [self._row(desk.item("fact", row["item"]), row["state"]) for row in rows]
        return {"facts": facts, "freshness": desk.freshness(sources)}

    async def show(self, fact: str) -> Result:
        item = self._desk.known("fact", fact, "facts list")
        fresh = self._desk.freshness(sources_of(item, self._desk.now_ms()))
        return {**self._row(item), "freshness": fresh}

    async def observe(
        self,
        fact: str,
        value: Value,
        quality: str = Quality.GOOD.value,
        observed_ms: int | None = None,
        fresh_s: float = FRESH_S,
    ) -> Result:
        """Say what this node sees. It replaces what this node said before, and nobody else's word.

        No value is never good: null is how what is not a number crosses the control socket.
        """
        desk = self._desk
        observed_ms = desk.now_ms() if observed_ms is None else observed_ms
        value, trust = heard(value, _quality(quality))
        with desk.kindly(Exit.USAGE):
            check_thing(fact)
            changes = _fact.observe(
                desk.item("fact", fact), desk.me, value, observed_ms, trust, int(fresh_s * 1000)
            )
        dots = await desk.write(changes)
        return {"fact": self._row(desk.item("fact", fact)), "dots": dots}

    async def withdraw(self, fact: str) -> Result:
        desk = self._desk
        item = desk.known("fact", fact, "facts list")
        with desk.kindly():
            changes = _fact.withdraw(item, desk.me)
        dots = await desk.write(changes)
        return {"fact": self._row(desk.item("fact", fact)), "dots": dots}

    def _row(self, item: Item, state: str = "") -> Row:
        now_ms = self._desk.now_ms()
        view = _fact.view(item, now_ms)
        return {
            "fact": item.name,
            "path": view.path,
            "name": view.name,
            "state": state or _state(view),
            "value": view.value,
            "as_of_ms": view.as_of_ms or None,
            "observations": [
                {
                    "by": each.author,
                    "on": self._desk.name(each.author),
                    "value": each.value,
                    "quality": each.quality.value,
                    "observed_ms": each.observed_ms,
                    "fresh": each.is_fresh,
                }
                for each in view.observations
            ],
            "readable": view.is_readable,
        }


def _quality(text: str) -> Quality:
    try:
        return Quality(text)
    except ValueError:
        known = ", ".join(each.value for each in Quality)
        raise FieldmeshError(f"there is no quality {text!r}", f"one of: {known}", Exit.USAGE) from None


def _state(view: _fact.FactView) -> str:
    if not view.observations:
        return "withdrawn"
    if view.disagreeing:
        return "disagreeing"
    return "known" if view.is_known else "unknown"
