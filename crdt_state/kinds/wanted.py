"""What a field needs, in words for whoever gave it something else."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

SAID_CHARS_MAX = 40  # of a value that is no good: enough to recognise it


def misfit(model: type[msgspec.Struct], fields: Mapping[str, object]) -> str:
    """`serial needs text, not 77`, of the first field that does not fit; empty when all fit. Unknown ones always do."""
    return _misfit(model, fields, "")


def text_fields(model: type[msgspec.Struct]) -> frozenset[str]:
    """The fields whose values are text, whatever they look like."""
    found = msgspec.structs.fields(model)
    return frozenset(each.encode_name for each in found if isinstance(_info(each.type), inspect.StrType))


def _misfit(model: type[msgspec.Struct], fields: Mapping[str, object], inside: str) -> str:
    for each in msgspec.structs.fields(model):
        if each.encode_name in fields:
            found = _of_field(each.type, f"{inside}{each.encode_name}", fields[each.encode_name])
            if found:
                return found
    return ""


def _of_field(wanted: Any, name: str, value: object) -> str:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        info = _info(wanted)
        if isinstance(info, inspect.StructType) and isinstance(value, Mapping):
            return _misfit(info.cls, value, f"{name}.")
        return f"{name} needs {_words(info)}, not {_shortened(value)}"
    return ""


def _info(wanted: Any) -> inspect.Type:
    found = inspect.type_info(wanted)
    return found.type if isinstance(found, inspect.Metadata) else found


def _words(info: inspect.Type) -> str:
    if isinstance(info, inspect.UnionType):
        return " or ".join(dict.fromkeys(_words(each) for each in info.types))
    if isinstance(info, inspect.IntType):
        return f"a whole number{_bounds(info)}"
    if isinstance(info, inspect.LiteralType):
        return _one_of(info.values)
    if isinstance(info, inspect.EnumType):
        return _one_of(each.value for each in info.cls)
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return f"a list, each {_words(info.item_type)}"
    return _NAMES.get(type(info), "another value")


_NAMES: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.DictType: "an object with named values",
    inspect.StructType: "an object with named fields",
}


def _one_of(values: Any) -> str:
    return f"one of {', '.join(json.dumps(each) for each in values)}"


def _bounds(info: inspect.IntType) -> str:
    least = "" if info.ge is None else f" from {info.ge}"
    most = "" if info.le is None else f" to {info.le}"
    return least + most


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SAID_CHARS_MAX else f"{text[: SAID_CHARS_MAX - 3]}..."
