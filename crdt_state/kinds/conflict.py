"""Conflicts: what lost against a concurrent write, kept until somebody has settled it."""

import msgspec

from crdt_state.item import Change, Item, evolved
from crdt_state.kind import DAY_MS, Kind
from crdt_state.kinds.bodies import change, check_said, read_winner
from crdt_state.kinds.refusal import RefusedError
from mesh.hybrid import ms_of
from mesh.wire import Count

ENTRY, SETTLED = "", "settled"

OPEN_MS_MAX = 30 * DAY_MS  # a month in which somebody could have looked


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    register: tuple[str, str, str] = ("", "", "")  # kind, item, facet
    winner: bytes = b""  # the record that counted when the conflict was found, as it was signed
    losers: tuple[bytes, ...] = ()
    cause: str = ""
    found_ms: Count = 0


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    by: str = ""
    choice: str = ""  # which of them: its dot as text
    note: str = ""


def view(item: Item, _now_ms: int) -> tuple[Conflict, Settlement | None, bool]:
    """The conflict, how it was settled, and whether all of that could be read."""
    entry, can_read_entry = read_winner(item, Conflict)
    if item.value(SETTLED) is None:
        return entry, None, can_read_entry
    settlement, can_read_settlement = read_winner(item, Settlement, SETTLED)
    return entry, settlement, can_read_entry and can_read_settlement


def is_closed(item: Item, now_ms: int) -> bool:
    """Settled, or so old that nobody will: the ledger must not grow for ever."""
    return item.value(SETTLED) is not None or now_ms - ms_of(item.latest) >= OPEN_MS_MAX


KIND = Kind("conflict", (ENTRY, SETTLED), "day", is_closed=is_closed)


def settle(item: Item, by: str, choice: str, note: str = "") -> tuple[Change, ...]:
    if item.value(ENTRY) is None:
        raise RefusedError(f"there is no conflict {item.name}", "list the conflicts to see which there are")
    check_said(by, "name of who settles")
    body = evolved(item.value(SETTLED), by=by, choice=check_said(choice, "choice"), note=note or None)
    return change(item, SETTLED, body)
