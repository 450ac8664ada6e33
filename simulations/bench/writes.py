"""What the bench writes into the world: frames of live values, alarms that say when they were written, a plant."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from crdt_state.record import encode_body
from mesh.events import WriteRequested
from simulations.bench.payload import PAYLOAD_BYTES

FRAME_TAGS = 100
CHANGES_AT_ONCE = 100  # by one request, as by a person's import of a plant

Plain = tuple[str, str, str, bytes | None]
"""A change as a request carries it: kind, item, facet, body."""

_SEVERAL = 6  # registers for each number of `plant`


class Stamp(NamedTuple):
    """Which block an alarm was written in, and when."""

    block: int
    sent_ns: int


def frame(node: str, number: int) -> Plain:
    """A hundred values, each with its quality and the time of its source, all other than in the frame before."""
    at_ms = time.time_ns() // 1_000_000
    tags = {f"press/tag-{tag:03}": [number + tag / 8, "good", at_ms] for tag in range(FRAME_TAGS)}
    return ("frame", node, "", encode_body({"t": tags}))


def stamped_alarm(block: int, number: int) -> Plain:
    """The condition of an alarm, sent now, of the size of a measured message."""
    body: dict[str, Any] = {
        "active": True,
        "severity": 2,
        "occurrence": f"{block}",
        "value": time.monotonic_ns(),
        "text": "",
    }
    lacking = PAYLOAD_BYTES - len(encode_body(body))
    body["text"] = "x" * (lacking - 1)  # a text of more than 31 bytes has one more byte of head
    return ("alarm", f"bench/hall/press-{number}#hot", "condition", encode_body(body))


def stamp_of(body: Mapping[str, Any]) -> Stamp:
    """What a stamped alarm says of itself."""
    return Stamp(int(body["occurrence"]), body["value"])


def plant(area: str, count: int) -> Iterator[Plain]:
    """So many records of every kind that a plant has most of, each of a register of its own."""
    for number in range(count):
        thing, which = divmod(number, _SEVERAL)
        place = f"bench/{area}/line-{thing % 50}/press-{thing}"
        yield _REGISTERS[which](place, thing)


def requests(changes: Iterator[Plain]) -> Iterator[WriteRequested]:
    """All of these, some at once; the token is the number of the request."""
    token = 0
    while batch := tuple(change for _, change in zip(range(CHANGES_AT_ONCE), changes, strict=False)):
        yield WriteRequested(token, batch)
        token += 1


def _asset(place: str, thing: int) -> Plain:
    body = {"type": "press", "description": f"Press {thing}", "maker": "Acme", "serial": f"SN-{thing:08}"}
    return ("asset", place, "", encode_body(body))


def _sensor(place: str, thing: int) -> Plain:
    body = {"type": "sensor", "description": f"Oil of press {thing}", "unit": "degC"}
    return ("asset", f"{place}/temperature", "", encode_body(body))


def _fact(place: str, thing: int) -> Plain:
    body = {"value": thing / 8, "quality": "good", "observed_ms": 1_790_000_000_000 + thing}
    return ("fact", f"{place}#oil-level", "", encode_body(body))


def _condition(place: str, thing: int) -> Plain:
    body = {
        "active": True,
        "severity": 1 + thing % 4,
        "occurrence": f"{thing:08x}",
        "text": "bearing too hot",
    }
    return ("alarm", f"{place}#hot", "condition", encode_body(body))


def _ack(place: str, thing: int) -> Plain:
    body = {"occurrences": [f"{thing:08x}"], "by": "an operator", "at_ms": 1_790_000_000_000 + thing}
    return ("alarm", f"{place}#hot", "ack", encode_body(body))


def _task(place: str, thing: int) -> Plain:
    body = {"title": "Look at the bearing", "asset": place, "by": "an operator", "priority": 2}
    return ("task", f"20260101-{place.split('/')[1]}-{thing}", "offer", encode_body(body))


_REGISTERS = (_asset, _sensor, _fact, _condition, _ack, _task)
