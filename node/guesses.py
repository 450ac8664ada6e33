"""Who has tried wrong secrets lately."""

from collections import deque

WRONG_MAX = (
    10  # typing errors are caught by a token's checksum: ten wrong secrets a minute is somebody guessing
)
WINDOW_S = 60.0
ADDRESSES_MAX = (
    256  # the oldest is forgotten: 128-bit secrets stand by themselves, this only keeps the noise down
)


class Guesses:
    """Counts refusals by address."""

    def __init__(self) -> None:
        self._wrong: dict[str, deque[float]] = {}

    def is_blocked(self, address: str, now: float) -> bool:
        times = self._wrong.get(address)
        if times is None:
            return False
        while times and now - times[0] > WINDOW_S:
            times.popleft()
        return len(times) >= WRONG_MAX

    def wrong(self, address: str, now: float) -> None:
        times = self._wrong.pop(address, deque(maxlen=WRONG_MAX))
        times.append(now)
        if len(self._wrong) >= ADDRESSES_MAX:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = times
