"""Tasks: what is to be done, who has it, and what became of it."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from crdt_state.freshness import Source, merged
from crdt_state.item import Change, Item
from crdt_state.kind import day_name
from crdt_state.kinds import task as _task
from crdt_state.kinds.task import TaskState
from crdt_state.queries import LIMIT, Query, facets_of, sources_of
from mesh.hybrid import time_of
from mesh.ids import NodeId
from node.desk import Desk, Result, checked_states, limited, path_of
from node.exits import Exit
from node.members import the_member

LEASE_S = 3600.0  # when nobody says: who works longer than an hour at a task renews it

RANKS = (TaskState.EXPIRED, TaskState.OPEN, TaskState.CLAIMED)
"""Of equal priority those come first that nobody works at; the ended ones last."""

Row = dict[str, Any]


class TaskVerbs:
    """The handlers of everything that starts with `tasks_`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "tasks_list": self.listed,
            "tasks_show": self.show,
            "tasks_offer": self.offer,
            "tasks_claim": self.claim,
            "tasks_renew": self.renew,
            "tasks_release": self.release,
            "tasks_hand": self.hand,
            "tasks_done": self.done,
            "tasks_fail": self.fail,
            "tasks_withdraw": self.withdraw,
        }

    # -- looking

    async def listed(
        self,
        path: str = "",
        states: list[str] = [],  # noqa: B006 - only read; it comes from a JSON request
        owner: str = "",
        mine: bool = False,
        closed: bool = False,
        limit: int = LIMIT,
    ) -> Result:
        """The most urgent first; `counts` has all of them, by state."""
        desk, limit = self._desk, limited(limit)
        checked_states("task", states)
        wanted_owner = desk.me if mine else the_member(desk.roster, owner) if owner else None
        rows: list[Row] = []
        sources: dict[NodeId, Source] = {}
        counts: Counter[str] = Counter()
        listed = 0
        async for items in desk.items(Query(("task",), path_of(path))):
            tasks = [self._row(item) for item in items]
            counts.update(row["state"] for row in tasks)
            wanted = [
                row
                for row in tasks
                if (row["state"] in states if states else closed or row["state"] not in _task.ENDED)
                and wanted_owner in (None, row["owner"])
            ]
            listed += len(wanted)
            rows = sorted(rows + wanted, key=_rank)[:limit]
            found = [source for item in items for source in sources_of(item, desk.now_ms())]
            sources = merged([*sources.values(), *found])
        return {
            "tasks": rows,
            "total": listed,
            "counts": dict(sorted(counts.items())),
            "freshness": desk.freshness(sources.values()),
        }

    async def show(self, task: str) -> Result:
        item = self._known(task)
        facets = facets_of(item)
        for facet in facets:
            facet["versions"] = [{**each, "on": self._desk.name(each["by"])} for each in facet["versions"]]
        fresh = self._desk.freshness(sources_of(item, self._desk.now_ms()))
        return {**self._row(item), "facets": facets, "freshness": fresh}

    # -- offering

    async def offer(
        self,
        title: str,
        asset: str = "",
        details: str = "",
        priority: int = 2,
        wants: str = "",
        by: str = "",
        login: str = "",
        task: str = "",
    ) -> Result:
        """Offer a new task, or with `task` that one anew."""
        desk = self._desk
        name = task or day_name(desk.now_ms(), secrets.token_hex(4))
        item = self._known(task) if task else Item("task", name)
        with desk.kindly(Exit.USAGE):
            changes = _task.offer(
                item, title, desk.signed(by, login), path_of(asset), details, priority, wants
            )
        return await self._written(item.name, changes)

    async def withdraw(self, task: str) -> Result:
        item = self._known(task)
        with self._desk.kindly():
            changes = _task.withdraw(item, self._desk.now_ms())
        return await self._written(item.name, changes)

    # -- having

    async def claim(self, task: str, lease_s: float = LEASE_S) -> Result:
        item = self._known(task)
        with self._desk.kindly():
            changes = _task.claim(item, self._desk.me, self._time(), _ms(lease_s))
        return await self._written(item.name, changes)

    async def renew(self, task: str, lease_s: float = LEASE_S) -> Result:
        item = self._known(task)
        with self._desk.kindly():
            changes = _task.renew(item, self._desk.me, self._time(), _ms(lease_s))
        return await self._written(item.name, changes)

    async def release(self, task: str) -> Result:
        item = self._known(task)
        with self._desk.kindly():
            changes = _task.release(item, self._desk.me, self._desk.now_ms())
        return await self._written(item.name, changes)

    async def hand(self, task: str, to: str, lease_s: float | None = None) -> Result:
        """Without a lease the other has it for what is left of this node's."""
        item = self._known(task)
        node = the_member(self._desk.roster, to)
        with self._desk.kindly():
            lease_ms = None if lease_s is None else _ms(lease_s)
            changes = _task.hand_over(item, self._desk.me, node, self._time(), lease_ms)
        return await self._written(item.name, changes)

    # -- ending

    async def done(self, task: str, note: str = "", by: str = "", login: str = "") -> Result:
        item = self._known(task)
        signed = self._desk.signed(by, login)
        with self._desk.kindly():
            changes = _task.done(item, self._desk.me, self._desk.now_ms(), note, signed)
        return await self._written(item.name, changes)

    async def fail(self, task: str, note: str = "", by: str = "", login: str = "") -> Result:
        item = self._known(task)
        signed = self._desk.signed(by, login)
        with self._desk.kindly():
            changes = _task.fail(item, self._desk.me, self._desk.now_ms(), note, signed)
        return await self._written(item.name, changes)

    # -- inside

    async def _written(self, name: str, changes: Iterable[Change]) -> Result:
        dots = await self._desk.write(list(changes))
        return {"task": self._row(self._desk.item("task", name)), "dots": dots}

    def _time(self) -> int:
        return time_of(self._desk.now_ms())

    def _known(self, name: str) -> Item:
        return self._desk.known_by_beginning("task", name, "tasks list --all")

    def _row(self, item: Item) -> Row:
        now_ms = self._desk.now_ms()
        view = _task.view(item, now_ms)
        is_owned = view.state in (TaskState.CLAIMED, TaskState.EXPIRED)
        return {
            "task": item.name,
            "state": view.state.value,
            "title": view.offer.title,
            "asset": view.offer.asset,
            "details": view.offer.details,
            "priority": view.offer.priority,
            "wants": view.offer.wants,
            "offered_by": view.offer.by,
            "owner": view.owner if is_owned else None,
            "owner_name": self._desk.name(view.owner) if is_owned and view.owner else "",
            "mine": is_owned and view.owner == self._desk.me,
            "since_ms": view.since_ms or None,
            "lease_until_ms": view.lease_until_ms or None,
            "lost_claims": [self._desk.name(each) for each in view.lost_claims],
            "ended_by": view.outcome.by,
            "ended_ms": view.outcome.at_ms or None,
            "note": view.outcome.note,
            "conflict": bool(view.conflicts),
            "readable": view.is_readable,
        }


def _rank(row: Row) -> tuple[int, int, str]:
    state = TaskState(row["state"])
    place = RANKS.index(state) if state in RANKS else len(RANKS)
    return (-row["priority"] if place < len(RANKS) else 0, place, row["task"])


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
