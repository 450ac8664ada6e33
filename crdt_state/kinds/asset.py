"""Assets: what stands where, by UNS path."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from crdt_state.item import Change, Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import Disagreement, change, described, disagreements, read_winner
from crdt_state.kinds.paths import check_path
from crdt_state.kinds.refusal import RefusedError
from mesh.hybrid import ms_of
from mesh.ids import NodeId

KIND = Kind("asset")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Between which values a tag is in order, in its unit."""

    low_low: float | None = None
    low: float | None = None
    high: float | None = None
    high_high: float | None = None


class AssetBody(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""  # pump, valve, temperature, ...
    description: str = ""
    unit: str = ""
    maker: str = ""
    model: str = ""
    serial: str = ""
    classification: str = ""  # the egress class of its values; empty: as the place above it
    range_low: float | None = None  # what the instrument can show
    range_high: float | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class AssetView:
    path: str
    body: AssetBody
    is_listed: bool  # False: it was never written, or it is deleted
    is_readable: bool
    changed_ms: int
    changed_by: NodeId | None
    conflicts: tuple[Disagreement, ...]


def view(item: Item, _now_ms: int) -> AssetView:
    winner = item.facet().winner()
    body, is_readable = read_winner(item, AssetBody)
    return AssetView(
        path=item.name,
        body=body,
        is_listed=winner is not None and not winner.is_deletion,
        is_readable=is_readable,
        changed_ms=0 if winner is None else ms_of(winner.time),
        changed_by=None if winner is None else winner.author,
        conflicts=disagreements(item, ""),
    )


def describe(item: Item, fields: Mapping[str, object]) -> tuple[Change, ...]:
    """List the asset, or change these fields of it. A field set to None goes."""
    check_path(item.name)
    return change(item, "", described(AssetBody, item.value(), fields))


def delete(item: Item) -> tuple[Change, ...]:
    if item.value() is None:
        raise RefusedError(f"there is no asset {item.name}", "list the assets to see which there are")
    return change(item, "", None)
