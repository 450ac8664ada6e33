"""Passes what happens on to the watchers that care, and decodes each frame once for all of them."""

from mesh.events import Effect, Event, News
from mesh.wire import Frame, WireError, decode
from simulations.host import Host, Process
from simulations.watch import Watcher

_NO_FRAME = Frame(0, 0, 0, ())


class Audience:
    """Calls exactly the hooks that were overridden: most watchers look at few things, and runs are long."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []
        self._data, self._frame = b"", _NO_FRAME
        self._sort()

    def add(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)
        self._sort()

    def started(self, process: Process) -> None:
        for watcher in self._on_start:
            watcher.on_start(process)

    def event(self, process: Process, event: Event) -> None:
        for watcher in self._on_event:
            watcher.on_event(process, event)

    def handled(self, process: Process, event: Event, effects: list[Effect]) -> None:
        for watcher in self._on_handled:
            watcher.on_handled(process, event, effects)

    def copy(self, process: Process, target: Host, data: bytes) -> None:
        if self._on_copy:
            frame = self.frame_of(data)
            for watcher in self._on_copy:
                watcher.on_copy(process, target, frame)

    def news(self, process: Process, news: News) -> None:
        for watcher in self._on_news:
            watcher.on_news(process, news)

    def changed(self) -> None:
        for watcher in self._on_change:
            watcher.on_change()

    def ended(self) -> None:
        for watcher in self._on_end:
            watcher.on_end()

    def frame_of(self, data: bytes) -> Frame:
        """The decoded frame; copies of one publish follow each other, so the last one is kept."""
        if data is not self._data:
            self._data = data
            try:
                self._frame = decode(data)[0]
            except WireError:
                self._frame = _NO_FRAME
        return self._frame

    def _sort(self) -> None:
        self._on_start = self._overriding("on_start")
        self._on_event = self._overriding("on_event")
        self._on_handled = self._overriding("on_handled")
        self._on_copy = self._overriding("on_copy")
        self._on_news = self._overriding("on_news")
        self._on_change = self._overriding("on_change")
        self._on_end = self._overriding("on_end")

    def _overriding(self, hook: str) -> list[Watcher]:
        return [one for one in self._watchers if getattr(type(one), hook) is not getattr(Watcher, hook)]
