"""Live values: what sources on this machine tell of their tags."""

from collections.abc import Callable
from typing import Any

from crdt_state.kinds.frame_writer import TAGS_MAX
from crdt_state.kinds.values import Quality, Value, heard
from node.desk import Desk, Result
from node.errors import FieldmeshError
from node.exits import Exit

TAGS_AT_ONCE_MAX = TAGS_MAX


class TagVerbs:
    """The handlers of everything that starts with `tags_`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {"tags_feed": self.feed}

    async def feed(
        self,
        values: dict[str, Value],
        quality: str = "good",
        source_ms: int = 0,
        gone: list[str] = [],  # noqa: B006 - only read; it comes from a JSON request
    ) -> Result:
        """Offer values for this node's live frame; the frame is written when the tags' settings say so.

        A tag may have any printable name. It is shown at its place only if the name begins with a path.
        """
        if len(values) + len(gone) > TAGS_AT_ONCE_MAX:
            raise FieldmeshError(
                f"at most {TAGS_AT_ONCE_MAX} tags at a time",
                "one node shows no more than that; feed the others on another node",
                Exit.USAGE,
            )
        if quality not in {each.value for each in Quality}:
            known = ", ".join(each.value for each in Quality)
            raise FieldmeshError(f"there is no quality {quality!r}", f"use one of: {known}", Exit.USAGE)
        at_ms = source_ms or self._desk.now_ms()
        offered = [(tag, *_heard(value, quality), at_ms) for tag, value in values.items()]
        refused = await self._desk.offer(offered, gone)
        if refused:
            named = ", ".join(refused[:3]) + (f" and {len(refused) - 3} more" if len(refused) > 3 else "")
            raise FieldmeshError(
                f"this node's frame has no room for {named}; the other {len(offered) - len(refused)} were told",
                f"a node shows at most {TAGS_MAX} tags and 48 kB of names and texts: feed some on another node, "
                "or free room with fieldmesh feed --gone",
                Exit.FAILURE,
            )
        return {"tags": len(offered), "gone": len(gone)}


def _heard(value: Value, quality: str) -> tuple[Value, str]:
    told, trust = heard(value, Quality(quality))
    return told, trust.value
