"""The invariants of DESIGN.md, checked at every step of a run. Each class says which one and how."""

from simulations.casting import CastChecker
from simulations.convergence import ExactViews, IdleTraffic
from simulations.endings import EndedStaysEnded, RemovedChangesNothing, StoreKeepsRoster
from simulations.inventing import NobodyInvents
from simulations.quietness import Bounded, NoReplyToReply
from simulations.rivals import ClonesAreNoticed
from simulations.watch import Watcher

CHECKERS: tuple[type[Watcher], ...] = (
    StoreKeepsRoster,  # S1
    NobodyInvents,  # S3, S5
    EndedStaysEnded,  # S4
    CastChecker,  # S7, L4, L5
    Bounded,  # S8
    NoReplyToReply,  # S8
    RemovedChangesNothing,  # S9
    ClonesAreNoticed,
)

__all__ = ["CHECKERS", "ExactViews", "IdleTraffic"]
