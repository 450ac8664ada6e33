"""Alarms as operators list them, and what operators and machines do with them."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from crdt_state.freshness import Source, merged
from crdt_state.item import Change, Item
from crdt_state.kinds import alarm as _alarm
from crdt_state.kinds.alarm import AlarmView
from crdt_state.kinds.alarm_life import AlarmState, Hiding, conditions
from crdt_state.kinds.bodies import check_said
from crdt_state.kinds.paths import check_thing
from crdt_state.kinds.refusal import RefusedError
from crdt_state.kinds.values import Value
from crdt_state.queries import LIMIT, Query, facets_of, sources_of
from mesh.ids import NodeId
from node.desk import Desk, Result, checked_states, limited, path_of
from node.errors import FieldmeshError
from node.exits import Exit

AT_ONCE_MAX = 500  # alarms in one command, which is one event of the core
MISSING_MAX = 10  # of those that are not there, so many are named

RANKS = (
    AlarmState.UNACKNOWLEDGED,
    AlarmState.RETURNED,
    AlarmState.ACKNOWLEDGED,
    AlarmState.SHELVED,
    AlarmState.SUPPRESSED,
    AlarmState.OUT_OF_SERVICE,
    AlarmState.NORMAL,
)
"""What an operator sees first; within one state the most severe first, then the newest."""

HIDDEN = (AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE)

Row = dict[str, Any]


def urgency(state: str, severity: int, since_ms: int, name: str) -> tuple[int, int, int, str]:
    """By this alarms are sorted."""
    return (RANKS.index(AlarmState(state)), -severity, -since_ms, name)


class AlarmVerbs:
    """The handlers of everything that starts with `alarms_`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "alarms_list": self.listed,
            "alarms_show": self.show,
            "alarms_raise": self.raise_,
            "alarms_return": self.return_,
            "alarms_ack": self.ack,
            "alarms_shelve": self.shelve,
            "alarms_unshelve": self.unshelve,
            "alarms_suppress": self.suppress,
            "alarms_unsuppress": self.unsuppress,
            "alarms_out": self.out,
            "alarms_in": self.back_in,
        }

    # -- looking

    async def listed(
        self,
        path: str = "",
        states: list[str] = [],  # noqa: B006 - only read; it comes from a JSON request
        severity: int = 1,
        hidden: bool = False,
        closed: bool = False,
        limit: int = LIMIT,
    ) -> Result:
        """The alarms in the order in which they want attention; `counts` has all of them, by state."""
        desk, limit = self._desk, limited(limit)
        checked_states("alarm", states)
        rows: list[Row] = []
        sources: dict[NodeId, Source] = {}
        counts: Counter[str] = Counter()
        listed = 0
        async for items in desk.items(Query(("alarm",), path_of(path))):
            alarms = [self._row(item) for item in items]
            counts.update(row["state"] for row in alarms)
            wanted = [
                row
                for row in alarms
                if row["severity"] >= severity and _is_wanted(row["state"], states, hidden, closed)
            ]
            listed += len(wanted)
            rows = sorted(rows + wanted, key=_rank)[:limit]
            found = [source for item in items for source in sources_of(item, desk.now_ms())]
            sources = merged([*sources.values(), *found])
        return {
            "alarms": rows,
            "total": listed,
            "counts": dict(sorted(counts.items())),
            "hidden": sum(counts[state] for state in HIDDEN),
            "freshness": desk.freshness(sources.values()),
        }

    async def show(self, alarm: str) -> Result:
        item = self._known(alarm)
        facets = facets_of(item)
        for facet in facets:
            facet["versions"] = [{**each, "on": self._desk.name(each["by"])} for each in facet["versions"]]
        fresh = self._desk.freshness(sources_of(item, self._desk.now_ms()))
        return {**self._row(item), "facets": facets, "freshness": fresh}

    # -- the condition: what a machine says, or a person in its place

    async def raise_(
        self,
        alarm: str,
        severity: int = 2,
        text: str | None = None,
        value: Value = None,
        limit: float | None = None,
    ) -> Result:
        with self._desk.kindly(Exit.USAGE):
            check_thing(alarm)
            changes = _alarm.raise_(
                self._desk.item("alarm", alarm),
                secrets.token_hex(4),
                self._desk.now_ms(),
                severity,
                text,
                value,
                limit,
            )
        return await self._done([alarm], changes)

    async def return_(self, alarm: str) -> Result:
        with self._desk.kindly():
            changes = _alarm.return_to_normal(self._known(alarm), self._desk.now_ms())
        return await self._done([alarm], changes)

    # -- what operators do

    async def ack(
        self,
        alarms: list[str],
        by: str = "",
        login: str = "",
        note: str = "",
        seen: list[str] | None = None,
    ) -> Result:
        """Acknowledge these, all or none on the disk; those with nothing to acknowledge are named and left out.

        One that is not there refuses all.
        """
        desk = self._desk
        signed = desk.signed(by, login)
        changes: list[Change] = []
        skipped: list[Row] = []
        done: list[str] = []
        for item in self._all_known(alarms):
            try:
                changes += _alarm.acknowledge(item, signed, desk.now_ms(), note, seen)
                done.append(item.name)
            except RefusedError as error:
                skipped.append({"alarm": item.name, "why": error.message})
        if not done:
            raise FieldmeshError(
                "; ".join(each["why"] for each in skipped), "fieldmesh alarms list shows what stands open"
            )
        return {**await self._done(done, changes), "skipped": skipped}

    async def shelve(
        self, alarms: list[str], for_s: float, reason: str, by: str = "", login: str = ""
    ) -> Result:
        signed = self._signed_reason(reason, by, login)
        for_ms = int(for_s * 1000)
        return await self._each(
            alarms, lambda item: _alarm.shelve(item, for_ms, reason, signed, self._desk.now_ms())
        )

    async def unshelve(self, alarms: list[str]) -> Result:
        return await self._each(alarms, lambda item: _alarm.unshelve(item, self._desk.now_ms()))

    async def suppress(self, alarms: list[str], reason: str, by: str = "", login: str = "") -> Result:
        signed = self._signed_reason(reason, by, login)
        return await self._each(alarms, lambda item: _alarm.suppress(item, reason, signed))

    async def unsuppress(self, alarms: list[str], by: str = "", login: str = "") -> Result:
        signed = self._desk.signed(by, login)
        return await self._each(alarms, lambda item: _alarm.unsuppress(item, signed))

    async def out(self, alarms: list[str], reason: str, by: str = "", login: str = "") -> Result:
        signed = self._signed_reason(reason, by, login)
        return await self._each(alarms, lambda item: _alarm.take_out_of_service(item, reason, signed))

    async def back_in(self, alarms: list[str], by: str = "", login: str = "") -> Result:
        signed = self._desk.signed(by, login)
        return await self._each(alarms, lambda item: _alarm.return_to_service(item, signed))

    # -- inside

    async def _each(self, alarms: Iterable[str], command: Callable[[Item], tuple[Change, ...]]) -> Result:
        """The same with each of them; one that refuses refuses all."""
        items = self._all_known(alarms)
        try:
            with self._desk.kindly():
                changes = [change for item in items for change in command(item)]
        except FieldmeshError as error:
            raise _nothing_changed(error, len(items)) from None
        return await self._done([item.name for item in items], changes)

    async def _done(self, names: Iterable[str], changes: Iterable[Change]) -> Result:
        dots = await self._desk.write(list(changes))
        rows = [self._row(self._desk.item("alarm", name)) for name in names]
        return {"alarms": rows, "dots": dots}

    def _all_known(self, alarms: Iterable[str]) -> list[Item]:
        """Each once; FieldmeshError that names those that are not there, and nothing is done with the others."""
        names = list(dict.fromkeys(alarms))
        _check_count(names)
        if len(names) == 1:
            return [self._known(names[0])]
        view = self._desk.view
        missing = [name for name in names if view.item("alarm", name) is None]
        if missing:
            error = FieldmeshError(
                f"there is no alarm called {', '.join(missing[:MISSING_MAX])}",
                "fieldmesh alarms list --all shows them; repeat the command without these",
                Exit.USAGE,
            )
            raise _nothing_changed(error, len(names))
        return [self._known(name) for name in names]

    def _signed_reason(self, reason: str, by: str, login: str) -> str:
        """Who gives the reason; FieldmeshError when there is none."""
        with self._desk.kindly(Exit.USAGE):
            check_said(reason, "reason")
        return self._desk.signed(by, login)

    def _known(self, name: str) -> Item:
        return self._desk.known("alarm", name, "alarms list --all")

    def _row(self, item: Item) -> Row:
        now_ms = self._desk.now_ms()
        view = _alarm.view(item, now_ms)
        lead = conditions(item)
        last = max(view.acknowledgements, key=lambda ack: ack.at_ms, default=None)
        return {
            "alarm": item.name,
            "path": view.path,
            "name": view.name,
            "state": view.state.value,
            "underlying": view.underlying.value,
            "active": view.is_active,
            "severity": view.severity,
            "text": view.text,
            "value": view.value,
            "limit": view.limit,
            "since_ms": view.since_ms,
            "age_s": round(max(0, now_ms - view.since_ms) / 1000, 3) if view.since_ms else None,
            "raised_on": self._desk.name(lead[0].author) if lead else "",
            "outstanding": list(view.outstanding),
            "acknowledged_by": last.by if last else "",
            "acknowledged_on": self._desk.name(last.author) if last else "",
            "acknowledged_ms": last.at_ms if last else None,
            "note": last.note if last else "",
            "hidden": _hidden(view),
            "conflict": bool(view.conflicts),
            "readable": view.is_readable,
        }


def _is_wanted(state: str, states: Iterable[str], has_hidden: bool, has_closed: bool) -> bool:
    if states:
        return state in states
    if state == AlarmState.NORMAL:
        return has_closed
    return has_hidden or has_closed or state not in HIDDEN


def _rank(row: Row) -> tuple[int, int, int, str]:
    return urgency(row["state"], row["severity"], row["since_ms"], row["alarm"])


def _hidden(view: AlarmView) -> Row | None:
    """Why the alarm is out of sight, when it is."""
    why: Hiding | None = view.out_of_service or view.suppressed or view.shelved
    return None if why is None else {"reason": why.reason, "by": why.by, "until_ms": why.until_ms}


def _nothing_changed(error: FieldmeshError, count: int) -> FieldmeshError:
    """The same, said so that nobody believes that the others were done."""
    said = f"{error.message}; none of the {count} alarms was changed" if count > 1 else error.message
    return FieldmeshError(said, error.cure, error.exit_code)


def _check_count(alarms: Iterable[str]) -> None:
    if not 0 < len(list(alarms)) <= AT_ONCE_MAX:
        raise FieldmeshError(f"name 1 to {AT_ONCE_MAX} alarms at once", "fieldmesh alarms list", Exit.USAGE)
