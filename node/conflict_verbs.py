"""The conflict ledger: what lost against a concurrent write, and deciding which value stands."""

from collections.abc import Callable
from typing import Any

from crdt_state.item import Change, Item
from crdt_state.kinds import conflict as _conflict
from crdt_state.queries import LIMIT, Query, sources_of, version_of
from crdt_state.record import Record, RecordError, Register, check_record, decode_record
from node.desk import Desk, Result, found_in, limited, path_of
from node.errors import FieldmeshError
from node.exits import Exit

CURRENT = "current"  # the choice that changes nothing: what stands now is right

Row = dict[str, Any]


class ConflictVerbs:
    """The handlers of everything that starts with `conflicts_`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "conflicts_list": self.listed,
            "conflicts_show": self.show,
            "conflicts_settle": self.settle,
        }

    async def listed(
        self, path: str = "", kind: str = "", settled: bool = False, limit: int = LIMIT
    ) -> Result:
        """The newest last. Settled ones only when asked for."""
        desk = self._desk
        states = ("open", "settled") if settled else ("open",)
        rows, sources = await found_in(
            desk, Query(("conflict",), path_of(path), states=states), limited(limit)
        )
        conflicts = [self._row(desk.item("conflict", row["item"])) for row in rows]
        return {
            "conflicts": [each for each in conflicts if not kind or each["kind"] == kind],
            "freshness": desk.freshness(sources),
        }

    async def show(self, conflict: str) -> Result:
        item = self._known(conflict)
        fresh = self._desk.freshness(sources_of(item, self._desk.now_ms()))
        return {**self._row(item), "freshness": fresh}

    async def settle(
        self,
        conflict: str,
        choice: str,
        by: str = "",
        login: str = "",
        note: str = "",
        anyway: bool = False,
    ) -> Result:
        """Make one of the values stand: by its number in `show`, its dot, or `current` for what stands now.

        Without `anyway` a value that was written after the conflict, by somebody who knew better, is not replaced.
        """
        desk = self._desk
        item = self._known(conflict)
        entry = self._row(item)
        if entry["state"] == "settled":
            said = f"{entry['settled_by']} settled it already"
            raise FieldmeshError(said, f"fieldmesh conflicts show {item.name}", Exit.USAGE)
        changes: list[Change] = []
        chosen = CURRENT
        if choice != CURRENT:
            record = _chosen(item.name, self._sides(item), choice)
            if not anyway:
                self._refuse_overtaken(item.name, entry, record.register)
            changes.append(Change(record.register, None if record.is_deletion else record.body))
            chosen = str(record.dot)
        with desk.kindly():
            changes += _conflict.settle(item, desk.signed(by, login), chosen, note)
        dots = await desk.write(changes)
        return {"conflict": self._row(desk.item("conflict", item.name)), "dots": dots}

    # -- inside

    def _known(self, name: str) -> Item:
        return self._desk.known_by_beginning("conflict", name, "conflicts list --settled")

    def _refuse_overtaken(self, name: str, entry: Row, register: Register) -> None:
        """FieldmeshError when something that is no side of the conflict stands now."""
        sides = {side["dot"] for side in entry["sides"]}
        heads = self._desk.view.versions(register).heads()
        later = [head for head in heads if str(head.dot) not in sides]
        if later:
            who = self._desk.name(later[0].author)
            raise FieldmeshError(
                f"{register} has been written again since, by {who}",
                f"fieldmesh conflicts settle {name} {CURRENT} keeps that; --anyway replaces it",
            )

    def _sides(self, item: Item) -> list[Record]:
        """The values that were written at once, as their authors have signed them, whatever an entry says."""
        entry, _, _ = _conflict.view(item, self._desk.now_ms())
        records = map(self._proven, (entry.winner, *entry.losers))
        return [each for each in records if each is not None and each.register == Register(*entry.register)]

    def _proven(self, blob: bytes) -> Record | None:
        try:
            record = decode_record(blob)
            identity = self._desk.roster.identity(record.author)
            if identity is None:
                return None
            check_record(record, identity)
        except RecordError:
            return None
        return record

    def _row(self, item: Item) -> Row:
        entry, settlement, is_readable = _conflict.view(item, self._desk.now_ms())
        kind, name, facet = entry.register
        records = self._sides(item)
        standing = self._desk.view.versions(Register(kind, name, facet)).winner()
        return {
            "conflict": item.name,
            "state": "open" if settlement is None else "settled",
            "kind": kind,
            "item": name,
            "facet": facet,
            "cause": entry.cause,
            "found_ms": entry.found_ms,
            "sides": [self._side(number, each, standing) for number, each in enumerate(records, 1)],
            "current": None if standing is None else self._side(0, standing, standing),
            "settled_by": settlement.by if settlement else "",
            "choice": settlement.choice if settlement else "",
            "note": settlement.note if settlement else "",
            "readable": is_readable and len(records) == len(entry.losers) + 1,
        }

    def _side(self, number: int, record: Record, standing: Record | None) -> Row:
        on = self._desk.name(record.author)
        return {"number": number, "on": on, **version_of(record), "standing": record == standing}


def _chosen(name: str, sides: list[Record], choice: str) -> Record:
    for number, record in enumerate(sides, 1):
        if choice in (str(number), str(record.dot)):
            return record
    raise FieldmeshError(
        f"{choice!r} is none of the {len(sides)} values of this conflict",
        f"fieldmesh conflicts show {name} numbers them; {CURRENT} keeps what stands",
        Exit.USAGE,
    )
