"""Verdicts on what a node holds and a new generation lacks, one by one."""

from collections.abc import Iterable

from crdt_state.context import Context
from crdt_state.headers import Header
from crdt_state.kinds import KINDS
from crdt_state.kinds.generation import Generation
from crdt_state.record import Record, Register, make_record
from crdt_state.verdicts import Case, Judge, Verdict, things_of
from mesh.hybrid import time_of
from tests.crdt_state.records import DAY, IDENTITIES, NOW, Cut

HEADER = Header(
    "asset",
    b"mark",
    Generation(number=1, before=time_of(NOW + 20 * DAY)),
    make_record(
        IDENTITIES[4], Register("generation", "asset"), 1, 1, time_of(NOW + 20 * DAY), (), {"number": 1}
    ),
)


def judged(
    held: Iterable[Record],
    seen: Iterable[Record],
    content: Iterable[Record] = (),
    is_guest: bool = False,
    is_known: bool = True,
) -> list[str]:
    """The verdict on each that is held and is not in the content, in their order."""
    context, kept = Context(), list(content)
    context.join_dots(record.dot for record in seen)
    ours = {record.key: record for record in held}
    lacking = [key for key, record in ours.items() if record not in kept]
    judge = Judge(Case(HEADER, context, is_guest, is_known), KINDS, 1.0)
    verdicts: dict[str, Verdict] = judge.decide(ours, kept, lacking, things_of(kept))
    return [verdict.value for verdict in verdicts.values()]


def records(cut: Cut) -> list[Record]:
    return [record for replica in cut.replicas for record in replica.records.values()]


def one(kind: str = "asset", name: str = "site/tank", deleted: bool = False) -> list[Record]:
    cut = Cut(kind, name)
    cut.raw(0, "", None if deleted else {"type": "tank"})
    return list(cut.replicas[0].records.values())


def test_what_the_builder_had_not_seen_is_new() -> None:
    assert judged(one(), seen=()) == ["kept"]
    assert judged(one(), seen=(), is_guest=True) == ["kept"]


def test_what_is_open_is_put_back_by_who_was_asked_and_put_aside_by_who_was_not() -> None:
    assert judged(one(), seen=one()) == ["put back"]
    assert judged(one(), seen=one(), is_guest=True) == ["put aside"]
    assert judged(one(), seen=one(), is_guest=True, is_known=False) == ["kept"]


def test_what_is_of_a_kind_that_is_not_known_here_may_be_closed_and_nobody_is_blamed() -> None:
    newer = one("newer-kind")
    assert judged(newer, seen=newer) == ["dropped"]
    assert judged(newer, seen=newer, is_guest=True) == ["put aside"]
    assert judged(newer, seen=newer, content=newer) == []


def test_what_is_dated_later_than_the_header_cannot_have_been_seen_whatever_it_claims() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "tank"}, NOW + 21 * DAY)
    (later,) = cut.replicas[0].records.values()
    assert judged([later], seen=[later]) == ["kept"]
    assert judged([later], seen=[later], is_guest=True) == ["kept"]


def test_what_is_done_with_is_dropped() -> None:
    gone = one(deleted=True)
    assert judged(gone, seen=gone) == ["dropped"]
    assert judged(gone, seen=gone, is_guest=True) == ["dropped"]


def test_what_was_replaced_is_dropped_also_when_its_replacement_is_new() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "old"})
    cut.heal()
    cut.raw(1, "", {"type": "new"})
    old = list(cut.replicas[0].records.values())
    new = [record for record in cut.replicas[1].records.values() if record not in old]
    assert judged([*old, *new], seen=old, is_guest=False) == ["dropped", "kept"]
    assert judged([*old, *new], seen=old, is_guest=True) == ["dropped", "put aside"]
    assert judged([*old, *new], seen=old, content=new, is_guest=True) == ["dropped"]


def test_what_lives_on_can_be_written_to_by_who_was_away() -> None:
    cut = Cut("task", "20261121-1")
    cut.raw(0, "offer", {"title": "clean"})
    cut.heal()
    cut.raw(1, "claim", {"owner": "b"})
    offer = list(cut.replicas[0].records.values())
    claim = [record for record in cut.replicas[1].records.values() if record not in offer]
    assert judged([*offer, *claim], seen=offer, content=offer, is_guest=True) == ["kept"]
    assert judged([*offer, *claim], seen=offer, is_guest=True) == ["put aside", "put aside"]


def test_a_version_beside_one_that_lives_cannot_have_been_seen() -> None:
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "left"})
    cut.raw(1, "", None)
    left, deletion = cut.replicas[0].records.values(), cut.replicas[1].records.values()
    assert judged(deletion, seen=[*left, *deletion], content=left) == ["kept"]
    assert judged(deletion, seen=[*left, *deletion], content=left, is_guest=True) == ["dropped"]


def test_a_new_activation_does_not_bring_back_the_old_alarms_facets() -> None:
    cut = Cut("alarm", "site/line#hot")
    cut.raw(0, "condition", {"active": True, "occurrence": "old", "severity": 2})
    cut.raw(0, "ack", {"occurrences": ["old"], "by": "ann"})
    cut.heal()
    cut.raw(1, "condition", {"active": True, "occurrence": "new", "severity": 2})
    old = list(cut.replicas[0].records.values())
    new = [record for record in cut.replicas[1].records.values() if record not in old]
    assert judged([*old, *new], seen=old, is_guest=True) == ["dropped", "dropped", "kept"]


def test_who_has_written_to_a_thing_since_it_was_done_with_keeps_all_of_it() -> None:
    cut = Cut("task", "20261121-1")
    cut.raw(0, "offer", {"title": "clean"})
    cut.raw(0, "outcome", {"status": "done"})
    cut.heal()
    done = list(cut.replicas[0].records.values())
    cut.raw(1, "claim", {"owner": "b"}, NOW + 10 * DAY)
    claim = [record for record in cut.replicas[1].records.values() if record not in done]
    assert judged([*done, *claim], seen=done) == ["kept"] * 3
    assert judged(done, seen=done) == ["dropped"] * 2


def test_what_a_former_version_had_replaced_stays_gone_though_the_next_does_not_name_it() -> None:
    """Its author has collected both since; the member that follows still holds what they were."""
    cut = Cut("asset", "site/tank")
    cut.raw(0, "", {"type": "old"})
    cut.heal()
    cut.raw(1, "", None)
    old = list(cut.replicas[0].records.values())
    (deletion,) = [record for record in cut.replicas[1].records.values() if record not in old]
    identity = next(each for each in IDENTITIES if each.node == deletion.author)
    again = make_record(identity, deletion.register, 2, 1, time_of(NOW + DAY), (), {"type": "new"})
    context = Context()
    context.join_dots(record.dot for record in (*old, deletion))
    held = {record.key: record for record in (*old, again)}
    judge = Judge(Case(HEADER, context, is_guest=False), KINDS, 1.0)
    verdicts = judge.decide(held, [again], [old[0].key], things_of([again]), [*old, deletion])
    assert verdicts == {old[0].key: Verdict.DROPPED}
