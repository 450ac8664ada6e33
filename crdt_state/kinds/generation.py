"""Generations: the headers of documents that were built anew, so that their history need not be carried for ever."""

import msgspec

from crdt_state.item import Item
from crdt_state.kind import Kind
from crdt_state.kinds.bodies import read_winner
from mesh.wire import Count

KIND = Kind("generation")


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    number: Count = 0
    context: dict[
        str, dict[str, Count]
    ] = {}  # by author and run (as text): the last record that the builder had seen
    digest: str = ""  # of the content kept, hexadecimal
    records: Count = 0
    dropped: bool = False  # nothing was kept
    before: Count = 0  # hybrid time: what was done with by then is not in it
    counted: tuple[str, ...] = ()  # short names (hexadecimal) of the members who had acknowledged all that
    base: str = ""  # the mark of the generation before, hexadecimal
    why: str = ""


def view(item: Item, _now_ms: int) -> tuple[Generation, bool]:
    """The document's header, and whether all of it could be read."""
    return read_winner(item, Generation)
