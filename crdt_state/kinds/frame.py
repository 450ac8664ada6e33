"""Live frames: all current tag values of one node, in one record. `frame_writer` decides what goes into the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from crdt_state.item import Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import read_own
from crdt_state.kinds.values import Quality, Value, settled
from mesh.ids import NodeId
from mesh.wire import Count

KIND = Kind("frame", group="owner", writers="owner")


class FrameBody(msgspec.Struct, frozen=True, kw_only=True):
    t: dict[str, Any] = {}  # by tag: value, quality, source_ms


@dataclass(frozen=True, slots=True)
class TagValue:
    value: Value
    quality: Quality
    source_ms: int  # when the source measured it, by the source's clock


@dataclass(frozen=True, slots=True)
class FrameView:
    node: NodeId
    tags: Mapping[str, TagValue]
    run: int  # the incarnation that wrote it; 0: there is no frame
    written_ms: int
    age_ms: int
    is_readable: bool
    conflicts: tuple[()] = ()  # one writer: there are none


class _Tag(msgspec.Struct, frozen=True, array_like=True):
    value: Value
    quality: Quality
    source_ms: Count


def view(item: Item, now_ms: int) -> FrameView:
    said = read_own(item, FrameBody, item.name)
    node = NodeId(item.name)
    if said is None:
        return FrameView(node, {}, 0, 0, 0, True)
    tags = {tag: value for tag, raw in said.body.t.items() if (value := _tag_value(raw)) is not None}
    is_readable = said.is_readable and len(tags) == len(said.body.t)
    return FrameView(node, tags, said.record.dot.run, said.at_ms, max(0, now_ms - said.at_ms), is_readable)


def _tag_value(raw: object) -> TagValue | None:
    try:
        tag = msgspec.convert(raw, _Tag)
    except msgspec.ValidationError:
        return None
    return TagValue(*settled(tag.value, tag.quality), tag.source_ms)
