"""Quarantine: what this node brought back from a long absence and shares with nobody until a person has decided."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from crdt_state.kinds.bodies import own_of
from crdt_state.quarantine import Aside
from crdt_state.queries import version_of
from node.desk import DONE_WAIT_S, Desk, Result
from node.errors import FieldmeshError
from node.exits import Exit

POLL_EVERY_S = 0.02
AT_ONCE_MAX = 20_000  # all that a node can have put aside
SHOWN = 1000  # records in one answer

Row = dict[str, Any]


class QuarantineVerbs:
    """The handlers of everything that starts with `quarantine_`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "quarantine_show": self.show,
            "quarantine_merge": self.merge,
            "quarantine_discard": self.discard,
        }

    async def show(self) -> Result:
        """Each record that is aside, with what stands now and what merging it would make of that."""
        aside = self._listed()
        return {"aside": [self._row(each) for each in aside[:SHOWN]], "total": len(aside)}

    async def merge(self, keys: list[str] = [], everything: bool = False) -> Result:  # noqa: B006 - only read
        return await self._decide(keys, everything, is_merged=True)

    async def discard(self, keys: list[str] = [], everything: bool = False) -> Result:  # noqa: B006 - only read
        return await self._decide(keys, everything, is_merged=False)

    # -- inside

    async def _decide(self, keys: Sequence[str], everything: bool, is_merged: bool) -> Result:
        chosen = self._chosen(keys, everything)
        rows = [self._row(each) for each in chosen[:SHOWN]]
        wanted = {each.key for each in chosen}
        self._desk.decide(sorted(wanted), is_merged)
        await self._until_decided(wanted)
        return {"decided": len(wanted), "merged": is_merged, "records": rows}

    async def _until_decided(self, keys: set[str]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DONE_WAIT_S
        while any(each.key in keys for each in self._listed()):
            if loop.time() >= deadline:
                raise FieldmeshError(
                    "the node has not taken the records over",
                    "fieldmesh status shows a counter that begins with record- or document- and says why",
                )
            await asyncio.sleep(POLL_EVERY_S)  # the core has no news of it

    def _chosen(self, keys: Sequence[str], everything: bool) -> list[Aside]:
        aside = self._listed()
        if everything:
            if not aside:
                raise FieldmeshError("nothing is in quarantine", "nothing needs to be done", Exit.USAGE)
            return aside
        known = {each.key: each for each in aside}
        strange = [key for key in keys if key not in known]
        if strange or not keys:
            what = f"nothing in quarantine has the key {strange[0]}" if strange else "no keys are given"
            raise FieldmeshError(what, "fieldmesh quarantine show lists them; --all takes all", Exit.USAGE)
        return [known[key] for key in dict.fromkeys(keys)]

    def _listed(self) -> list[Aside]:
        listed: list[Aside] = self._desk.core.world.quarantine.listed()
        return listed

    def _row(self, aside: Aside) -> Row:
        record = aside.record
        kind, item, facet = record.register
        each_observes = self._desk.core.world.state.kinds.get(kind).each_observes
        found = self._desk.item(kind, item)
        stands = own_of(found, self._desk.me, facet) if each_observes else found.facet(facet).winner()
        return {
            "key": aside.key,
            "kind": kind,
            "item": item,
            "facet": facet,
            "why": aside.why,
            "since_ms": aside.since_ms,
            "on": self._desk.name(record.author),
            **version_of(record),
            "now": None if stands is None or stands.is_deletion else version_of(stands),
            "would": _effect(None if stands is None else stands.body_bytes, record.body_bytes),
        }


def _effect(now: bytes | None, then: bytes | None) -> str:
    """What merging makes of what stands."""
    if now == then:
        return "change nothing"
    if then is None:
        return "delete it"
    return "bring it back" if now is None else "replace what stands"
