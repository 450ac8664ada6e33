"""How much a core remembers: the length of every collection in it, by name."""

from random import Random

import msgspec

from node.core import NodeCore

NESTED_MAX = 20  # of the collections inside a collection, these many are looked into


def memory_of(core: NodeCore) -> dict[str, int]:
    found: dict[str, int] = {}
    _measure("core", core, found, set())
    return found


def grown(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(after.values()) - sum(before.values())


def _measure(name: str, thing: object, found: dict[str, int], seen: set[int]) -> None:
    if id(thing) in seen or isinstance(thing, type | str | bytes | int | float | Random | msgspec.Struct):
        return
    seen.add(id(thing))
    if isinstance(thing, dict | list | set | tuple):
        found[name] = found.get(name, 0) + len(thing)
        for each in list(thing.values() if isinstance(thing, dict) else thing)[:NESTED_MAX]:
            _measure(f"{name}[]", each, found, seen)
        return
    if callable(thing) or not type(thing).__module__.startswith(("mesh", "node")):
        return
    slots = [slot for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ())]
    for field in [*getattr(thing, "__dict__", {}), *slots]:
        _measure(f"{name}.{field}", getattr(thing, field, None), found, seen)
