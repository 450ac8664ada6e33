"""Evidence: two records with one dot and different contents, both signed. Their author has lied to somebody."""

import msgspec

from crdt_state.item import Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import read_winner

KIND = Kind("evidence")


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    first: bytes = b""  # the records as they were signed
    second: bytes = b""


def view(item: Item, _now_ms: int) -> tuple[Evidence, bool]:
    """Both records, and whether they could be read."""
    return read_winner(item, Evidence)
