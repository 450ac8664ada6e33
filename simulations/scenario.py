"""Scenarios: what happens to a site and what must hold, as strictly validated data files."""

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mesh.world_config import WorldConfig
from simulations.fault import Seconds
from simulations.faults import AnyFault, labels_of
from simulations.network import Shape
from simulations.plan import Mdns

NODES_MAX = 512  # a site is hundreds of nodes; more would take hours here
WELL_KNOWN = ("all", "steward", "rest")  # labels that need no pick


class ScenarioError(Exception):
    """A scenario cannot be used; the text says what to change."""


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long each thing may take in any one seed. A miss is a violation of L1 (or L6 for bytes)."""

    formed_s: Seconds = 10.0
    detect_s: Seconds = 5.0
    heal_s: Seconds = 5.0
    isolated_s: Seconds = 3.2
    equal_s: Seconds = 3.0
    exact_at_end: bool = True  # the last look at every view must agree with the truth
    idle_at_end: bool = True  # traffic of the settled window must fit the idle budget


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One experiment. Faults count their time from the end of the warm-up."""

    about: str
    duration_s: Seconds  # after the warm-up
    nodes: Annotated[int, Meta(ge=1, le=NODES_MAX)] = 10
    nodes_min: Annotated[int, Meta(ge=1, le=NODES_MAX)] = 2
    warm_up_s: Seconds = 8.0
    settle_s: Seconds = 6.0  # the last part of the run, in which traffic is measured
    jitter_s: Seconds = 0.5  # faults strike anywhere within a beat
    roster: Literal["everybody", "steward-only"] = "everybody"
    mdns: Mdns = "on"
    boot_spread_s: Seconds = 1.0
    spare_steward: bool = False  # picks do not take the steward
    network: Shape = Shape()
    world: WorldConfig = WorldConfig()
    full_mesh_max: Annotated[int, Meta(ge=0)] | None = None  # instead of the core's own
    picks: dict[str, Annotated[int, Meta(ge=1)] | Literal["half", "others"]] = {}
    faults: tuple[AnyFault, ...] = ()
    bounds: Bounds = Bounds()

    def __post_init__(self) -> None:
        for label in labels_of(self.faults):
            if label not in self.picks and label not in WELL_KNOWN:
                known = ", ".join([*self.picks, *WELL_KNOWN])
                raise ValueError(f"a fault names {label!r}, which is no pick; known are: {known}")

    @property
    def end_s(self) -> float:
        return self.warm_up_s + self.duration_s


def names() -> list[str]:
    """The scenarios that come with fieldmesh, sorted."""
    found = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def load(name: str) -> Scenario:
    """The scenario of this name, or ScenarioError."""
    if name not in names():
        raise ScenarioError(f"there is no scenario {name!r}; `fieldmesh sim list` shows those there are")
    return parse((_folder() / f"{name}.toml").read_bytes(), name)


def parse(text: bytes, name: str) -> Scenario:
    """A scenario from its TOML, or ScenarioError that names the place."""
    try:
        return msgspec.toml.decode(text, type=Scenario)
    except msgspec.DecodeError as error:
        raise ScenarioError(f"scenario {name}: {error}") from None


def _folder() -> Traversable:
    return resources.files("simulations") / "scenarios"
