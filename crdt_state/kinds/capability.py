"""Capabilities: what a node can do for others. Only the node itself says so."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from crdt_state.item import Change, Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import change_own, described, own_of, read_own
from mesh.ids import NodeId
from mesh.wire import Count

KIND = Kind("capability", writers="owner", revives=True)


class CapabilityBody(msgspec.Struct, frozen=True, kw_only=True):
    roles: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()  # of reasoning
    cpu: Count = 0  # cores
    memory_mb: Count = 0
    storage_mb: Count = 0


@dataclass(frozen=True, slots=True)
class CapabilityView:
    node: NodeId
    body: CapabilityBody
    is_known: bool  # False: the node has not said, or has taken it back
    announced_ms: int
    is_readable: bool
    conflicts: tuple[()] = ()  # one writer: there are none


def view(item: Item, _now_ms: int) -> CapabilityView:
    said = read_own(item, CapabilityBody, item.name)
    node = NodeId(item.name)
    if said is None:
        return CapabilityView(node, CapabilityBody(), False, 0, True)
    return CapabilityView(node, said.body, True, said.at_ms, said.is_readable)


def announce(item: Item, fields: Mapping[str, object]) -> tuple[Change, ...]:
    """Say what this node, after which the item is named, can do. Nothing when that is known."""
    mine = own_of(item, item.name)
    return change_own(
        item, "", item.name, described(CapabilityBody, None if mine is None else mine.body, fields)
    )
