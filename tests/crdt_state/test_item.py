from crdt_state.item import Item, Versions, evolved, items_of
from crdt_state.record import Dot, Record, Register, make_record
from mesh.hybrid import time_of
from mesh.ids import NodeId
from tests.crdt_state.documents import Writing
from tests.mesh.site import WALL_MS

W = Writing()
REGISTER = Register("asset", "a/pump")
A, B, C = (identity.node for identity in W.identities)


def versions(*records: Record) -> Versions:
    found = Versions(REGISTER)
    for record in records:
        found.put(record)
    return found


def test_a_register_that_nobody_wrote_holds_nothing() -> None:
    assert versions().value() is None and versions().winner() is None and not versions()


def test_a_version_that_has_seen_another_replaces_it() -> None:
    first = W.record(body={"n": 1}, ms=WALL_MS + 9)
    second = W.record(body={"n": 2}, by=1, over=(first.dot,))
    assert versions(first, second).heads() == [second]
    assert versions(second, first).value() == {"n": 2}


def test_concurrent_versions_are_both_kept_and_the_later_one_counts() -> None:
    early, late = W.record(body={"n": 1}, by=1), W.record(body={"n": 2}, by=0, ms=WALL_MS + 1)
    assert versions(early, late).heads() == [late, early]


def test_at_equal_times_the_higher_author_counts() -> None:
    low, high = W.record(body={"n": 1}, by=0), W.record(body={"n": 2}, by=1)
    assert versions(high, low).value() == {"n": 2}


def test_a_deletion_that_wins_leaves_nothing() -> None:
    written = W.record(body={"n": 1})
    deleted = make_deletion(written.dot)
    assert versions(written, deleted).value() is None
    assert items_of([written, deleted])["asset", "a/pump"].is_deleted


def make_deletion(over: Dot) -> Record:
    return make_record(W.identity(1), REGISTER, 1, 999, time_of(WALL_MS + 5), (over,), None)


def test_the_next_version_is_over_everything_that_its_author_has_seen() -> None:
    old = Dot(C, 1, 3)
    one, two = W.record(by=0, seq=50), W.record(by=1, seq=60, over=(old,))
    assert set(versions(one, two).dots(A)) == {Dot(B, 1, 60), old}
    assert set(versions(one, two).dots(C)) == {Dot(A, 1, 50), Dot(B, 1, 60)}


def test_a_version_over_hundreds_of_made_up_ones_is_not_the_last() -> None:
    made_up = tuple(Dot(NodeId(f"nobody{number}"), 1, 1) for number in range(256))
    forged = W.record(by=1, seq=62, over=made_up)
    honest = W.record(by=2, seq=63)
    over = versions(forged, honest).dots(A)
    assert len(over) == 255 and {Dot(B, 1, 62), Dot(C, 1, 63)} < set(over)
    answer = W.record(by=0, over=(*over, Dot(A, 1, 1)))
    assert versions(forged, honest, answer).heads() == [answer]


def test_a_version_is_taken_out_only_while_it_is_the_one_that_is_there() -> None:
    old, new = W.record(seq=70), W.record(seq=71)
    found = versions(old, new)
    found.take_out(old)
    assert found.heads() == [new]
    found.take_out(new)
    assert not found


def test_an_items_facets_are_apart() -> None:
    item = Item("alarm", "hot")
    assert item.value("ack") is None and item.facet("ack").register == ("alarm", "hot", "ack")
    assert item.latest == 0 and item.is_deleted


def test_a_body_evolves_field_by_field_and_keeps_what_is_not_known() -> None:
    assert evolved({"a": 1, "later": 2, "b": 3}, a=4, b=None) == {"a": 4, "later": 2}
    assert evolved(None, a=1) == {"a": 1}


def test_a_forged_claim_to_have_seen_the_future_hides_nothing_that_is_written_over_it() -> None:
    forged = W.record(body={"n": 1}, over=(Dot(B, 2**62, 2**62),))
    answer = W.record(body={"n": 2}, by=1, over=(forged.dot,), ms=WALL_MS + 9)
    assert versions(forged, answer).heads() == [answer]
    assert versions(answer, forged).value() == {"n": 2}


def test_a_forged_claim_reaches_no_further_than_clocks_may_be_apart() -> None:
    forged = W.record(body={"n": 1}, over=(Dot(B, 2**62, 2**62),))
    soon = W.record(body={"n": 2}, by=1, ms=WALL_MS + 300_000)
    later = W.record(body={"n": 3}, by=1, ms=WALL_MS + 300_001)
    assert versions(forged, soon).heads() == [forged]
    assert versions(forged, later).heads() == [later, forged]


def test_a_ring_of_forged_claims_leaves_all_of_them_to_be_seen() -> None:
    one = W.record(body={"n": 1}, over=(Dot(B, 2**62, 0),))
    two = W.record(body={"n": 2}, by=1, over=(Dot(C, 2**62, 0),))
    three = W.record(body={"n": 3}, by=2, over=(Dot(A, 2**62, 0),))
    assert len(versions(one, two, three).heads()) == 3
