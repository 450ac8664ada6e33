"""Bodies as this node understands them. Any member may have signed any body: what cannot be read is a default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from crdt_state.item import Change, Item, Versions, evolved
from crdt_state.kind import Kind
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.wanted import misfit
from crdt_state.record import Body, Record, Register
from mesh.hybrid import ms_of
from mesh.ids import NodeId

B = TypeVar("B", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Read(Generic[B]):
    """A version's body, in the fields that this node knows."""

    record: Record
    body: B
    is_readable: bool

    @property
    def author(self) -> NodeId:
        return self.record.author

    @property
    def at_ms(self) -> int:
        return ms_of(self.record.time)


@dataclass(frozen=True, slots=True)
class Side:
    """What one author wrote without having seen the others."""

    author: NodeId
    at_ms: int
    body: Body | None  # None: it deleted


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Concurrent writes of one facet that differ; the one that counts is first."""

    facet: str
    sides: tuple[Side, ...]


def read_body(model: type[B], raw: Mapping[str, object]) -> tuple[B, bool]:
    """The body's known fields, and whether all of them could be read; a field that could not has its default."""
    try:
        return msgspec.convert(raw, model), True
    except msgspec.ValidationError:
        return _read_each(model, raw), False


def read(record: Record, model: type[B]) -> Read[B]:
    return Read(record, *read_body(model, record.body))


def read_heads(item: Item, facet: str, model: type[B]) -> list[Read[B]]:
    """The facet's concurrent values, the one that counts first. Deletions are left out."""
    return [read(head, model) for head in item.facet(facet).heads() if not head.is_deletion]


def read_winner(item: Item, model: type[B], facet: str = "") -> tuple[B, bool]:
    """What the facet holds; all defaults when there is nothing."""
    return read_body(model, item.value(facet) or {})


def read_own(item: Item, model: type[B], author: str) -> Read[B] | None:
    """What this author says, whatever others say; None when it says nothing."""
    record = own_of(item, author)
    return None if record is None or record.is_deletion else read(record, model)


def own_of(item: Item, author: str, facet: str = "") -> Record | None:
    return item.facet(facet).by_author.get(NodeId(author))


def read_authors(item: Item, facet: str, model: type[B]) -> list[Read[B]]:
    """What each author says, in the order of their ids, where authors do not replace each other."""
    records = item.facet(facet).by_author
    return [read(records[each], model) for each in sorted(records) if not records[each].is_deletion]


def disagreements(item: Item, *facets: str) -> tuple[Disagreement, ...]:
    """The facets, of these, in which concurrent versions differ."""
    return tuple(found for facet in facets if (found := _disagreement(facet, item.facet(facet))))


def change(item: Item, facet: str, body: Body | None) -> tuple[Change, ...]:
    """The write that makes the facet hold this; nothing when it does already, undisputed."""
    heads = item.facet(facet).heads()
    if len(heads) == 1 and _value_of(heads[0]) == body:
        return ()
    return (Change(Register(item.kind, item.name, facet), body),)


def change_own(item: Item, facet: str, author: str, body: Body | None) -> tuple[Change, ...]:
    """The same where authors do not replace each other."""
    mine = own_of(item, author, facet)
    if mine is not None and _value_of(mine) == body:
        return ()
    return (Change(Register(item.kind, item.name, facet), body),)


def described(model: type[B], old: Mapping[str, object] | None, fields: Mapping[str, object]) -> Body:
    """A body with these fields changed. RefusedError when one that this node knows has a value that cannot be."""
    body = evolved(old, **fields)
    known = {field.encode_name for field in msgspec.structs.fields(model)}
    check_fields(model, {name: body[name] for name in fields if name in known & body.keys()})
    return body


def check_fields(model: type[B], fields: Mapping[str, object]) -> None:
    """RefusedError when a field that this node knows has a value that cannot be."""
    try:
        msgspec.convert(fields, model)
    except msgspec.ValidationError:
        why = misfit(model, fields)
        raise RefusedError(f"a field cannot have this value: {why}", "correct it and try again") from None


def check_day(kind: Kind, item: Item) -> None:
    """RefusedError unless the item's name begins with the day that it belongs to."""
    if kind.document_of(Register(item.kind, item.name)) is None:
        raise RefusedError(f"{item.name!r} names no {kind.name}", "begin the name with its day: YYYYMMDD-...")


def check_said(text: str, what: str) -> str:
    """RefusedError when nothing was said."""
    if not text.strip():
        raise RefusedError(f"the {what} is empty", f"give the {what}")
    return text


def _read_each(model: type[B], raw: Mapping[str, object]) -> B:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(model):
        if field.encode_name in raw:
            try:
                fields[field.name] = msgspec.convert(raw[field.encode_name], field.type)
            except msgspec.ValidationError:
                continue
    return model(**fields)


def _disagreement(facet: str, versions: Versions) -> Disagreement | None:
    heads = versions.heads()
    if all(
        head.body_bytes == heads[0].body_bytes or _value_of(head) == _value_of(heads[0]) for head in heads
    ):
        return None
    return Disagreement(facet, tuple(Side(each.author, ms_of(each.time), _value_of(each)) for each in heads))


def _value_of(record: Record) -> Body | None:
    return None if record.is_deletion else record.body
