"""Contexts: which writes have been seen, by author and run, so that what is missing is known to be gone, not new."""

from collections.abc import Callable, Iterable, Mapping

from crdt_state.record import Dot
from mesh.ids import NodeId

RUNS_MAX = 4  # per author, the newest
"""What is older counts as seen: that errs towards asking a person, not towards losing."""

DIGITS_MAX = 19  # of a run's number: what 64 bits hold


class Context:
    """For each author's runs the highest number seen. Gaps do not show: an author's writes arrive in order."""

    def __init__(self, tops: Mapping[NodeId, Mapping[int, int]] | None = None) -> None:
        self._tops: dict[NodeId, dict[int, int]] = {
            author: dict(runs) for author, runs in (tops or {}).items()
        }

    def note(self, dot: Dot) -> None:
        runs = self._tops.setdefault(dot.author, {})
        if runs.get(dot.run, 0) < dot.seq:
            runs[dot.run] = dot.seq
            if len(runs) > RUNS_MAX:
                del runs[min(runs)]

    def covers(self, dot: Dot) -> bool:
        """Whether that write has been seen, or belongs to a run too old to tell."""
        runs = self._tops.get(dot.author)
        if not runs:
            return False
        top = runs.get(dot.run)
        return dot.seq <= top if top is not None else dot.run < max(runs) and len(runs) == RUNS_MAX

    def last_of(self, author: NodeId) -> tuple[int, int]:
        """The author's newest run that has been seen, and its highest number; zeros for none."""
        return max(self._tops.get(author, {}).items(), default=(0, 0))

    def join(self, other: "Context") -> None:
        self.join_dots(other.dots())

    def join_dots(self, dots: Iterable[Dot]) -> None:
        for dot in dots:
            self.note(dot)

    def copy(self) -> "Context":
        return Context(self._tops)

    def dots(self) -> list[Dot]:
        """The highest of every author and run."""
        return [
            Dot(author, run, runs[run]) for author, runs in sorted(self._tops.items()) for run in sorted(runs)
        ]

    def of(self, is_author: Callable[[NodeId], bool]) -> "Context":
        """Of these authors only."""
        return Context({author: runs for author, runs in self._tops.items() if is_author(author)})

    def plain(self) -> dict[str, dict[str, int]]:
        """For a record's body, whose keys are texts."""
        return {
            author: {str(run): top for run, top in sorted(runs.items())}
            for author, runs in sorted(self._tops.items())
        }


def context_of(plain: Mapping[str, Mapping[str, int]]) -> Context:
    """The inverse; what is not a number is left out."""
    context = Context()
    for author, runs in plain.items():
        for run, top in runs.items():
            if len(run) <= DIGITS_MAX and run.isascii() and run.isdecimal() and top > 0:
                context.note(Dot(NodeId(author), int(run), top))
    return context
