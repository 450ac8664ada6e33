"""Alarms: what an operator sees of one, and what people and machines can do with it. `alarm_life` has the rules."""

from collections.abc import Collection
from dataclasses import dataclass

from crdt_state.item import Change, Item, evolved
from crdt_state.kind import Kind
from crdt_state.kinds.alarm_life import (
    ACK,
    CONDITION,
    FACETS,
    SERVICE,
    SHELVED_MS_MAX,
    SHELVING,
    SUPPRESSION,
    Ack,
    AlarmState,
    Condition,
    Hiding,
    Service,
    Shelving,
    Suppression,
    acknowledged,
    conditions,
    occurrences,
    outstanding,
    service,
    shelving,
    suppression,
    underlying_state,
    until_of,
)
from crdt_state.kinds.bodies import (
    Disagreement,
    Read,
    change,
    check_said,
    described,
    disagreements,
    read_heads,
)
from crdt_state.kinds.paths import check_thing, parted
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.values import Quality, Value, settled
from crdt_state.record import Body
from mesh.ids import NodeId

OCCURRENCES_MAX = 8  # acknowledged ones remembered: some whose condition is still on its way here


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who acknowledged an activation that is in view."""

    author: NodeId
    by: str
    note: str
    at_ms: int
    occurrences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlarmView:
    path: str
    name: str
    state: AlarmState
    underlying: AlarmState  # what the state would be if the alarm were not out of sight
    is_known: bool  # False: no condition was ever written, or it is deleted
    is_active: bool
    severity: int
    text: str
    value: Value
    limit: float | None
    since_ms: int
    outstanding: tuple[str, ...]  # activations that nobody has acknowledged
    acknowledgements: tuple[Acknowledgement, ...]
    shelved: Hiding | None
    suppressed: Hiding | None
    out_of_service: Hiding | None
    is_readable: bool
    conflicts: tuple[Disagreement, ...]


def view(item: Item, now_ms: int) -> AlarmView:
    heads = conditions(item)
    acks = read_heads(item, ACK, Ack)
    body = heads[0].body if heads else Condition()
    underlying = underlying_state(item)
    shelved, suppressed, out = shelving(item, now_ms), suppression(item), service(item)
    path, name = parted(item.name)
    return AlarmView(
        path=path,
        name=name,
        state=_hidden(shelved, suppressed, out) or underlying,
        underlying=underlying,
        is_known=bool(heads),
        is_active=body.active,
        severity=max((head.body.severity for head in heads if head.body.active), default=body.severity),
        text=body.text,
        value=body.value,
        limit=body.limit,
        since_ms=body.since_ms,
        outstanding=outstanding(item),
        acknowledgements=_acknowledgements(acks, occurrences(heads)),
        shelved=shelved,
        suppressed=suppressed,
        out_of_service=out,
        is_readable=_is_readable(item),
        conflicts=disagreements(item, CONDITION, SHELVING, SUPPRESSION, SERVICE),
    )


def is_closed(item: Item, now_ms: int) -> bool:
    """Whether it is normal, acknowledged if it ever was active, and in sight."""
    return (
        underlying_state(item) is AlarmState.NORMAL
        and _hidden(shelving(item, now_ms), suppression(item), service(item)) is None
        and _is_readable(item)  # what we cannot read may be active
    )


KIND = Kind("alarm", tuple(FACETS), revives=True, merged_facets=(CONDITION, ACK), is_closed=is_closed)


def raise_(
    item: Item,
    occurrence: str,
    now_ms: int,
    severity: int = 2,
    text: str | None = None,
    value: Value = None,
    limit: float | None = None,
) -> tuple[Change, ...]:
    """The condition is there: a new activation, unless it is active already. None leaves text and limit as they are."""
    check_thing(item.name)
    check_said(occurrence, "occurrence")
    heads = conditions(item)
    is_new = not heads or not heads[0].body.active
    fields: dict[str, object] = {
        "active": True,
        "severity": severity,
        "value": settled(value, Quality.GOOD)[0],
    }
    if is_new:
        fields |= {"occurrence": _unused(item, occurrence), "since_ms": now_ms}
    else:
        fields["occurrence"] = _kept(item)
    fields |= {name: field for name, field in (("text", text), ("limit", limit)) if field is not None}
    return change(item, CONDITION, described(Condition, _lead(item), fields))


def return_to_normal(item: Item, now_ms: int) -> tuple[Change, ...]:
    """The condition is gone. Nothing when it was not there."""
    if not any(head.body.active for head in conditions(item)):
        return ()
    body = evolved(_lead(item), active=False, occurrence=_kept(item), since_ms=now_ms)
    return change(item, CONDITION, body)


def acknowledge(
    item: Item, by: str, now_ms: int, note: str = "", seen: Collection[str] | None = None
) -> tuple[Change, ...]:
    """Somebody has seen the alarm; with `seen`, only these of its activations."""
    _check_known(item)
    new = [each for each in outstanding(item) if seen is None or each in seen]
    if not new:
        raise RefusedError(f"the alarm {item.name} has nothing to acknowledge", "look at its state")
    body = evolved(
        item.value(ACK),
        occurrences=_remembered(item, new),
        by=check_said(by, "name of who acknowledges"),
        note=note or None,
        at_ms=now_ms,
    )
    return change(item, ACK, body)


def shelve(item: Item, for_ms: int, reason: str, by: str, now_ms: int) -> tuple[Change, ...]:
    """Out of sight for a while. Shelving again sets the time anew."""
    _check_known(item)
    check_said(reason, "reason")
    if not 0 < for_ms <= SHELVED_MS_MAX:
        raise RefusedError(
            "an alarm is shelved for more than nothing and at most 7 days",
            "choose a shorter time, or take the alarm out of service",
        )
    body = evolved(item.value(SHELVING), until_ms=now_ms + for_ms, reason=reason, by=by)
    return change(item, SHELVING, body)


def unshelve(item: Item, now_ms: int) -> tuple[Change, ...]:
    if all(until_of(head) <= now_ms for head in read_heads(item, SHELVING, Shelving)):
        raise RefusedError(f"the alarm {item.name} is not shelved", "look at its state")
    return change(item, SHELVING, None)


def suppress(item: Item, reason: str, by: str) -> tuple[Change, ...]:
    """Out of sight by design, as long as the plant is in a state in which the alarm means nothing."""
    check_thing(item.name)
    check_said(reason, "reason")
    return change(item, SUPPRESSION, evolved(item.value(SUPPRESSION), active=True, reason=reason, by=by))


def unsuppress(item: Item, by: str) -> tuple[Change, ...]:
    if not any(head.body.active for head in read_heads(item, SUPPRESSION, Suppression)):
        raise RefusedError(f"the alarm {item.name} is not suppressed", "look at its state")
    return change(item, SUPPRESSION, evolved(item.value(SUPPRESSION), active=False, reason=None, by=by))


def take_out_of_service(item: Item, reason: str, by: str) -> tuple[Change, ...]:
    """Out of sight for maintenance, until somebody returns it."""
    check_thing(item.name)
    check_said(reason, "reason")
    return change(item, SERVICE, evolved(item.value(SERVICE), out=True, reason=reason, by=by))


def return_to_service(item: Item, by: str) -> tuple[Change, ...]:
    if not any(head.body.out for head in read_heads(item, SERVICE, Service)):
        raise RefusedError(f"the alarm {item.name} is in service", "look at its state")
    return change(item, SERVICE, evolved(item.value(SERVICE), out=False, reason=None, by=by))


def _hidden(shelved: Hiding | None, suppressed: Hiding | None, out: Hiding | None) -> AlarmState | None:
    if out is not None:
        return AlarmState.OUT_OF_SERVICE
    if suppressed is not None:
        return AlarmState.SUPPRESSED
    return None if shelved is None else AlarmState.SHELVED


def _acknowledgements(acks: list[Read[Ack]], inview: tuple[str, ...]) -> tuple[Acknowledgement, ...]:
    found = []
    for ack in sorted(acks, key=lambda each: each.author):
        mine = tuple(each for each in inview if each in ack.body.occurrences)
        if mine:
            found.append(Acknowledgement(ack.author, ack.body.by, ack.body.note, ack.body.at_ms, mine))
    return tuple(found)


def _is_readable(item: Item) -> bool:
    return all(each.is_readable for facet, model in FACETS.items() for each in read_heads(item, facet, model))


def _check_known(item: Item) -> None:
    if not conditions(item):
        raise RefusedError(f"there is no alarm {item.name}", "list the alarms to see which there are")


def _lead(item: Item) -> Body | None:
    heads = conditions(item)
    return heads[0].record.body if heads else item.value(CONDITION)


def _kept(item: Item) -> str:
    """The occurrence that goes on: an unacknowledged one before others, so that a merge acknowledges nothing."""
    unseen = outstanding(item)
    return unseen[0] if unseen else conditions(item)[0].body.occurrence


def _unused(item: Item, occurrence: str) -> str:
    """The occurrence, made different from those that we know of: a new activation is never acknowledged already."""
    used = {*acknowledged(item), *occurrences(conditions(item))}
    while occurrence in used:
        occurrence += "+"
    return occurrence


def _remembered(item: Item, new: list[str]) -> list[str]:
    """What an acknowledgement lists: what is acknowledged in view, then others as far as there is room."""
    done = (*new, *acknowledged(item))
    inview = [each for each in occurrences(conditions(item)) if each in done]
    others = [each for each in acknowledged(item) if each not in inview]
    return inview + others[: max(0, OCCURRENCES_MAX - len(inview))]
