"""Facts: what is so, as several observers say it. Nobody's word replaces another's; where they differ, it shows.

An observer replaces and withdraws only its own version: what it was over does not count here.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from crdt_state.item import Change, Item, evolved
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import Read, change_own, own_of, read_authors
from crdt_state.kinds.paths import check_thing, parted
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.values import Quality, Value, is_same, settled
from mesh.ids import NodeId
from mesh.wire import Count

FRESH_MS = (
    600_000  # ten minutes: sensors speak more often, and people who look once a shift say how long it holds
)


def is_closed(item: Item, _now_ms: int) -> bool:
    """Whether every observer has withdrawn."""
    return all(record.is_deletion for record in item.facet().by_author.values())


KIND = Kind("fact", each_observes=True, revives=True, is_closed=is_closed)


class FactBody(msgspec.Struct, frozen=True, kw_only=True):
    value: Value = None
    quality: Quality = Quality.GOOD
    observed_ms: Count = 0  # 0: when it was written
    fresh_ms: Annotated[int, Meta(ge=1, le=366 * 86_400_000)] = FRESH_MS


@dataclass(frozen=True, slots=True)
class Observation:
    author: NodeId
    value: Value
    quality: Quality
    observed_ms: int
    is_fresh: bool
    is_readable: bool

    @property
    def counts(self) -> bool:
        """Whether it may speak for the fact."""
        return self.is_fresh and self.is_readable and self.quality is Quality.GOOD


@dataclass(frozen=True, slots=True)
class FactView:
    path: str
    name: str
    observations: tuple[Observation, ...]  # by author, whatever their age and quality
    value: Value  # None also when nobody knows, or not all agree
    is_known: bool
    as_of_ms: int  # the oldest observation on which the value rests
    disagreeing: tuple[tuple[NodeId, Value], ...]  # empty when all that count agree
    is_readable: bool

    @property
    def conflicts(self) -> tuple[tuple[NodeId, Value], ...]:
        return self.disagreeing


def view(item: Item, now_ms: int) -> FactView:
    observations = tuple(_observation(each, now_ms) for each in read_authors(item, "", FactBody))
    counting = [each for each in observations if each.counts]
    agree = all(is_same(each.value, counting[0].value) for each in counting)
    is_known = agree and bool(counting)
    path, name = parted(item.name)
    return FactView(
        path=path,
        name=name,
        observations=observations,
        value=counting[0].value if is_known else None,
        is_known=is_known,
        as_of_ms=min((each.observed_ms for each in counting), default=0) if is_known else 0,
        disagreeing=() if agree else tuple((each.author, each.value) for each in counting),
        is_readable=all(each.is_readable for each in observations),
    )


def observe(
    item: Item,
    me: NodeId,
    value: Value,
    observed_ms: int,
    quality: Quality = Quality.GOOD,
    fresh_ms: int = FRESH_MS,
) -> tuple[Change, ...]:
    """Say what we see, instead of what we said before."""
    check_thing(item.name)
    value, quality = settled(value, quality)
    mine = own_of(item, me)
    body = evolved(
        None if mine is None else mine.body,
        value=value,
        quality=quality.value,
        observed_ms=observed_ms,
        fresh_ms=fresh_ms,
    )
    return change_own(item, "", me, body)


def withdraw(item: Item, me: NodeId) -> tuple[Change, ...]:
    """Take back what we said. What others say stays."""
    mine = own_of(item, me)
    if mine is None or mine.is_deletion:
        raise RefusedError(f"this node has not observed {item.name}", "withdraw it on the node that has")
    return change_own(item, "", me, None)


def _observation(said: Read[FactBody], now_ms: int) -> Observation:
    body = said.body
    observed_ms = min(body.observed_ms or said.at_ms, said.at_ms)  # nobody has seen later than it wrote
    value, quality = settled(body.value, body.quality)
    is_fresh = now_ms - observed_ms < body.fresh_ms
    return Observation(said.author, value, quality, observed_ms, is_fresh, said.is_readable)
