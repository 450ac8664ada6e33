"""A node's core, and somebody who looks over its shoulder: what is in its view is known before the disk has it."""

from collections.abc import Callable
from typing import Any, cast

from mesh.events import Effect, Event, RecordsChanged
from mesh.now import Now
from node.core import NodeCore


def watched(core: NodeCore, saw: Callable[[RecordsChanged], None]) -> NodeCore:
    """The same core; `saw` hears at once what has changed in its view."""
    return cast(NodeCore, _Watched(core, saw))


class _Watched:
    def __init__(self, core: NodeCore, saw: Callable[[RecordsChanged], None]) -> None:
        self._core = core
        self._saw = saw

    def handle(self, event: Event, now: Now) -> list[Effect]:
        effects = self._core.handle(event, now)
        for effect in effects:
            if isinstance(effect, RecordsChanged):
                self._saw(effect)
        return effects

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)
