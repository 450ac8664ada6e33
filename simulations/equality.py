"""How long the shared documents take to be equal everywhere."""

from dataclasses import dataclass

from simulations.host import Process
from simulations.measure import HEAL_POLL_S, Timed, Times
from simulations.memory import state_of
from simulations.scenario import Bounds
from simulations.watch import Watcher
from simulations.world import World

NOTHING = "nothing"
UNCOMPARED = ("holding",)  # what each says of what it holds follows from the rest, seconds later


@dataclass(eq=False, slots=True)
class _Equalling:
    begun_s: float
    missing: str = NOTHING  # at the last look


class Equalities(Watcher):
    """Measures from a repair to the moment when all members hold the same records. Writers should have stopped."""

    def __init__(self, world: World, bounds: Bounds, times: Times) -> None:
        super().__init__(world)
        self._bounds = bounds
        self._times = times

    def begin(self) -> None:
        """Something was repaired just now."""
        self._poll(_Equalling(self.world.clock.now_s))

    def _poll(self, equalling: _Equalling) -> None:
        taken_s = self.world.clock.now_s - equalling.begun_s
        missing = self._first_difference()
        if missing == NOTHING:
            self._times.equal.append(Timed(taken_s, equalling.missing))
        elif taken_s > self._bounds.equal_s:
            self.world.violate("L1", f"not equal after {self._bounds.equal_s} s: {missing}")
        else:
            equalling.missing = missing
            self.world.clock.after(HEAL_POLL_S, self._poll, equalling)

    def _first_difference(self) -> str:
        members = [host.process for host in self.world.truth.members() if host.process is not None]
        contents = [_digests(process) for process in members]
        for process, theirs in zip(members, contents, strict=True):
            for name in sorted({*theirs, *contents[0]}):
                if theirs.get(name) != contents[0].get(name):
                    return f"{name} of {process.host.name} and {members[0].host.name}"
        return NOTHING


def _digests(process: Process) -> dict[str, bytes]:
    state = state_of(process)
    documents = state.library.documents() if state else ()
    return {
        document.name: document.digest
        for document in documents
        if document.records and document.name.partition(":")[0] not in UNCOMPARED
    }
