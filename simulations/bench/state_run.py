"""All measurements of the shared state, one after the other, in folders that are gone afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

from simulations.bench.converging import ConvergingPlan, measure_converging
from simulations.bench.durable import WritingPlan, measure_writing
from simulations.bench.propagation import PropagationPlan, measure_propagation
from simulations.bench.restarting import RestartPlan, measure_restart
from simulations.bench.run import folder_of_homes
from simulations.bench.state_report import StateReport, make_report


@dataclass(frozen=True, slots=True)
class StatePlan:
    """What to measure, and how much of it."""

    writing: WritingPlan
    propagation: PropagationPlan
    converging: ConvergingPlan
    restart: RestartPlan

    @property
    def lasts_s(self) -> float:
        return (
            self.writing.lasts_s + self.propagation.lasts_s + self.converging.lasts_s + self.restart.lasts_s
        )


async def run(plan: StatePlan, passed: Callable[[str, float], None]) -> StateReport:
    """The report. `passed` hears what is going on, and of seconds of the plan that are done."""
    with folder_of_homes() as folder:
        passed("one node writes", 0.0)
        writing = await measure_writing(folder, plan.writing)
        passed("two nodes link", plan.writing.lasts_s)
    with folder_of_homes() as folder:
        propagation = await measure_propagation(
            folder, plan.propagation, lambda s: passed("shared records and bare messages take turns", s)
        )
    with folder_of_homes() as folder:
        passed("two replicas grow apart, and become equal", 0.0)
        converged_s = await measure_converging(folder, plan.converging)
        passed("a node is filled, and starts again", plan.converging.lasts_s)
    with folder_of_homes() as folder:
        restarted_s = await measure_restart(folder, plan.restart)
        passed("done", plan.restart.lasts_s)
    return make_report(plan.propagation.rate_hz, writing, propagation, converged_s, restarted_s)
