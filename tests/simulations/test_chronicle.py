"""The chronicle: what was replaced or done with by all that was written, whatever the nodes remember."""

from crdt_state.headers import Header
from crdt_state.kinds import KINDS
from crdt_state.kinds.generation import Generation
from crdt_state.record import Dot, Record, Register, make_record
from mesh.hybrid import time_of
from mesh.ids import NodeId, short_of
from simulations.chronicle import Chronicle
from simulations.keys import node_keys

PUMP = Register("asset", "acme/pump")


def node(index: int) -> NodeId:
    return node_keys(index).identity.node


def version(author: int, seq: int, *over: Record, is_deletion: bool = False, at_ms: int = 0) -> Record:
    body = None if is_deletion else {"type": "pump"}
    dots = tuple(record.dot for record in over)
    return make_record(node_keys(author).identity, PUMP, 1, seq, time_of(at_ms or seq), dots, body)


def header(before_ms: int, *counted: int) -> Header:
    body = Generation(
        number=1, before=time_of(before_ms), counted=tuple(short_of(node(each)).hex() for each in counted)
    )
    return Header("asset", b"mark", body, version(0, 99))


def told(chronicle: Chronicle, by: int, *records: Record) -> None:
    chronicle.shown(records, node(by))


def test_a_version_is_needless_once_anybody_has_replaced_it() -> None:
    chronicle, first = Chronicle(), version(0, 1)
    told(chronicle, 0, first)
    assert not chronicle.is_needless(first)
    told(chronicle, 1, version(1, 1, first))
    assert chronicle.is_needless(first)


def test_an_authors_own_later_version_replaces_the_earlier_one() -> None:
    chronicle = Chronicle()
    told(chronicle, 0, version(0, 1), version(0, 2))
    assert chronicle.is_needless(version(0, 1))
    assert not chronicle.is_needless(version(0, 2))


def test_a_deleted_item_is_done_with_when_the_deletion_is_over_everything() -> None:
    chronicle, first, other = Chronicle(), version(0, 1), version(1, 1)
    deletion = version(0, 2, other, is_deletion=True)
    told(chronicle, 0, first, other, deletion)
    assert chronicle.is_done(deletion, header(10, 0, 1), KINDS, 1.0)


def test_it_is_not_when_a_member_that_counts_had_written_meanwhile() -> None:
    chronicle, deletion, unseen = Chronicle(), version(0, 2, is_deletion=True), version(1, 1)
    told(chronicle, 0, deletion)
    told(chronicle, 1, unseen)
    assert not chronicle.is_done(deletion, header(10, 0, 1), KINDS, 1.0)
    assert chronicle.is_done(deletion, header(10, 0), KINDS, 1.0)  # who does not count is asked later


def test_a_version_that_is_younger_than_what_everybody_had_is_not_done_with() -> None:
    chronicle, deletion = Chronicle(), version(0, 2, is_deletion=True, at_ms=20)
    told(chronicle, 0, deletion)
    assert not chronicle.is_done(deletion, header(10, 0), KINDS, 1.0)


def test_a_version_stays_replaced_when_its_replacer_was_replaced() -> None:
    chronicle, first = Chronicle(), version(0, 1)
    second = version(1, 1, first, is_deletion=True)
    third = version(1, 2)
    fourth = version(2, 1, third, is_deletion=True)
    told(chronicle, 0, first, second, third, fourth)
    assert chronicle.is_done(fourth, header(10, 0), KINDS, 1.0)


def test_what_was_let_go_is_needless_with_all_that_was_before_it() -> None:
    chronicle = Chronicle()
    chronicle.collected(version(0, 3))
    assert chronicle.is_needless(version(0, 3)) and chronicle.is_needless(version(0, 2))
    assert not chronicle.is_needless(version(0, 4))


def test_only_the_newest_acknowledged_version_is_asked_for() -> None:
    chronicle = Chronicle()
    for seq in (2, 1):
        chronicle.told(version(0, seq))
    assert [record.dot for record in chronicle.acknowledged.values()] == [Dot(node(0), 1, 2)]
    assert chronicle.writes == 2
