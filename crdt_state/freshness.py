"""Freshness: how old an answer is, and whose later word it may lack because that node cannot be heard.

A node answers from what it holds. What a member that is here wrote is held as of now, however long ago it wrote it or
its sensors measured it. What a member that is away wrote is held as of the moment since when it has been away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh.ids import NodeId


@dataclass(frozen=True, slots=True)
class Presence:
    """What membership says of one member."""

    name: str
    is_here: bool
    away_ms: int | None = None  # for how long not; None: not heard since this node started


@dataclass(frozen=True, slots=True)
class Source:
    """One member of whom an answer tells something."""

    node: NodeId
    written_ms: int  # its newest version in the answer
    measured_ms: int | None = None  # of a live frame: its newest value, by its sensors' clock


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A member of whom an answer tells something, and who may have said more since."""

    node: NodeId
    name: str
    since_ms: int | None  # None: not heard since this node started
    as_of_ms: int  # what it wrote is held as of then


@dataclass(frozen=True, slots=True)
class Freshness:
    as_of_ms: int  # now; if nothing in the answer comes from a member that is here, its oldest part
    oldest_s: float  # the age of the oldest live value, or of the oldest part of a member that is away
    unreachable: tuple[Unreachable, ...]  # by name
    others_away: int  # members that are away and have no part in the answer, but might have written to it


def merged(sources: Iterable[Source]) -> dict[NodeId, Source]:
    """One source for each member: of what it wrote the newest, of its frames the newest value."""
    found: dict[NodeId, Source] = {}
    for source in sources:
        other = found.get(source.node, source)
        measured = [each.measured_ms for each in (source, other) if each.measured_ms is not None]
        written_ms = max(source.written_ms, other.written_ms)
        found[source.node] = Source(source.node, written_ms, max(measured, default=None))
    return found


def freshness(
    sources: Iterable[Source], presences: Mapping[NodeId, Presence], me: NodeId, now_ms: int
) -> Freshness:
    """Of an answer with these sources. Who is no member any more has no later word, and does not count."""
    newest = merged(sources)
    is_any_here = not newest
    unreachable = []
    for node, source in newest.items():
        presence = presences.get(node)
        if node == me or presence is None or presence.is_here:
            is_any_here = True
        else:
            heard_ms = min(_heard_ms(source, presence, now_ms), now_ms)
            unreachable.append(Unreachable(node, presence.name, _since_ms(presence, now_ms), heard_ms))
    parts_ms = [now_ms, *(each.as_of_ms for each in unreachable)]
    measured_ms = [each.measured_ms for each in newest.values() if each.measured_ms is not None]
    away = {node for node, presence in presences.items() if not presence.is_here and node != me}
    return Freshness(
        as_of_ms=now_ms if is_any_here else min(parts_ms),
        oldest_s=(now_ms - min([*parts_ms, *measured_ms])) / 1000,
        unreachable=tuple(sorted(unreachable, key=lambda each: (each.name, each.node))),
        others_away=len(away - newest.keys()),
    )


def _heard_ms(source: Source, presence: Presence, now_ms: int) -> int:
    """As of when we have the word of a member that is away."""
    since_ms = _since_ms(presence, now_ms)
    return source.written_ms if since_ms is None else max(since_ms, source.written_ms)


def _since_ms(presence: Presence, now_ms: int) -> int | None:
    return None if presence.away_ms is None else now_ms - presence.away_ms
