"""Documents: what is held stands, whatever is done to its form."""

import gc
import weakref
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_state.document import Document, Stroke
from crdt_state.form import form_from
from crdt_state.record import Record, RecordError
from tests.crdt_state.documents import Writing, full, nothing_wrong
from tests.crdt_state.yjs import item, state_vector, update_of

W = Writing()
KEY = "k" * 16


def bodies(document: Document) -> list[object]:
    return sorted(record.body["n"] for record in document.records.values())


def merged_into(*documents: Document) -> Document:
    target = W.document()
    for document in documents:
        target.merge([full(document)], W.check)
    return target


def form_bodies(document: Document) -> list[object]:
    """What a replica gets that has nothing but the form."""
    return bodies(merged_into(document))


# -- writing and merging


def test_a_record_that_was_put_is_held_and_drawn() -> None:
    record = W.record()
    document = W.document(record)
    assert document.records == {record.key: record} and not document.astray
    assert form_bodies(document) == bodies(document)


def test_only_newer_versions_of_an_author_are_taken() -> None:
    old, new = W.record(body={"n": 1}, seq=901), W.record(body={"n": 2}, seq=902)
    document = W.document(new)
    assert not document.put(old) and not document.put(new)
    assert bodies(document) == [2]


def test_a_later_run_is_newer_whatever_its_number() -> None:
    document = W.document(W.record(body={"n": 1}, run=1, seq=900), W.record(body={"n": 2}, run=2, seq=1))
    assert bodies(document) == [2]


def test_equal_content_has_an_equal_digest_whatever_way_it_came() -> None:
    one, two = W.record("a"), W.record("b", by=1)
    assert W.document(one, two).digest == W.document(two, one).digest != W.document(one).digest
    assert W.document().digest == bytes(16)


def test_a_delta_is_what_the_other_lacks_and_nothing_when_it_lacks_nothing() -> None:
    document = W.document(*(W.record(f"item {place}") for place in range(50)))
    replica = merged_into(document)
    assert document.delta_since(replica.summary()) == b""
    document.put(W.record("one more"))
    delta = document.delta_since(replica.summary())
    assert len(delta) < 500
    (accepted,) = replica.merge([delta], W.check).accepted
    assert accepted.register.item == "one more" and replica.digest == document.digest


def test_a_gap_in_a_large_document_of_many_overwrites_costs_little() -> None:
    document = W.document()
    numbers = list(range(1000))
    for _ in range(3):
        Random(1).shuffle(numbers)
        for number in numbers:
            document.put(W.record(f"item {number}"))
    have = document.summary()
    document.put(W.record("one more"))
    assert len(document.delta_since(have)) < len(full(document)) / 50


def test_merging_twice_or_in_another_order_changes_nothing() -> None:
    one, two = W.document(W.record("a")), W.document(W.record("b"))
    here, there = merged_into(one, two), merged_into(two, one)
    assert here.digest == there.digest
    again = here.merge([full(one), full(two)], W.check)
    assert (again.accepted, again.refused, again.is_changed) == ((), (), False)


def test_a_stroke_fits_onto_the_pen_that_made_it() -> None:
    document = W.document(pen=500)
    document.put(W.record("a"))
    document.put(W.record("b"))
    stroke = document.take_stroke()
    assert stroke is not None and (stroke.pen, stroke.start, stroke.stop) == (500, 0, 2)
    assert document.take_stroke() is None
    document.put(W.record("c"))
    second = document.take_stroke()
    assert second is not None and (second.start, second.stop) == (2, 3)
    replica = W.document()
    assert (replica.fits(stroke), replica.fits(second)) == ("next", "gap")
    replica.merge(stroke.updates, W.check)
    assert (replica.fits(stroke), replica.fits(second)) == ("known", "next")
    assert replica.fits(Stroke(500, 1, 4, ())) == "next"


def test_who_has_more_is_seen_in_its_summary() -> None:
    document = W.document(W.record(), pen=501)
    assert document.lacks(state_vector({501: 2})) and document.lacks(state_vector({7: 1}))
    assert not document.lacks(state_vector({501: 1})) and not document.lacks(b"\0")
    assert not document.lacks(b"no summary")


# -- what is done to the form


def test_what_was_rubbed_out_stands_and_is_drawn_again() -> None:
    document = W.document(W.record(body={"n": 1}), pen=502)
    merged = document.merge([update_of({7: (0, [b"\0\1"])}, {502: [(0, 1)]})], W.check)
    assert merged.refused == ("record-rubbed-out",) and merged.is_changed
    assert bodies(document) == [1] and list(document.astray) == list(document.records)
    document.mend(list(document.astray))
    assert not document.astray and form_bodies(document) == [1]


def test_an_older_version_in_the_form_is_replaced_again() -> None:
    old, new = W.record(body={"n": 1}, seq=910), W.record(body={"n": 2}, seq=911)
    document = W.document(new, pen=1)
    assert document.merge([full(W.document(old, pen=2**52))], W.check).refused == ("record-rolled-back",)
    document.mend(list(document.astray))
    assert bodies(document) == form_bodies(document) == [2]


def test_rubbish_under_a_key_is_rubbed_out_by_mending_and_that_is_no_offence() -> None:
    document, replica = W.document(pen=503), W.document()
    rubbish = update_of({7: (0, [item(KEY, b"rubbish")])})
    for each in (document, replica):
        assert each.merge([rubbish], W.check).refused == ("record-malformed",)
    document.mend(list(document.astray))
    assert replica.merge([full(document)], W.check).refused == ()
    assert not document.astray and not replica.astray and form_bodies(document) == []


def test_a_record_under_anothers_key_is_misplaced() -> None:
    record = W.record()
    document = W.document()
    merged = document.merge([update_of({7: (0, [item(KEY, record.blob)])})], W.check)
    assert merged.refused == ("record-misplaced",) and not document.records and KEY in document.astray


def test_what_is_refused_for_a_reason_that_may_go_stays_in_the_form_until_it_is_looked_at_again() -> None:
    def not_yet(_: Record) -> None:
        raise RecordError("record-stranger")

    document = W.document()
    assert document.merge([full(W.document(W.record(body={"n": 1})))], not_yet).refused == (
        "record-stranger",
    )
    assert not document.records and not document.astray
    assert [record.body for record in document.recheck(W.check).accepted] == [{"n": 1}]
    assert form_bodies(document) == [1]


def test_a_delta_with_a_gap_is_refused_and_leaves_nothing_waiting() -> None:
    source = W.document(pen=504)
    source.put(W.record("a"))
    first = source.take_stroke()
    source.put(W.record("b"))
    second = source.take_stroke()
    assert first is not None and second is not None
    document = W.document()
    merged = document.merge(second.updates, W.check)
    assert merged.refused == ("delta-gapped",) and not merged.is_changed
    assert len(document.merge(first.updates, W.check).accepted) == 1
    assert document.summary() == state_vector({504: 1})  # the second would be there had it waited


def test_parts_that_wait_for_each_other_are_let_go_with_what_was_good_kept() -> None:
    record = W.record(body={"n": 1})
    document = W.document()
    circle = update_of(
        {
            8: (0, [item(origin=(9, 0), value=b"x")]),
            9: (0, [item(origin=(8, 0), value=b"x")]),
            7: (0, [item(record.key, record.blob)]),
        }
    )
    merged = document.merge([circle], W.check)
    assert merged.refused == ("delta-malformed",) and merged.accepted == (record,)
    assert document.summary() == state_vector({7: 1})
    document.put(W.record("more", body={"n": 2}))
    assert form_bodies(document) == [1, 2]


def test_what_comes_before_a_bad_delta_is_kept_and_what_comes_after_is_not_looked_at() -> None:
    good, late = W.document(W.record(body={"n": 1})), W.document(W.record("b", body={"n": 2}))
    document = W.document()
    merged = document.merge([full(good), b"bad", full(late)], W.check)
    assert merged.refused == ("delta-malformed",) and bodies(document) == [1]


def test_more_pens_than_a_question_can_name_are_refused() -> None:
    document = W.document(W.record())
    many = update_of({1000 + place: (0, [b"\0\1"]) for place in range(5_000)})
    assert document.merge([many], W.check).refused == ("delta-pens",)
    few = update_of({1000 + place: (0, [b"\0\1"]) for place in range(4_999)})
    assert document.merge([few], W.check).refused == ()
    assert len(document.summary()) < 65_536


def test_somebody_who_draws_with_our_pen_is_noticed() -> None:
    record = W.record(body={"n": 1})
    document = W.document(pen=505)
    merged = document.merge([update_of({505: (0, [item(record.key, record.blob)])})], W.check)
    assert merged.refused == ("delta-pen-taken",) and merged.accepted == (record,)


# -- equivocation


def test_of_two_contents_under_one_dot_all_keep_the_same_and_both_are_given_away() -> None:
    one, other = W.record(body={"n": 1}, seq=920), W.record(body={"n": 2}, seq=920)
    here, there = W.document(one), W.document(other)
    first, second = here.merge([full(there)], W.check), there.merge([full(W.document(one))], W.check)
    assert {each.hash for each in first.equivocal[0]} == {each.hash for each in second.equivocal[0]}
    assert here.digest == there.digest
    assert next(iter(here.records.values())).hash == max(one.hash, other.hash)


def test_a_loose_record_that_is_held_already_leaves_the_form_to_be_mended() -> None:
    record = W.record()
    document = W.document()
    assert document.take_loose(record.blob, W.check).accepted == (record,)
    assert document.take_loose(record.blob, W.check).accepted == ()
    assert list(document.astray) == [record.key]


def test_a_loose_record_that_is_refused_costs_no_redrawing() -> None:
    document = W.document(W.record(seq=931))
    assert document.take_loose(W.record(seq=930).blob, W.check).refused == ("record-rolled-back",)
    assert not document.astray


# -- opening


def test_a_form_that_was_saved_is_opened_with_another_pen() -> None:
    source = W.document(W.record(body={"n": 1}), W.record("b", body={"n": 2}))
    document = W.document()
    for record in source.records.values():
        document.remember(record)
    assert document.restart(b"mark", 600, source.state())
    assert (document.mark, document.pen, document.astray) == (b"mark", 600, {})
    assert document.summary() == source.summary()


@pytest.mark.parametrize("state", [b"rubbish", b"\x01", update_of({7: (3, [item(KEY, b"x")])})])
def test_a_form_that_is_damaged_leaves_the_records_and_waits_for_a_peer(state: bytes) -> None:
    document = W.document(W.record(body={"n": 1}))
    assert not document.restart(b"", 601, state)
    assert not document.is_whole and bodies(document) == [1] and len(document.astray) == 1


def test_the_form_of_the_same_records_is_the_same_bytes() -> None:
    records = [W.record(f"item {place}") for place in range(20)]
    assert form_from(records, 5) == form_from(reversed(records), 5)


def test_a_document_that_is_dropped_is_gone_from_memory() -> None:
    document = W.document(W.record())
    form = weakref.ref(document._form)
    native = weakref.ref(document._form._doc)
    document.restart(b"", 602)
    assert form() is None and native() is None
    native = weakref.ref(document._form._doc)
    del document
    gc.collect()
    assert native() is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_replicas_that_write_merge_and_lose_what_they_like_become_equal(seed: int) -> None:
    random, writing = Random(seed), Writing()
    replicas = [writing.document() for _ in range(3)]
    for _ in range(60):
        place = random.randrange(3)
        if random.random() < 0.6:
            replicas[place].put(writing.record(f"item {random.randrange(5)}", by=place))
        else:
            there = replicas[random.randrange(3)]
            there.merge([replicas[place].delta_since(there.summary())], nothing_wrong)
    for _ in range(2):
        for here in replicas:
            for other in replicas:
                other.merge([here.delta_since(other.summary())], nothing_wrong)
                other.mend(list(other.astray))
    assert len({replica.digest for replica in replicas}) == 1
    assert all(form_bodies(replica) == bodies(replica) for replica in replicas)
