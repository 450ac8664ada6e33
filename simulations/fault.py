"""What every fault has: a moment, and a way to strike."""

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from simulations.host import Host

if TYPE_CHECKING:
    from simulations.stage import Stage

Seconds = Annotated[float, Meta(ge=0.0, le=1e7)]
Times = Annotated[int, Meta(ge=1, le=1_000_000)]
Label = Annotated[str, Meta(min_length=1, max_length=40)]
Measure = Literal["detect", "heal", "equal"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """`at_s` counts from the end of the warm-up; `measure` times how long the nodes take to settle on it."""

    at_s: Seconds
    measure: Measure | None = None

    def strike(self, stage: "Stage") -> None:
        raise NotImplementedError

    def labels(self) -> tuple[str, ...]:
        """The picks that this fault names."""
        return ()


class At(Fault, frozen=True, kw_only=True):
    """A fault that befalls some hosts, each alike."""

    who: Label

    def strike(self, stage: "Stage") -> None:
        for host in stage.hosts(self.who):
            self.befall(stage, host)

    def befall(self, stage: "Stage", host: Host) -> None:
        raise NotImplementedError

    def labels(self) -> tuple[str, ...]:
        return (self.who,)
