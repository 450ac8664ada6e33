"""Shapes: for every kind how it is shown to people and scripts, where its items stand, and what may be written into it.

The modules in `crdt_state.kinds` know what a kind means; this is the one table of them all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from crdt_state.item import Item
from crdt_state.kinds import (
    KINDS,
    advisory,
    alarm,
    alarm_life,
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
from crdt_state.kinds.bodies import check_fields, disagreements
from crdt_state.kinds.paths import check_path, check_thing
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.wanted import text_fields
from crdt_state.record import Body

KEPT_BY_NODES = ("conflict", "evidence", "generation", "holding")
"""What nodes write about the documents themselves. People do not."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An item as this release understands it."""

    state: str  # one word
    fields: Mapping[str, Any]  # plain values
    is_readable: bool  # False: some of it could not be read and shows its default
    has_conflict: bool


@dataclass(frozen=True, slots=True)
class Shape:
    show: Callable[[Item, int], Shown]  # at this date (ms)
    states: tuple[str, ...]  # that an item can be shown in
    models: Mapping[str, type[msgspec.Struct]] = field(default_factory=dict)  # of each facet that is written
    place: Callable[[Item], str] = lambda item: item.name  # the path that it stands at, or its own name
    is_named_by_place: bool = True  # so that the items of a place are a slice of the names
    check_name: Callable[[str], str] | None = None  # RefusedError for what cannot be a name


def shape_of(kind: str) -> Shape:
    """The kind's shape; of an unknown one, what it holds as it stands."""
    return _SHAPES.get(kind) or Shape(_show_raw, _WRITTEN)


def is_at(place: str, path: str) -> bool:
    """Whether a place is this path, or below it, or a thing at it. Everything is at the empty path."""
    return not path or place == path or (place.startswith(path) and place[len(path)] in "/#")


def check_body(kind: str, facet: str, body: Body) -> tuple[str, ...]:
    """The fields that this release does not know. RefusedError when a known one has a value that cannot be."""
    model = shape_of(kind).models.get(facet)
    if model is None:
        return ()
    check_fields(model, body)
    known = {each.encode_name for each in msgspec.structs.fields(model)}
    return tuple(sorted(body.keys() - known))


def check_places(kind: str, item: str, body: Body) -> None:
    """RefusedError when the item's name, or the place that its body tells, can be none."""
    shape = shape_of(kind)
    if shape.check_name is not None:
        shape.check_name(item)
    place = body.get("asset")  # of tasks and advisories
    if not shape.is_named_by_place and isinstance(place, str) and place:
        check_path(place)


def check_states(kinds: Iterable[str], states: Iterable[str]) -> None:
    """RefusedError when no item of these kinds can be in one of these states. No kinds: whichever."""
    known = sorted({state for kind in tuple(kinds) or tuple(_SHAPES) for state in shape_of(kind).states})
    for state in states:
        if state not in known:
            raise RefusedError(f"there is no state {state!r}", f"one of: {', '.join(known)}")


def typed_as_text(kind: str, facet: str) -> frozenset[str]:
    """The fields of this facet whose values are text, also when they read as a number."""
    model = shape_of(kind).models.get(facet)
    return frozenset() if model is None else text_fields(model)


def check_facet(kind: str, facet: str) -> None:
    """RefusedError unless people and their programs may write this facet of this kind."""
    writable = [name for name in KINDS.names() if name not in KEPT_BY_NODES]
    if kind not in writable:
        raise RefusedError(f"the kind {kind!r} cannot be written", f"one of: {', '.join(writable)}")
    facets = KINDS.get(kind).facets
    if facet not in facets:
        named = ", ".join(repr(name) for name in facets)
        raise RefusedError(f"the kind {kind} has no facet {facet!r}", f"give --facet as one of: {named}")


# ---------------------------------------------------------------- each kind


def _show_asset(item: Item, now_ms: int) -> Shown:
    view = asset.view(item, now_ms)
    return _shown("listed" if view.is_listed else "deleted", view)


def _show_fact(item: Item, now_ms: int) -> Shown:
    view = fact.view(item, now_ms)
    if not view.observations:
        state = "withdrawn"
    elif view.disagreeing:
        state = "disagreeing"
    else:
        state = "known" if view.is_known else "unknown"
    return _shown(state, view)


def _show_alarm(item: Item, now_ms: int) -> Shown:
    view = alarm.view(item, now_ms)
    return _shown(view.state.value, view)


def _show_task(item: Item, now_ms: int) -> Shown:
    view = task.view(item, now_ms)
    return _shown(view.state.value, view)


def _show_advisory(item: Item, now_ms: int) -> Shown:
    view = advisory.view(item, now_ms)
    state = "valid" if view.is_valid else "past"
    return _shown(state if view.is_known else "withdrawn", view)


def _show_capability(item: Item, now_ms: int) -> Shown:
    view = capability.view(item, now_ms)
    return _shown("announced" if view.is_known else "withdrawn", view)


def _show_policy(item: Item, now_ms: int) -> Shown:
    view = policy.view(item, now_ms)
    return _shown("set" if view.is_set else "revoked", view)


def _show_frame(item: Item, now_ms: int) -> Shown:
    view = frame.view(item, now_ms)
    return _shown("live" if view.run else "empty", view)


def _show_conflict(item: Item, now_ms: int) -> Shown:
    entry, settlement, is_readable = conflict.view(item, now_ms)
    fields = {"entry": _plain(entry), "settlement": _plain(settlement)}
    return Shown("open" if settlement is None else "settled", fields, is_readable, has_conflict=False)


def _show_holding(item: Item, now_ms: int) -> Shown:
    return _shown_body(item, *holding.view(item, now_ms))


def _show_generation(item: Item, now_ms: int) -> Shown:
    return _shown_body(item, *generation.view(item, now_ms))


def _show_evidence(item: Item, now_ms: int) -> Shown:
    return _shown_body(item, *evidence.view(item, now_ms))


def _show_raw(item: Item, _now_ms: int) -> Shown:
    fields = {facet: _plain(versions.value()) for facet, versions in sorted(item.facets.items())}
    has_conflict = bool(disagreements(item, *item.facets))
    return Shown("deleted" if item.is_deleted else "written", fields, True, has_conflict)


def _shown(state: str, view: Any) -> Shown:
    return Shown(state, _plain(view), getattr(view, "is_readable", True), bool(view.conflicts))


def _shown_body(item: Item, body: msgspec.Struct, is_readable: bool) -> Shown:
    return Shown("deleted" if item.is_deleted else "written", _plain(body), is_readable, has_conflict=False)


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value)


def _place_of_task(item: Item) -> str:
    place = (item.value(task.OFFER) or {}).get("asset")
    return place if isinstance(place, str) else ""


def _place_of_advisory(item: Item) -> str:
    place = (item.value(advisory.ADVICE) or {}).get("asset")
    return place if isinstance(place, str) else ""


def _place_of_conflict(item: Item) -> str:
    register = (item.value(conflict.ENTRY) or {}).get("register")
    is_triple = isinstance(register, list) and len(register) == 3  # kind, item, facet
    return str(register[1]) if is_triple and register is not None else ""


_WRITTEN = ("written", "deleted")

_WRITTEN = ("written", "deleted")

_WRITTEN = ("written", "deleted")

_WRITTEN = ("written", "deleted")

_SHAPES: dict[str, Shape] = {
    "asset": Shape(_show_asset, ("listed", "deleted"), {"": asset.AssetBody}, check_name=check_path),
    "fact": Shape(
        _show_fact,
        ("known", "disagreeing", "unknown", "withdrawn"),
        {"": fact.FactBody},
        check_name=check_thing,
    ),
    "alarm": Shape(
        _show_alarm,
        tuple(each.value for each in alarm_life.AlarmState),
        alarm_life.FACETS,
        check_name=check_thing,
    ),
    "task": Shape(
        _show_task,
        tuple(each.value for each in task.TaskState),
        {task.OFFER: task.Offer, task.CLAIM: task.Claim, task.OUTCOME: task.Outcome},
        _place_of_task,
        is_named_by_place=False,
    ),
    "advisory": Shape(
        _show_advisory,
        ("valid", "past", "withdrawn"),
        {advisory.ADVICE: advisory.Advice, advisory.FEEDBACK: advisory.FeedbackBody},
        _place_of_advisory,
        is_named_by_place=False,
    ),
    "capability": Shape(_show_capability, ("announced", "withdrawn"), {"": capability.CapabilityBody}),
    "policy": Shape(_show_policy, ("set", "revoked"), {"": policy.PolicyBody}),
    "frame": Shape(_show_frame, ("live", "empty"), {"": frame.FrameBody}),
    "conflict": Shape(_show_conflict, ("open", "settled"), {}, _place_of_conflict, is_named_by_place=False),
    "holding": Shape(_show_holding, _WRITTEN),
    "generation": Shape(_show_generation, _WRITTEN),
    "evidence": Shape(_show_evidence, _WRITTEN),
}
