"""Policies: rules that stewards set for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from crdt_state.item import Change, Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import Disagreement, change, described, disagreements, read_heads, read_winner
from crdt_state.kinds.refusal import RefusedError
from mesh.hybrid import ms_of
from mesh.ids import NodeId
from mesh.wire import Count

KIND = Kind("policy", writers="stewards")


class PolicyBody(msgspec.Struct, frozen=True, kw_only=True):
    rules: dict[str, Any] = {}
    version: Count = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class PolicyView:
    name: str
    rules: Mapping[str, Any]
    version: int
    note: str
    is_set: bool
    set_ms: int
    set_by: NodeId | None
    is_readable: bool
    conflicts: tuple[Disagreement, ...]


def view(item: Item, _now_ms: int) -> PolicyView:
    body, is_readable = read_winner(item, PolicyBody)
    winner = item.facet().winner()
    return PolicyView(
        name=item.name,
        rules=body.rules,
        version=body.version,
        note=body.note,
        is_set=winner is not None and not winner.is_deletion,
        set_ms=0 if winner is None else ms_of(winner.time),
        set_by=None if winner is None else winner.author,
        is_readable=is_readable,
        conflicts=disagreements(item, ""),
    )


def set_rules(item: Item, rules: Mapping[str, object], note: str = "") -> tuple[Change, ...]:
    """Set all the rules anew, as the next version after any that this node has seen."""
    version = max((head.body.version for head in read_heads(item, "", PolicyBody)), default=0) + 1
    fields = {"rules": dict(rules), "version": version, "note": note or None}
    return change(item, "", described(PolicyBody, item.value(), fields))


def revoke(item: Item) -> tuple[Change, ...]:
    if item.value() is None:
        raise RefusedError(f"there is no policy {item.name}", "list the policies to see which there are")
    return change(item, "", None)
