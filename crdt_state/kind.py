"""Kinds of records: who may write them, which document they lie in, and when one of them is done with."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from crdt_state.item import Item
from crdt_state.record import Record, Register

Group = Literal["one", "day", "owner"]
"""One document for the kind; one for each day, which the item's name begins with; one for each author."""

Writers = Literal["members", "owner", "stewards"]
"""Who may write: every member; only the node that the item is named after; only stewards."""

DAY_MS = 86_400_000

_DAY = re.compile(r"\d{8}-")


def never(_: Item, __: int) -> bool:
    """Of kinds whose items stay until they are deleted."""
    return False


@dataclass(frozen=True, slots=True)
class Kind:
    """What the world must know of a kind; its module in `crdt_state.kinds` knows the rest."""

    name: str
    facets: tuple[str, ...] = ("",)
    group: Group = "one"
    writers: Writers = "members"
    each_observes: bool = False  # authors do not replace each other: every one has its own version
    retention_ms: int = 7 * DAY_MS  # how long a closed or deleted item stays to be looked at
    revives: bool = False  # what is closed and collected may come to life again under the same name
    merged_facets: tuple[str, ...] = ()  # where the kind itself merges concurrent writes: nothing loses
    is_closed: Callable[[Item, int], bool] = (
        never  # the item at this date (ms) needs nobody's attention any more
    )

    def document_of(self, register: Register) -> str | None:
        """The name of the document that holds this register; None when the item's name does not fit the kind."""
        if self.group == "owner":
            return f"{self.name}:{register.item}"
        if self.group == "one":
            return self.name
        return f"{self.name}:{register.item[:8]}" if _DAY.match(register.item) else None

    def may_write(self, record: Record, is_steward: bool) -> bool:
        if self.writers == "owner":
            return record.register.item == record.author
        return self.writers == "members" or is_steward


class Kinds:
    """The kinds that this node knows. Records of others are carried, kept and not understood."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def get(self, name: str) -> Kind:
        """The kind of this name; of an unknown one, what lets it be carried."""
        return self._kinds.get(name) or Kind(name)

    def knows(self, name: str) -> bool:
        return name in self._kinds

    def names(self) -> tuple[str, ...]:
        return tuple(self._kinds)

    def document_of(self, register: Register) -> str | None:
        return self.get(register.kind).document_of(register)


def day_name(ms: int, number: str) -> str:
    """An item's name in a kind that is grouped by day."""
    days = ms // DAY_MS
    return f"{_civil(days)}-{number}"


def _civil(days: int) -> str:
    """Days since 1970 as YYYYMMDD."""
    return (date(1970, 1, 1) + timedelta(days=days)).strftime("%Y%m%d")
