from random import Random

from crdt_state.kinds import KINDS
from crdt_state.library import DOCUMENTS_MAX, FORM_TABLE, RECORD_TABLE, Library, form_of
from tests.crdt_state.documents import Writing

W = Writing()


def library(seed: int = 1) -> Library:
    return Library(KINDS, Random(seed))


def saved_of(*names: str) -> dict[str, dict[str, bytes]]:
    """A store with one record in each of these documents."""
    saved: dict[str, dict[str, bytes]] = {FORM_TABLE: {}}
    for name in names:
        record = W.record(name)
        saved[RECORD_TABLE + name] = {record.key: record.blob}
        saved[FORM_TABLE][name] = form_of(W.document(record, name=name))
    return saved


def test_what_was_saved_is_there_again_with_another_pen() -> None:
    one, two = library(1), library(2)
    saved = saved_of("asset", "alarm")
    assert one.load(saved) == two.load(saved) == []
    assert one.digests() == two.digests()
    pens = {document.pen for each in (one, two) for document in each.documents()}
    assert len(pens) == 4 and all(0 < pen < 2**53 for pen in pens)
    assert not any(document.astray for document in one.documents())


def test_records_without_their_form_are_drawn_anew() -> None:
    saved = saved_of("asset")
    del saved[FORM_TABLE]
    found = library()
    assert found.load(saved) == []
    document = found.get("asset")
    assert document is not None and len(document.records) == len(document.astray) == 1


def test_damage_is_named_and_the_rest_is_loaded() -> None:
    saved = saved_of("asset", "alarm")
    blob = next(iter(saved[RECORD_TABLE + "asset"].values()))
    saved[RECORD_TABLE + "asset"] |= {"x" * 16: blob, "y" * 16: b"rubbish"}
    saved[FORM_TABLE]["alarm"] = saved[FORM_TABLE]["alarm"][:-20]
    found = library()
    assert sorted(found.load(saved))[-2:] == ["record-malformed", "record-misplaced"]
    documents = [found.get(name) for name in ("asset", "alarm")]
    assert [len(document.records) for document in documents if document] == [1, 1]


def test_documents_are_fetched_in_the_order_of_their_urgency() -> None:
    found = library()
    frame = f"frame:{W.identity(0).node}"
    for name in (frame, "asset", "alarm", "task:20261121", "generation", "policy", "evidence"):
        found.open(name)
    assert found.names() == ["generation", "evidence", "policy", "alarm", "asset", "task:20261121", frame]


def test_owned_documents_have_a_digest_of_their_own() -> None:
    found = library()
    before = found.digests()
    document = found.open(f"frame:{W.identity(0).node}")
    assert document is not None and found.digests() == before  # empty ones do not count
    document.put(W.record(W.identity(0).node, kind="frame"))
    found.changed()
    assert found.digests()[0] == before[0] and found.digests()[1] != before[1]


def test_names_are_bounded_in_length_letters_and_number() -> None:
    found = library()
    assert [found.open(name) for name in ("", "x" * 81, "a\nb")] == [None, None, None]
    for place in range(DOCUMENTS_MAX):
        found.open(f"n{place}")
    assert found.open("one more") is None and not found.may_open("one more", b"")


def test_a_document_may_be_opened_once_and_at_its_own_generation() -> None:
    found = library()
    assert found.may_open("asset", b"") and not found.may_open("asset", b"another")
    found.open("asset")
    assert not found.may_open("asset", b"")


def test_what_was_drawn_is_given_away_once() -> None:
    found = library()
    document = found.open("asset")
    assert document is not None
    found.drew(document)
    assert found.has_drawn() and found.take_drawn() == [document] and found.take_drawn() == []


def test_a_closed_document_is_not_pushed() -> None:
    found = library()
    document = found.open("asset")
    assert document is not None
    found.drew(document)
    assert found.close("asset") is document
    assert found.take_drawn() == [] and found.get("asset") is None and found.close("asset") is None
