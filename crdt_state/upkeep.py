"""Upkeep of the shared state: holdings, generations, the conflict ledger, and alarms about the state itself."""

from collections.abc import Callable, Mapping

from crdt_state.budget import Growth
from crdt_state.claims import ClaimsWatch
from crdt_state.generations import Fetching, Generations
from crdt_state.headers import KIND as GENERATION
from crdt_state.holdings import Holdings
from crdt_state.ledger import Ledger
from crdt_state.live_frames import LiveFrames
from crdt_state.own_alarms import OwnAlarms
from crdt_state.quarantine import TABLE as ASIDE_TABLE
from crdt_state.quarantine import Quarantine
from crdt_state.record import Register
from crdt_state.redating import Redating
from crdt_state.state import WorldState
from mesh.events import Write
from mesh.now import Now
from mesh.state import DOUBT_KEY, DOUBT_TABLE

SURE_AFTER_S = 60.0  # of being among peers: documents of the largest size have been fetched by then


class Upkeep:
    """Owns what looks after the documents once they are equal."""

    def __init__(
        self,
        state: WorldState,
        saved: Mapping[str, Mapping[str, bytes]],
        fetching: Fetching,
        findings: Callable[[], dict[str, str]],
    ) -> None:
        config = state.fabric.config.world
        self._state = state
        self._findings = findings
        self.holdings = Holdings(state, config)
        self.quarantine = Quarantine(state, saved.get(ASIDE_TABLE, {}))
        self.generations = Generations(state, self.holdings, self.quarantine, config, fetching)
        self.growth = Growth(state)
        self._ledger = Ledger(state)
        self._claims = ClaimsWatch(state)
        self.frames = LiveFrames(state)
        self._alarms = OwnAlarms(state)
        self._redating = Redating(state)
        self._sure_at = float("inf")
        state.library.birth_of = self.generations.birth_of

    def start(self, now: Now) -> None:
        self.growth.start(now)
        self.frames.start(now)
        self._ledger.start(now)
        self.holdings.start(now)
        self.generations.start(now)

    def changed(self, registers: Mapping[Register, None], now: Now) -> None:
        """The versions of these have changed."""
        headers = [register.item for register in registers if register.kind == GENERATION]
        if headers:
            self.generations.follow_headers(headers, now)
        for register in registers:
            self._ledger.changed(register, now)
            self._claims.changed(register, now)

    def tick(self, now: Now) -> None:
        self.frames.tick(now)
        self._ledger.tick(now)
        self.holdings.tick(now)
        self.generations.tick(now)
        if self._alarms.is_due(now):
            self._redating.tick(now)
            self._alarms.tick(self._all_findings(now), now)
        self._dispel_doubts(now)

    def wake_at(self) -> float:
        return min(
            self.holdings.wake_at(),
            self.generations.wake_at(),
            self._ledger.wake_at(),
            self._alarms.wake_at(),
            self.frames.wake_at(),
        )

    def _dispel_doubts(self, now: Now) -> None:
        """After some time among peers a store that had lost something holds again what they know."""
        fabric, state = self._state.fabric, self._state
        if not state.has_forgotten or not fabric.links.peers():
            self._sure_at = now.mono + SURE_AFTER_S
        elif now.mono >= self._sure_at and not (fabric.is_behind_disk or self.generations.is_following()):
            state.has_forgotten = False
            fabric.persist([Write(DOUBT_TABLE, DOUBT_KEY, None)])

    def _all_findings(self, now: Now) -> dict[str, str]:
        findings = self._findings()
        state = self._state
        if state.waiting:
            authors = sorted({state.fabric.roster.name(record.author) for record in state.waiting.values()})
            findings["records-from-the-future"] = f"clocks far ahead: {', '.join(authors)}"
        if len(self.quarantine):
            findings["records-in-quarantine"] = (
                f"{len(self.quarantine)} records wait: fieldmesh quarantine show"
            )
        builders = sorted(map(state.fabric.roster.name, self.generations.blamed(now)))
        if builders:
            findings["generation-omits"] = f"built documents without what is open: {', '.join(builders)}"
        if state.has_forgotten:
            findings["own-writes-forgotten"] = "this node's store is older than what it has told its peers"
        return findings
