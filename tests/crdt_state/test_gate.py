import pytest

from crdt_state.gate import Gate
from crdt_state.kinds import KINDS
from crdt_state.record import decode_record
from mesh.roster import RemovalEntry, Roster, encode_entry
from mesh.trust import DAY_MS
from tests.crdt_state.documents import Writing
from tests.mesh.site import WALL_MS, make_site

W = Writing(make_site(3, stewards=1))
STEWARD, MEMBER, OTHER = (identity.node for identity in W.identities)


def test_what_a_member_has_signed_for_this_document_is_taken() -> None:
    assert W.refusal(W.record(by=1)) == ""


def test_a_record_of_another_document_is_misplaced() -> None:
    assert W.refusal(W.record(), "alarm") == "record-misplaced"
    assert W.refusal(W.record(kind="task", item="20261121-1"), "task:20261122") == "record-misplaced"
    assert W.refusal(W.record(kind="task", item="20261121-1"), "task:20261121") == ""
    assert W.refusal(W.record(kind="task", item="no day"), "task") == "record-misplaced"


def test_a_kind_of_a_later_release_is_carried_however_it_is_grouped() -> None:
    record = W.record(kind="recipe", item="20261121-1")
    assert W.refusal(record, "recipe") == "" == W.refusal(record, "recipe:20261121")
    assert W.refusal(record, "asset") == "record-misplaced"


def test_a_strangers_record_is_refused() -> None:
    elsewhere = Writing(make_site(2, label="elsewhere"))
    assert W.refusal(elsewhere.record()) == "record-stranger"


def test_only_the_owner_writes_what_is_named_after_it() -> None:
    assert W.refusal(W.record(kind="capability", item=MEMBER, by=1), "capability") == ""
    assert W.refusal(W.record(kind="capability", item=MEMBER, by=2), "capability") == "record-not-allowed"
    assert W.refusal(W.record(kind="frame", item=MEMBER, by=2), f"frame:{MEMBER}") == "record-not-allowed"


def test_only_stewards_write_policies() -> None:
    assert W.refusal(W.record(kind="policy", by=0), "policy") == ""
    assert W.refusal(W.record(kind="policy", by=1), "policy") == "record-not-allowed"


def test_a_forged_record_is_refused_each_time() -> None:
    record = W.record(by=1)
    forged = decode_record(record.blob.replace(record.signature, bytes(64)))
    assert [W.refusal(forged), W.refusal(forged)] == ["record-forged", "record-forged"]


@pytest.mark.parametrize(("ms", "reason"), [(WALL_MS, ""), (WALL_MS + 2 * DAY_MS, "record-removed")])
def test_what_was_written_before_its_author_was_removed_stands(ms: int, reason: str) -> None:
    site = W.site
    authority = site.keys[0].authority
    assert authority is not None
    removal = authority.remove(MEMBER, "b", "stolen", WALL_MS + DAY_MS)
    roster = Roster(site.root, site.saved()["roster"])
    roster.merge([encode_entry(RemovalEntry(removal))])
    writing = Writing(site)
    writing.gate = Gate(KINDS, roster)
    assert writing.refusal(writing.record(by=1, ms=ms)) == reason
