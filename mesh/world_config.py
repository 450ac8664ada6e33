"""The knobs of the shared state; defaults are for a plant, experiments turn them."""

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class WorldConfig:
    absence_days: float = 30.0  # who was not heard for longer holds up no collection, and returns as a guest
    retention_scale: float = 1.0  # of each kind's retention: how long what is closed can still be looked at
    holding_every_s: float = 5.0  # a member says what it holds at most so often, when that has changed ...
    holding_at_least_s: float = 3600.0  # ... and so often in any case
    consider_every_s: float = 60.0  # looks at each document whether it should be built anew
    rank_wait_s: float = 20.0  # the next in line builds when the one before has not

    @property
    def absence_ms(self) -> int:
        return int(self.absence_days * DAY_MS)
