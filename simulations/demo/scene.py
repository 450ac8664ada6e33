"""The scene: the demo's nodes, what is being played, and a journal of what became of it, in words."""

from collections import deque
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from simulations.demo.words import change_in_words, tone_of
from simulations.lab.picture import PeerView, View
from simulations.lab.process import NodeProcess, gone
from simulations.lab.stage import Troupe

JOURNAL_LINES_MAX = 500  # a run writes about thirty; a mesh gone mad must not fill the memory
BROKER_ENDS_WITHIN_S = 1.0  # behind its node


@dataclass(slots=True)
class Figures:
    """The measured times; None until they have come to pass."""

    mesh_formed_s: float | None = None
    detect_all_s: float | None = None
    heal_s: float | None = None


class Line(NamedTuple):
    """Something that happened. `number` goes on for ever, so that a reader knows what is new."""

    number: int
    at_s: float
    text: str
    tone: str  # "act", "aside", "deed", "good", "doubt" or "bad"


class Scene(Troupe):
    """A troupe that writes down what a person should see of it."""

    def __init__(self, processes: dict[str, NodeProcess]) -> None:
        super().__init__(processes)
        self.figures = Figures()
        self.measuring: tuple[str, float] | None = None  # the figure that is being measured, and since when
        self.journal: deque[Line] = deque(maxlen=JOURNAL_LINES_MAX)
        self._lines = 0
        self._linked: dict[frozenset[str], None] = {}
        self._statuses: dict[str, str] = {}

    async def __aexit__(self, *_: object) -> None:
        brokers = [self.processes[node].broker_pid() for node in self._running]
        await super().__aexit__()
        for pid in brokers:
            if pid is not None:
                await gone(pid, BROKER_ENDS_WITHIN_S)

    def note(self, text: str, tone: str = "deed") -> None:
        self._lines += 1
        self.journal.append(Line(self._lines, self.clock(), text, tone))

    def start(self, *nodes: str) -> None:
        super().start(*nodes)
        self._statuses.update(dict.fromkeys(nodes, "starting"))

    def kill(self, node: str) -> None:
        super().kill(node)
        self._statuses[node] = "killed"

    def admitted(self, node: str) -> None:
        """It has become a member, and does not run yet."""
        self._statuses[node] = "joined"

    def status(self, node: str) -> str:
        """What is known of the node's process, in a word or two."""
        view = self.picture.views.get(node)
        if view is None:
            return self._statuses.get(node, "not a member")
        return "hears nobody" if view.isolated and len(self._running) > 1 else "running"

    def see(self, view: View) -> None:
        before = self.picture.views.get(view.observer)
        super().see(view)
        if self.picture.views.get(view.observer) is not view or view.observer not in self._running:
            return  # it came too late
        known = before.peers if before else {}
        for peer in view.peers.values():
            self._note_change(view.observer, known.get(peer.name), peer)
        self._note_links()

    def _note_change(self, observer: str, was: PeerView | None, now: PeerView) -> None:
        if was is not None and (text := change_in_words(observer, was, now)):
            self.note(text, tone_of(now))

    def _note_links(self) -> None:
        """A link is there when both ends say so, and gone when neither does; that of the killed needs no words."""
        for one, other in combinations(self.nodes, 2):
            pair, ends = frozenset((one, other)), [self._has_link(one, other), self._has_link(other, one)]
            if all(ends) and pair not in self._linked:
                self._linked[pair] = None
                self.note(f"{one} and {other} are linked", "good")
            elif not any(ends) and pair in self._linked:
                del self._linked[pair]
                if pair <= self._running.keys():
                    self.note(f"the link between {one} and {other} is gone", "doubt")

    def _has_link(self, observer: str, peer: str) -> bool:
        said = self.picture.says((observer, peer), float("-inf"))
        return said is not None and said.linked
