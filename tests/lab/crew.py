"""A crew of stand-ins, and a lab that runs with them as a process of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path

STANDIN = Path(__file__).with_name("standin.py")


class StandIns:
    """The lab's crew when the lab itself is under test."""

    def __init__(self, program: Path = STANDIN) -> None:
        self._program = program
        self._nodes: list[str] = []

    def provision(self, folder: Path, nodes: Sequence[str]) -> dict[str, Path]:
        self._nodes = list(nodes)
        homes = {node: folder / node for node in nodes}
        for home in homes.values():
            home.mkdir()
        return homes

    def command(self, home: Path) -> list[str]:
        return [sys.executable, "-S", str(self._program), str(home), home.name, *self._nodes]

    def socket(self, home: Path) -> Path:
        return home / "run" / "control.sock"


def main() -> None:
    """`python -m tests.lab.crew SCENARIO CUT_S`: prints its name when the mesh stands, then plays to the end."""
    from simulations.lab.interrupt import run_until_signal
    from simulations.lab.names import LabName
    from simulations.lab.run import Plan, run
    from simulations.lab.scenarios import SCENARIOS
    from simulations.lab.stage import Stage

    class Announce:
        async def show(self, stage: Stage) -> None:
            await stage.until(lambda _: "" if stage.timeline[-1].phase == "strike" else "not yet", 60)
            sys.stdout.write(f"{LabName.mine()}\n")
            sys.stdout.flush()

    plan = Plan(SCENARIOS[sys.argv[1]], nodes=3, cut_s=float(sys.argv[2]), calm_s=0.2)
    run_until_signal(run(plan, StandIns(), Announce()))


if __name__ == "__main__":
    main()
