"""What the shared kinds ought to say, worked out the slow and plain way from every write there ever was.

Nothing here is bounded, replaced or merged: the model knows each write, and what its author had seen when it wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crdt_state.record import Body, Record, Register

WEEK, DAY = 7 * 86_400_000, 86_400_000


@dataclass(frozen=True)
class Write:
    number: int  # in the order in which they happened
    register: Register
    author: str
    time: int
    body: Body | None
    seen: frozenset[int]  # writes of the same register

    @property
    def ms(self) -> int:
        return self.time >> 16

    def get(self, field: str, kind: type, default: Any) -> Any:
        """A field of the body; the default when it is missing or of another type."""
        value = (self.body or {}).get(field, default)
        return value if type(value) is kind else default


class Model:
    """Every write, and whose eyes it has come to."""

    def __init__(self, places: int) -> None:
        self.writes: list[Write] = []
        self._numbers: dict[object, int] = {}
        self._seen: list[set[int]] = [set() for _ in range(places)]

    def wrote(self, place: int, record: Record, body: Body | None) -> None:
        number = len(self.writes)
        seen = frozenset(  # of this register: what was written elsewhere may have come here without it
            each for each in self._seen[place] if self.writes[each].register == record.register
        )
        self.writes.append(Write(number, record.register, record.author, record.time, body, seen))
        self._numbers[record.dot] = number
        self._seen[place].add(number)

    def met(self, place: int, record: Record) -> None:
        number = self._numbers[record.dot]
        self._seen[place] |= {number, *self.writes[number].seen}

    def heads(self, kind: str, item: str, facet: str = "") -> list[Write]:
        """The writes of a register that nobody who wrote to it later had seen, the winner first."""
        every = self._of(kind, item, facet)
        heads = [one for one in every if not any(one.number in other.seen for other in every)]
        return sorted(heads, key=lambda each: (each.time, each.author), reverse=True)

    def latest(self, kind: str, item: str, facet: str = "") -> dict[str, Write]:
        """By author its last write that is no deletion."""
        last = {each.author: each for each in self._of(kind, item, facet)}
        return {author: last[author] for author in sorted(last) if last[author].body is not None}

    def winner(self, kind: str, item: str, facet: str = "") -> Body | None:
        heads = self.heads(kind, item, facet)
        return heads[0].body if heads else None

    def is_disputed(self, kind: str, item: str, facet: str = "") -> bool:
        heads = self.heads(kind, item, facet)
        return any(each.body != heads[0].body for each in heads)

    def _of(self, kind: str, item: str, facet: str) -> list[Write]:
        return [each for each in self.writes if each.register == (kind, item, facet)]


# ---------------------------------------------------------------- what each kind ought to say


def asset(model: Model, item: str, _: int) -> object:
    is_listed = model.winner("asset", item) is not None
    return is_listed, plain("asset", model, item, "unit", ""), model.is_disputed("asset", item)


def fact(model: Model, item: str, now: int) -> object:
    told = model.latest("fact", item)
    fresh = {
        author: each.body.get("value")
        for author, each in told.items()
        if each.body is not None
        and not isinstance(each.body.get("value"), list)  # that nobody can read
        and each.get("quality", str, "good") == "good"
        and now - min(each.get("observed_ms", int, 0) or each.ms, each.ms) < 600_000
    }
    values = list(fresh.values())
    agree = len(set(values)) == 1
    disagreeing = tuple(fresh.items()) if len(set(values)) > 1 else ()
    return tuple(told), values[0] if agree else None, agree, disagreeing


def alarm(model: Model, item: str, now: int) -> object:
    heads = [each for each in model.heads("alarm", item, "condition") if each.body is not None]
    active = [each for each in heads if each.get("active", bool, False)]
    acks = [each for each in model.heads("alarm", item, "ack") if each.body is not None]
    done = {occurrence for ack in acks for occurrence in ack.get("occurrences", list, [])}
    in_view = {each.get("occurrence", str, "") for each in active} | {
        each.get("occurrence", str, "") for each in heads if each.get("occurrence", str, "")
    }
    open_ones = in_view - done
    names = ("unacknowledged", "returned") if open_ones else ("acknowledged", "normal")
    underlying = names[0] if active else names[1]
    ackers = {ack.author for ack in acks if in_view & set(ack.get("occurrences", list, []))}
    severity = max((each.get("severity", int, 2) for each in active), default=None)
    state = _out_of_sight(model, item, now) or underlying
    return state, underlying, bool(active), open_ones, ackers, severity


def _out_of_sight(model: Model, item: str, now: int) -> str | None:
    if _all(model.heads("alarm", item, "service"), lambda each: each.get("out", bool, False)):
        return "out-of-service"
    if _all(model.heads("alarm", item, "suppression"), lambda each: each.get("active", bool, False)):
        return "suppressed"
    shelvings = model.heads("alarm", item, "shelving")
    if _all(shelvings, lambda each: min(each.get("until_ms", int, 0), each.ms + WEEK) > now):
        return "shelved"
    return None


def _all(heads: list[Write], test: Callable[[Write], bool]) -> bool:
    return bool(heads) and all(each.body is not None and test(each) for each in heads)


def task(model: Model, item: str, now: int) -> object:
    status = (model.winner("task", item, "outcome") or {}).get("status", "")
    offers = model.heads("task", item, "offer")
    claims = [each for each in model.heads("task", item, "claim") if each.body is not None]
    running = [each for each in claims if min(each.get("until_ms", int, 0), each.ms + DAY) > now]
    first = min(
        running, key=lambda each: (min(each.get("since", int, 0), each.time), each.author), default=None
    )
    shown = first or (claims[0] if claims else None)
    owner = shown and _holder(shown)
    if status in ("done", "failed"):
        state = status
    elif offers and (offers[0].body is None or offers[0].get("withdrawn", bool, False)):
        state = "withdrawn"
    elif claims:
        state = "claimed" if running else "expired"
    else:
        state = "open"
    return state, owner, {_holder(each) for each in claims} - {owner}


def _holder(claim: Write) -> str:
    return claim.get("handed_to", str, "") or claim.author


def advisory(model: Model, item: str, now: int) -> object:
    told = model.latest("advisory", item, "feedback")
    verdicts = {
        author: each.get("verdict", str, "")
        for author, each in told.items()
        if each.get("verdict", str, "") in ("useful", "wrong")
    }
    return plain("advisory", model, item, "text", ""), verdicts, model.is_disputed("advisory", item)


def own(kind: str, model: Model, owner: str, field: str, default: Any) -> Any:
    """What a node says of itself; nobody else's word counts."""
    told = model.latest(kind, owner).get(owner)
    return default if told is None else told.get(field, type(default), default)


def plain(kind: str, model: Model, item: str, field: str, default: Any) -> Any:
    """What the winner says."""
    value = (model.winner(kind, item) or {}).get(field, default)
    return value if type(value) is type(default) else default
