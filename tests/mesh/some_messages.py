"""Arbitrary messages, made from the wire's own types, so that a new message is tested without being asked."""

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from mesh.wire import Frame, Message

SIZE_MAX = 40  # of lists and byte strings: the limits themselves have tests of their own


def frames() -> st.SearchStrategy[Frame]:
    return _of(inspect.type_info(Frame))


def messages() -> st.SearchStrategy[Message]:
    return _of(inspect.type_info(Message))


def message_types() -> list[type[msgspec.Struct]]:
    union = inspect.type_info(Message)
    assert isinstance(union, inspect.UnionType)
    return [each.cls for each in union.types if isinstance(each, inspect.StructType)]


def message_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Message]:
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> st.SearchStrategy:
    match info:
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, *(_of(each.type) for each in fields))
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
        case inspect.VarTupleType(item_type=item):
            largest = min(info.max_length or SIZE_MAX, 6)
            return st.lists(_of(item), min_size=info.min_length or 0, max_size=largest).map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_of, items))
        case inspect.IntType():
            least = -(2**63) if info.ge is None else info.ge
            return st.integers(least, 2**63 - 1 if info.le is None else info.le)
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.StrType():
            return st.text(min_size=info.min_length or 0, max_size=min(info.max_length or SIZE_MAX, SIZE_MAX))
        case inspect.BytesType():
            smallest = info.min_length or 0
            return st.binary(
                min_size=smallest, max_size=max(smallest, min(info.max_length or SIZE_MAX, SIZE_MAX))
            )
    raise AssertionError(f"no strategy for {info}")
