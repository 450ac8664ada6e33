"""What may be asked of the world as a whole: places, items, documents, proof and growth; and writing any register."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from crdt_state.freshness import Source
from crdt_state.item import Change, evolved
from crdt_state.kinds import KINDS
from crdt_state.kinds.paths import children_of
from crdt_state.queries import LIMIT, Query, Row, facets_of, row_of, sources_of, tags_at
from crdt_state.record import Register
from crdt_state.shapes import check_body, check_facet, check_places
from node.alarm_verbs import AlarmVerbs, urgency
from node.conflict_verbs import ConflictVerbs
from node.desk import Desk, Driver, Result, checked_states, found_in, limited, path_of, trimmed
from node.errors import FieldmeshError
from node.exits import Exit
from node.fact_verbs import FactVerbs
from node.members import the_author
from node.quarantine_verbs import QuarantineVerbs
from node.tag_verbs import TagVerbs
from node.task_verbs import TaskVerbs
from node.world_streams import exported, watched

CHILDREN_MAX = 200  # places below a place; who wants more asks for a list
TAGS_MAX = 500  # live values shown with a place
SCAN_LIMIT = 5_000  # items of a kind looked at for a place: the totals do not go beyond it
PLACED = ("fact", "alarm", "task", "advisory")  # what is shown with a place, beside its asset and live values


class WorldVerbs:
    """The handlers of everything that starts with `world_`, and with them those of every kind."""

    def __init__(self, driver: Driver) -> None:
        self._desk = Desk(driver)

    def handlers(self) -> dict[str, Callable[..., Any]]:
        desk = self._desk
        handlers: dict[str, Callable[..., Any]] = {
            "world_place": self.place,
            "world_get": self.get,
            "world_set": self.set,
            "world_list": self.listed,
            "world_watch": self.watch,
            "world_export": self.export,
            "world_documents": self.documents,
            "world_verify": self.verify,
            "world_budget": self.budget,
        }
        for verbs in (
            AlarmVerbs(desk),
            TaskVerbs(desk),
            FactVerbs(desk),
            ConflictVerbs(desk),
            TagVerbs(desk),
        ):
            handlers |= verbs.handlers()
        return handlers | QuarantineVerbs(desk).handlers()

    # -- reading

    async def place(self, path: str = "") -> Result:
        """All that is known at a path and below: the asset, live values, facts, standing alarms, open tasks.

        Of each it tells how many there are in all (`tags_total`), whether or not there is room to show them.
        """
        desk, path = self._desk, trimmed(path)
        now_ms = desk.now_ms()
        item = desk.view.item("asset", path)
        item = None if item is None or item.is_deleted else item
        tags, sources = tags_at(desk.view, path, now_ms)
        found: dict[str, list[Row]] = {}
        for kind in ("asset", *PLACED):
            query = Query((kind,), path, standing_only=True)
            found[kind], more = await found_in(desk, query, SCAN_LIMIT)
            sources += more
        below = children_of((row["item"] for row in found["asset"]), path)
        below = tuple(each for each in below if each != path)
        if path and item is None and not tags and not any(found.values()):
            path_of(path)  # which refuses what can be no path; tags may be named as they like
            raise FieldmeshError(
                f"nothing is known at {path}", "fieldmesh world list asset shows the places", Exit.USAGE
            )
        return {
            "path": path,
            "asset": None if item is None else self._named(row_of(item, now_ms)),
            "below": list(below[:CHILDREN_MAX]),
            "below_total": len(below),
            "tags": [{**tag, "on": desk.name(tag["by"])} for tag in tags[:TAGS_MAX]],
            "tags_total": len(tags),
            "facts": self._all_named(found["fact"][:LIMIT]),
            "facts_total": len(found["fact"]),
            "alarms": self._all_named(sorted(found["alarm"], key=_urgency)[:LIMIT]),
            "alarms_total": len(found["alarm"]),
            "tasks": self._all_named(found["task"][:LIMIT]),
            "tasks_total": len(found["task"]),
            "advisories": self._all_named(found["advisory"][:LIMIT]),
            "advisories_total": len(found["advisory"]),
            "freshness": desk.freshness(sources),
        }

    async def get(self, kind: str, item: str) -> Result:
        """One item: as it is understood, and every concurrent version of its facets.

        What is named after a node's id may be asked for by the member's name.
        """
        desk = self._desk
        found = desk.view.item(self._kind(kind), self._owner(kind, item))
        if found is None:
            raise FieldmeshError(
                f"there is no {kind} called {item}", f"fieldmesh world list {kind} shows them", Exit.USAGE
            )
        now_ms = desk.now_ms()
        facets = facets_of(found)
        for facet in facets:
            facet["versions"] = [{**each, "on": desk.name(each["by"])} for each in facet["versions"]]
        fresh = desk.freshness(sources_of(found, now_ms))
        return {**self._named(row_of(found, now_ms)), "facets": facets, "freshness": fresh}

    async def listed(
        self,
        kind: str = "",
        path: str = "",
        author: str = "",
        states: list[str] = [],  # noqa: B006 - only read; it comes from a JSON request
        closed: bool = False,
        limit: int = LIMIT,
        after: str = "",
    ) -> Result:
        """Items by kind, place, author and state; `more`, if there is any, is the `after` of the next question."""
        desk = self._desk
        query = self._query(kind, path, author, states, closed)
        rows: list[Row] = []
        sources: list[Source] = []
        more = ""
        with desk.kindly(Exit.USAGE):
            async for found in desk.slices(query, after, limited(limit)):
                rows.extend(found.rows)
                sources.extend(found.sources)
                more = found.more
        return {"items": self._all_named(rows), "more": more, "freshness": desk.freshness(sources)}

    def watch(
        self,
        kinds: list[str] = [],  # noqa: B006 - only read; it comes from a JSON request
        path: str = "",
        snapshot: bool = True,
    ) -> AsyncIterator[Result]:
        """How things stand, then every change, until the caller goes."""
        query = Query(tuple(self._kind(each) for each in kinds), path_of(path))
        return watched(self._desk, query, snapshot)

    def export(self, kinds: list[str] = []) -> AsyncIterator[Result]:  # noqa: B006 - only read
        """Every record that this node holds, some at a time."""
        return exported(self._desk, tuple(self._kind(each) for each in kinds))

    # -- writing

    async def set(
        self, kind: str, item: str, body: dict[str, Any] | None, facet: str = "", merge: bool = False
    ) -> Result:
        """Write a facet. With `merge` the fields that are not given stay, and those given as null go."""
        desk = self._desk
        with desk.kindly(Exit.USAGE):
            check_facet(kind, facet)
            if body is not None and merge:
                body = evolved(desk.item(kind, item).value(facet), **body)
            if body is not None:  # what has an impossible name may still be deleted
                check_places(kind, item, body)
            unknown = () if body is None else check_body(kind, facet, body)
        if body is None and desk.view.item(kind, item) is None:
            raise FieldmeshError(
                f"there is no {kind} called {item}", f"fieldmesh world list {kind} shows them", Exit.USAGE
            )
        dots = await desk.write([Change(Register(kind, item, facet), body)])
        return {
            "kind": kind,
            "item": item,
            "facet": facet,
            "body": body,
            "dot": dots[0],
            "unknown_fields": list(unknown),
        }

    # -- documents

    async def documents(self) -> Result:
        """Every document that this node holds, with its digest and generation."""
        state = self._desk.core.world.state
        documents = sorted(state.library.documents(), key=lambda each: each.name)
        return {
            "documents": [
                {
                    "document": each.name,
                    "records": len(each.records),
                    "bytes": each.bytes_held,
                    "digest": each.digest.hex(),
                    "generation": self._generation(each.name),
                    "mark": each.mark.hex(),
                    "astray": len(each.astray),
                    "whole": each.is_whole,
                }
                for each in documents
            ],
            "waiting": len(state.waiting),
        }

    async def verify(self) -> Result:
        """What every member says that it holds of each document, against what this node holds."""
        desk = self._desk
        now_ms = desk.now_ms()
        documents = msgspec.to_builtins(desk.core.world.verify(desk.now()))
        for document in documents:
            document["members"] = [{**each, "name": desk.name(each["node"])} for each in document["members"]]
        members = [each for document in documents for each in document["members"]]
        standings = {each["standing"] for each in members}
        return {
            "documents": documents,
            "equal": standings <= {"equal"},
            "diverged": "diverged" in standings,
            "at_ms": now_ms,
            "freshness": desk.freshness(Source(each["node"], each["as_of_ms"]) for each in members),
        }

    async def budget(self) -> Result:
        """What the shared state weighs, who makes it grow, and when it will be full."""
        found: Result = msgspec.to_builtins(self._desk.core.world.budget(self._desk.now()))
        return found

    # -- inside

    def _query(self, kind: str, path: str, author: str, states: list[str], closed: bool) -> Query:
        node = the_author(self._desk.roster, author) if author else ""
        kinds = (self._kind(kind),) if kind else ()
        is_standing = not closed and not states
        return Query(kinds, path_of(path), node, checked_states(kind, states), standing_only=is_standing)

    def _kind(self, kind: str) -> str:
        """A kind that this release knows, or of which records are carried."""
        known = [*KINDS.names(), *self._desk.view.kinds()]
        if kind not in known:
            raise FieldmeshError(
                f"there is no kind {kind!r}", f"one of: {', '.join(dict.fromkeys(known))}", Exit.USAGE
            )
        return kind

    def _owner(self, kind: str, item: str) -> str:
        """The item's name: of what a node alone writes, the id of the member that is called so."""
        roster = self._desk.roster
        if KINDS.get(kind).writers != "owner" or roster.find(item) is None:
            return item
        return the_author(roster, item)

    def _generation(self, document: str) -> int:
        value = self._desk.item("generation", document).value() or {}
        number = value.get("number", 0)
        return number if isinstance(number, int) else 0

    def _named(self, row: Mapping[str, Any]) -> Row:
        return {**row, "on": self._desk.name(row["by"])}

    def _all_named(self, rows: list[Row]) -> list[Row]:
        return [self._named(row) for row in rows]


def _urgency(row: Row) -> tuple[int, int, int, str]:
    fields = row["fields"]
    return urgency(row["state"], fields["severity"], fields["since_ms"], row["item"])
