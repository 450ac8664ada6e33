"""The demo's report: three figures, and whether every invariant held."""

import msgspec

from simulations.demo.scene import Scene
from simulations.lab.judge import Violation


class Report(msgspec.Struct, frozen=True):
    """A figure is None when what it measures did not come to pass."""

    mesh_formed_s: float | None
    detect_all_s: float | None
    heal_s: float | None
    violations: list[Violation]

    @classmethod
    def of(cls, scene: Scene) -> "Report":
        figures = scene.figures
        violations = list(scene.judge.violations)
        return cls(figures.mesh_formed_s, figures.detect_all_s, figures.heal_s, violations)

    def as_json(self) -> dict[str, object]:
        plain: dict[str, object] = msgspec.to_builtins(self)
        return plain
