"""Advisories: what a model or a rule advises, and whether people found it right. Everybody's view of it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from crdt_state.item import Change, Item, evolved
from crdt_state.kind import DAY_MS, Kind
from crdt_state.kinds.bodies import (
    Disagreement,
    change,
    change_own,
    check_day,
    described,
    disagreements,
    own_of,
    read_authors,
    read_winner,
)
from crdt_state.kinds.refusal import RefusedError
from mesh.hybrid import ms_of
from mesh.ids import NodeId
from mesh.wire import Count

ADVICE, FEEDBACK = "", "feedback"

VALID_MS = DAY_MS  # advice that names no end is stale after a day: the plant has moved on
VALID_MS_MAX = 30 * DAY_MS  # whatever it names, so that none stays for ever

Verdict = Literal["useful", "wrong"]


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    asset: str = ""
    alarm: str = ""
    severity: Annotated[int, Meta(ge=1, le=4)] = 2  # 1 low, 2 medium, 3 high, 4 critical
    cause: str = ""
    probability: Annotated[float, Meta(ge=0, le=1)] | None = None
    action: str = ""
    evidence: tuple[str, ...] = ()  # ids of what it rests on
    model: str = ""
    produced_by: str = ""
    text: str = ""
    valid_until_ms: Count = 0


class FeedbackBody(msgspec.Struct, frozen=True, kw_only=True):
    verdict: Literal["", "useful", "wrong"] = ""
    note: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    author: NodeId
    verdict: str
    note: str
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class AdvisoryView:
    name: str
    advice: Advice
    is_known: bool  # False: never written here, or deleted
    author: NodeId | None
    given_ms: int
    valid_until_ms: int
    is_valid: bool
    feedback: tuple[Feedback, ...]  # of each author its latest
    is_readable: bool
    conflicts: tuple[Disagreement, ...]


def view(item: Item, now_ms: int) -> AdvisoryView:
    advice, is_readable = read_winner(item, Advice)
    winner = item.facet(ADVICE).winner()
    said = read_authors(item, FEEDBACK, FeedbackBody)
    return AdvisoryView(
        name=item.name,
        advice=advice,
        is_known=winner is not None and not winner.is_deletion,
        author=None if winner is None else winner.author,
        given_ms=0 if winner is None else ms_of(winner.time),
        valid_until_ms=valid_until_ms(item),
        is_valid=now_ms < valid_until_ms(item),
        feedback=tuple(
            Feedback(each.author, each.body.verdict, each.body.note, each.body.by, each.at_ms)
            for each in said
            if each.body.verdict
        ),
        is_readable=is_readable and all(each.is_readable for each in said),
        conflicts=disagreements(item, ADVICE),
    )


def is_closed(item: Item, now_ms: int) -> bool:
    """Whether it is withdrawn, somebody has said what it was worth, or it is past its time."""
    winner = item.facet(ADVICE).winner()
    if winner is not None and winner.is_deletion:
        return True
    has_feedback = any(each.body.verdict for each in read_authors(item, FEEDBACK, FeedbackBody))
    return has_feedback or now_ms >= valid_until_ms(item)


KIND = Kind("advisory", (ADVICE, FEEDBACK), "day", merged_facets=(FEEDBACK,), is_closed=is_closed)


def valid_until_ms(item: Item) -> int:
    """Until when it is worth reading; without the advice itself, as long as if it had just been given."""
    winner = item.facet(ADVICE).winner()
    given_ms = ms_of(item.latest if winner is None else winner.time)
    asked_ms = read_winner(item, Advice)[0].valid_until_ms or given_ms + VALID_MS
    return min(asked_ms, given_ms + VALID_MS_MAX)


def advise(item: Item, fields: Mapping[str, object]) -> tuple[Change, ...]:
    """Give the advice, or change these fields of it. A field set to None goes."""
    check_day(KIND, item)
    return change(item, ADVICE, described(Advice, item.value(ADVICE), fields))


def give_feedback(
    item: Item, me: NodeId, verdict: Verdict, by: str = "", note: str = ""
) -> tuple[Change, ...]:
    """Say whether it was right, instead of what this node said before."""
    if item.value(ADVICE) is None:
        raise RefusedError(f"there is no advisory {item.name}", "list the advisories to see which there are")
    mine = own_of(item, me, FEEDBACK)
    body = evolved(None if mine is None else mine.body, verdict=verdict, by=by or me, note=note or None)
    return change_own(item, FEEDBACK, me, body)


def withdraw(item: Item) -> tuple[Change, ...]:
    if item.value(ADVICE) is None:
        raise RefusedError(f"there is no advisory {item.name}", "list the advisories to see which there are")
    return change(item, ADVICE, None)
