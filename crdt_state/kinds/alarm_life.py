"""What follows from an alarm's versions: the life cycle of ISA-18.2, merged so that nothing is hidden.

The condition is active if any concurrent version of it says so, and unacknowledged while any activation in view has
been acknowledged by nobody. An alarm is shelved, suppressed or out of service only where all concurrent versions agree.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from crdt_state.item import Item
from crdt_state.kind import DAY_MS
from crdt_state.kinds.bodies import B, Read, read, read_heads
from crdt_state.kinds.values import Value
from mesh.wire import Count

SHELVED_MS_MAX = 7 * DAY_MS  # a week: what must be out of sight for longer is taken out of service, by name

CONDITION, ACK, SHELVING, SUPPRESSION, SERVICE = "condition", "ack", "shelving", "suppression", "service"

Severity = Annotated[int, Meta(ge=1, le=4)]


class AlarmState(StrEnum):
    """ISA-18.2. Of the last three, which hide the others, a later one hides an earlier one."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"  # to normal, unacknowledged
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    active: bool = False
    occurrence: str = ""  # which activation: its own text for each
    severity: Severity = 2  # 1 low, 2 medium, 3 high, 4 critical
    text: str = ""
    value: Value = None
    limit: float | None = None
    since_ms: Count = 0  # when it became active, or returned to normal


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    occurrences: tuple[str, ...] = ()
    by: str = ""
    note: str = ""
    at_ms: Count = 0


class Shelving(msgspec.Struct, frozen=True, kw_only=True):
    until_ms: Count = 0
    reason: str = ""
    by: str = ""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    active: bool = False
    reason: str = ""
    by: str = ""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    out: bool = False
    reason: str = ""
    by: str = ""


FACETS: dict[str, type[msgspec.Struct]] = {
    CONDITION: Condition,
    ACK: Ack,
    SHELVING: Shelving,
    SUPPRESSION: Suppression,
    SERVICE: Service,
}


@dataclass(frozen=True, slots=True)
class Hiding:
    """Why an alarm is out of sight."""

    reason: str
    by: str
    until_ms: int | None = None  # None: until somebody ends it


def conditions(item: Item) -> list[Read[Condition]]:
    """The concurrent conditions, the one that counts most first: active, then unacknowledged, then latest."""
    done = acknowledged(item)
    heads = read_heads(item, CONDITION, Condition)
    return sorted(heads, key=lambda head: (not head.body.active, head.body.occurrence in done))


def occurrences(heads: list[Read[Condition]]) -> tuple[str, ...]:
    """The activations that these conditions are of, or were."""
    return tuple(
        dict.fromkeys(head.body.occurrence for head in heads if head.body.active or head.body.occurrence)
    )


def acknowledged(item: Item) -> tuple[str, ...]:
    """The activations that somebody has acknowledged, as far as it is still remembered."""
    acks = read_heads(item, ACK, Ack)
    return tuple(dict.fromkeys(each for ack in acks for each in ack.body.occurrences))


def outstanding(item: Item) -> tuple[str, ...]:
    """The activations in view that nobody has acknowledged."""
    done = acknowledged(item)
    return tuple(each for each in occurrences(conditions(item)) if each not in done)


def underlying_state(item: Item) -> AlarmState:
    heads = conditions(item)
    is_active = any(head.body.active for head in heads)
    if outstanding(item):
        return AlarmState.UNACKNOWLEDGED if is_active else AlarmState.RETURNED
    return AlarmState.ACKNOWLEDGED if is_active else AlarmState.NORMAL


def shelving(item: Item, now_ms: int) -> Hiding | None:
    """How the alarm is shelved; of several shelvings the shortest counts."""
    heads = _agreeing(item, SHELVING, Shelving)
    if not heads:
        return None
    first = min(heads, key=until_of)
    return Hiding(first.body.reason, first.body.by, until_of(first)) if until_of(first) > now_ms else None


def until_of(head: Read[Shelving]) -> int:
    """When a shelving ends, whatever its author has asked for."""
    return min(head.body.until_ms, head.at_ms + SHELVED_MS_MAX)


def suppression(item: Item) -> Hiding | None:
    heads = _agreeing(item, SUPPRESSION, Suppression)
    if not heads or not all(head.body.active for head in heads):
        return None
    return Hiding(heads[0].body.reason, heads[0].body.by)


def service(item: Item) -> Hiding | None:
    heads = _agreeing(item, SERVICE, Service)
    if not heads or not all(head.body.out for head in heads):
        return None
    return Hiding(heads[0].body.reason, heads[0].body.by)


def _agreeing(item: Item, facet: str, model: type[B]) -> list[Read[B]]:
    """The facet's concurrent versions; none when one of them is a deletion."""
    heads = item.facet(facet).heads()
    return [] if any(head.is_deletion for head in heads) else [read(head, model) for head in heads]
