"""A bounded queue by class of traffic: the urgent goes first, and what overflows is the state that sync repairs."""

from collections import deque
from typing import NamedTuple

from mesh.events import Traffic

BYTES_MAX = 4_194_304  # per peer: seconds of a slow link, not minutes
MESSAGES_MAX = 4096
DROP_ORDER = (Traffic.STATE, Traffic.MEMORY, Traffic.BULK, Traffic.ALARM, Traffic.CONTROL)
"""Anti-entropy makes lost state, memories and bulk good; alarms and control go only when nothing else is left."""


class Queued(NamedTuple):
    """One publish that waits."""

    traffic: Traffic
    topic: str
    data: bytes


class ClassQueue:
    """First in, first out within a class; classes in order of urgency."""

    def __init__(self, bytes_max: int = BYTES_MAX, messages_max: int = MESSAGES_MAX) -> None:
        self._bytes_max = bytes_max
        self._messages_max = messages_max
        self._classes: dict[Traffic, deque[Queued]] = {traffic: deque() for traffic in Traffic}
        self._bytes = 0
        self._messages = 0

    def push(self, item: Queued) -> int:
        """Put one in; how many were dropped to make room (it may itself be among them)."""
        if len(item.data) > self._bytes_max:
            return 1  # it would push everything else out and still not fit
        self._classes[item.traffic].append(item)
        self._bytes += len(item.data)
        self._messages += 1
        dropped = 0
        while self._bytes > self._bytes_max or self._messages > self._messages_max:
            self._drop_one()
            dropped += 1
        return dropped

    def pop(self) -> Queued | None:
        """The most urgent, oldest first; None when empty."""
        for waiting in self._classes.values():
            if waiting:
                return self._take(waiting)
        return None

    @property
    def bytes_waiting(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return self._messages

    def _drop_one(self) -> None:
        """The oldest of the first class in DROP_ORDER that has any."""
        for traffic in DROP_ORDER:
            if self._classes[traffic]:
                self._take(self._classes[traffic])
                return

    def _take(self, waiting: deque[Queued]) -> Queued:
        item = waiting.popleft()
        self._bytes -= len(item.data)
        self._messages -= 1
        return item
