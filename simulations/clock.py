"""The virtual clock: a heap of what happens when. Nothing here reads a real one."""

import heapq
from collections.abc import Callable
from typing import Any

Act = Callable[..., None]


class Clock:
    """Runs acts in the order of their times; acts of one instant run in the order they were asked for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.acts = 0
        self._heap: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._tie = 0

    def at(self, time_s: float, act: Act, *args: Any) -> None:
        """Run the act at this time, or at once in its turn when that is in the past."""
        self._tie += 1
        heapq.heappush(self._heap, (max(time_s, self.now_s), self._tie, act, args))

    def after(self, delay_s: float, act: Act, *args: Any) -> None:
        self.at(self.now_s + delay_s, act, *args)

    def run_until(self, end_s: float) -> None:
        """Everything due up to and including `end_s`; the clock then stands at `end_s`."""
        heap = self._heap
        while heap and heap[0][0] <= end_s:
            self.now_s, _, act, args = heapq.heappop(heap)
            self.acts += 1
            act(*args)
        self.now_s = max(self.now_s, end_s)
