"""Tasks: offered to all, claimed with a lease by one.

Two sides of a cut may both claim: once they meet, the earliest unbroken claim whose lease still runs has the task, and
the others are told. A claim is always its author's own: `owner` in its body only repeats that for other readers.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from crdt_state.item import Change, Item, evolved
from crdt_state.kind import DAY_MS, Kind
from crdt_state.kinds.bodies import (
    Disagreement,
    Read,
    change,
    check_day,
    check_said,
    described,
    disagreements,
    read_heads,
    read_winner,
)
from crdt_state.kinds.paths import check_path
from crdt_state.kinds.refusal import RefusedError
from mesh.hybrid import ms_of
from mesh.ids import NodeId, is_node_id
from mesh.wire import Count

OFFER, CLAIM, OUTCOME = "offer", "claim", "outcome"

LEASE_MS_MAX = DAY_MS  # who has not renewed in a day has gone home, and the task is free again


class TaskState(StrEnum):
    OPEN = "open"
    CLAIMED = "claimed"
    EXPIRED = "expired"  # the lease has run out: anybody may claim it
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


ENDED = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.WITHDRAWN})


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    title: str = ""
    asset: str = ""
    details: str = ""
    priority: Annotated[int, Meta(ge=1, le=4)] = 2  # 1 low, 2 medium, 3 high, 4 critical
    by: str = ""
    wants: str = ""  # the capability that it takes; empty: none
    withdrawn: bool = False


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    owner: str = ""
    since: Count = 0  # hybrid time of the first claim, kept through renewals and handing over
    until_ms: Count = 0
    handed_to: str = ""  # who has it instead of the author


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["", "done", "failed"] = ""
    note: str = ""
    by: str = ""
    at_ms: Count = 0


@dataclass(frozen=True, slots=True)
class TaskView:
    name: str
    state: TaskState
    offer: Offer
    outcome: Outcome
    owner: NodeId | None  # who has it; when the lease has run out, who had it last
    since_ms: int
    lease_until_ms: int
    lost_claims: tuple[NodeId, ...]  # who claimed it at the same time and does not have it
    is_readable: bool
    conflicts: tuple[Disagreement, ...]


def view(item: Item, now_ms: int) -> TaskView:
    offer, can_read_offer = read_winner(item, Offer, OFFER)
    outcome, can_read_outcome = read_winner(item, Outcome, OUTCOME)
    claims = _claims(item, now_ms)
    first = claims[0] if claims else None
    owner = None if first is None else _holder(first)
    return TaskView(
        name=item.name,
        state=state_of(item, now_ms),
        offer=offer,
        outcome=outcome,
        owner=owner,
        since_ms=0 if first is None else ms_of(_since(first)),
        lease_until_ms=0 if first is None else _until_ms(first),
        lost_claims=tuple(sorted({_holder(each) for each in claims} - {owner})),
        is_readable=can_read_offer and can_read_outcome and all(_is_sound(each) for each in claims),
        conflicts=disagreements(item, OFFER, CLAIM, OUTCOME),
    )


def state_of(item: Item, now_ms: int) -> TaskState:
    outcome = read_winner(item, Outcome, OUTCOME)[0]
    if outcome.status:
        return TaskState(outcome.status)
    if _is_withdrawn(item):
        return TaskState.WITHDRAWN
    claims = _claims(item, now_ms)
    if not claims:
        return TaskState.OPEN
    return TaskState.CLAIMED if _until_ms(claims[0]) > now_ms else TaskState.EXPIRED


def is_closed(item: Item, now_ms: int) -> bool:
    return state_of(item, now_ms) in ENDED


KIND = Kind("task", (OFFER, CLAIM, OUTCOME), "day", is_closed=is_closed, merged_facets=(CLAIM,))


def offer(
    item: Item,
    title: str,
    by: str,
    asset: str = "",
    details: str = "",
    priority: int = 2,
    wants: str = "",
) -> tuple[Change, ...]:
    """Ask for something to be done; offering again says it anew, also after a withdrawal."""
    check_day(KIND, item)
    check_said(title, "title")
    if asset:
        check_path(asset)
    if read_winner(item, Outcome, OUTCOME)[0].status:
        raise RefusedError(f"the task {item.name} has ended", "offer a new one")
    fields = {
        "title": title,
        "asset": asset or None,
        "details": details or None,
        "priority": priority,
        "by": by,
        "wants": wants or None,
        "withdrawn": None,
    }
    return change(item, OFFER, described(Offer, item.value(OFFER), fields))


def claim(item: Item, me: NodeId, time: int, lease_ms: int) -> tuple[Change, ...]:
    """Take the task for so long. Claiming what one has already renews it."""
    _check_lease(lease_ms)
    holding = _check_free(item, me, ms_of(time))
    return _claimed(item, me, time if holding is None else _since(holding), ms_of(time) + lease_ms)


def renew(item: Item, me: NodeId, time: int, lease_ms: int) -> tuple[Change, ...]:
    """Keep the task for so long from now."""
    _check_lease(lease_ms)
    return _claimed(item, me, _since(_check_held(item, me, ms_of(time))), ms_of(time) + lease_ms)


def release(item: Item, me: NodeId, now_ms: int) -> tuple[Change, ...]:
    """Give the task back: it is open again."""
    _check_held(item, me, now_ms)
    return change(item, CLAIM, None)


def hand_over(
    item: Item, me: NodeId, to: NodeId, time: int, lease_ms: int | None = None
) -> tuple[Change, ...]:
    """Give the task to another, who has it from now for so long; without a time, for what is left of the lease."""
    if lease_ms is not None:
        _check_lease(lease_ms)
    held = _check_held(item, me, ms_of(time))
    if not is_node_id(to) or to == me:
        raise RefusedError(f"the task cannot be handed to {to!r}", "name another member by its node id")
    until_ms = _until_ms(held) if lease_ms is None else ms_of(time) + lease_ms
    return _claimed(item, me, _since(held), until_ms, to)


def done(item: Item, me: NodeId, now_ms: int, note: str = "", by: str = "") -> tuple[Change, ...]:
    return _ended(item, me, now_ms, "done", note, by)


def fail(item: Item, me: NodeId, now_ms: int, note: str = "", by: str = "") -> tuple[Change, ...]:
    return _ended(item, me, now_ms, "failed", note, by)


def withdraw(item: Item, now_ms: int) -> tuple[Change, ...]:
    """The task is not wanted any more, whoever has it. Its offer stays to be read."""
    _check_going_on(item, now_ms)
    return change(item, OFFER, evolved(item.value(OFFER), withdrawn=True))


def _claims(item: Item, now_ms: int) -> list[Read[Claim]]:
    """The concurrent claims, the one that has the task first."""
    heads = read_heads(item, CLAIM, Claim)
    running = [head for head in heads if _until_ms(head) > now_ms]
    first = min(running, key=lambda head: (_since(head), head.author)) if running else None
    return heads if first is None else [first, *(head for head in heads if head is not first)]


def _until_ms(head: Read[Claim]) -> int:
    return min(head.body.until_ms, head.at_ms + LEASE_MS_MAX)


def _since(head: Read[Claim]) -> int:
    return min(head.body.since, head.record.time)


def _holder(head: Read[Claim]) -> NodeId:
    return NodeId(head.body.handed_to) if is_node_id(head.body.handed_to) else head.author


def _is_sound(head: Read[Claim]) -> bool:
    return head.is_readable and head.body.owner == head.author


def _is_withdrawn(item: Item) -> bool:
    winner = item.facet(OFFER).winner()
    return winner is not None and (winner.is_deletion or read_winner(item, Offer, OFFER)[0].withdrawn)


def _check_lease(lease_ms: int) -> None:
    if not 0 < lease_ms <= LEASE_MS_MAX:
        raise RefusedError("a task is claimed for more than nothing and at most a day", "choose another time")


def _check_going_on(item: Item, now_ms: int) -> None:
    if not item.facet(OFFER):
        raise RefusedError(f"there is no task {item.name}", "list the tasks to see which there are")
    state = state_of(item, now_ms)
    if state in ENDED:
        raise RefusedError(f"the task {item.name} is {state.value}", "list the tasks that are open")


def _check_free(item: Item, me: NodeId, now_ms: int) -> Read[Claim] | None:
    """The claim by which it is mine; None when it is nobody's."""
    _check_going_on(item, now_ms)
    claims = _claims(item, now_ms)
    if not claims or _until_ms(claims[0]) <= now_ms:
        return None
    if _holder(claims[0]) != me:
        raise RefusedError(
            f"the task {item.name} is claimed by {_holder(claims[0])}",
            "wait until the lease has run out, or ask its owner to hand it over",
        )
    return claims[0]


def _check_held(item: Item, me: NodeId, now_ms: int) -> Read[Claim]:
    held = _check_free(item, me, now_ms)
    if held is None:
        raise RefusedError(f"the task {item.name} is not claimed by this node", "claim it")
    return held


def _claimed(
    item: Item, me: NodeId, since: int, until_ms: int, to: NodeId | None = None
) -> tuple[Change, ...]:
    body = evolved(item.value(CLAIM), owner=me, since=since, until_ms=until_ms, handed_to=to)
    return change(item, CLAIM, body)


def _ended(item: Item, me: NodeId, now_ms: int, status: str, note: str, by: str) -> tuple[Change, ...]:
    _check_free(item, me, now_ms)
    body = evolved(item.value(OUTCOME), status=status, note=note or None, by=by or me, at_ms=now_ms)
    return change(item, OUTCOME, body)
