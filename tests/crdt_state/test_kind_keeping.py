"""The kinds by which the world keeps house: holdings, generations, conflicts, evidence; and the list of all kinds."""

import pytest

from crdt_state.item import Item
from crdt_state.kind import day_name
from crdt_state.kinds import KINDS, conflict, evidence, generation, holding
from crdt_state.kinds.refusal import RefusedError
from crdt_state.record import Register
from tests.crdt_state.records import IDENTITIES, NOW, SECOND, Cut

OWNER = IDENTITIES[0].node
DAY = day_name(NOW, "abc")


def test_all_kinds_are_known_by_name() -> None:
    assert KINDS.names() == (
        *("asset", "fact", "alarm", "task", "advisory", "capability"),
        *("policy", "frame", "holding", "generation", "conflict", "evidence"),
    )


@pytest.mark.parametrize(
    ("register", "document"),
    [
        (Register("asset", "acme"), "asset"),
        (Register("fact", "acme#a"), "fact"),
        (Register("alarm", "acme#a", "ack"), "alarm"),
        (Register("task", DAY, "claim"), f"task:{DAY[:8]}"),
        (Register("advisory", DAY, "feedback"), f"advisory:{DAY[:8]}"),
        (Register("capability", OWNER), "capability"),
        (Register("policy", "egress"), "policy"),
        (Register("frame", OWNER), f"frame:{OWNER}"),
        (Register("holding", OWNER), f"holding:{OWNER}"),
        (Register("generation", "asset"), "generation"),
        (Register("conflict", DAY, "settled"), f"conflict:{DAY[:8]}"),
        (Register("evidence", f"{OWNER}-x"), "evidence"),
        (Register("task", "abc", "claim"), None),
    ],
)
def test_each_register_lies_in_its_document(register: Register, document: str | None) -> None:
    assert KINDS.document_of(register) == document


def test_a_holding_is_what_its_node_says() -> None:
    cut = Cut("holding", OWNER)
    assert holding.view(cut.item(), NOW) == (holding.Holding(), True)
    cut.raw(0, "", {"docs": {"asset": ["ab", "cd", 3]}, "run": 5})
    cut.raw(1, "", {"docs": {}, "run": 9}, NOW + SECOND)
    expected = holding.Holding(docs={"asset": ("ab", "cd", 3)}, run=5)
    assert holding.view(cut.heal(), NOW) == (expected, True)
    cut.raw(0, "", {"docs": {"asset": ["ab", "cd", -3]}, "run": 5})
    assert holding.view(cut.item(), NOW) == (holding.Holding(run=5), False)


def test_a_generation_is_a_documents_header() -> None:
    cut = Cut("generation", "asset")
    cut.raw(
        0, "", {"number": 2, "context": {OWNER: {"1": 40}}, "digest": "ab", "records": 7, "why": "history"}
    )
    expected = generation.Generation(
        number=2, context={OWNER: {"1": 40}}, digest="ab", records=7, why="history"
    )
    assert generation.view(cut.item(), NOW) == (expected, True)
    cut.raw(0, "", {"number": 2, "context": {OWNER: 40}})
    assert generation.view(cut.item(), NOW) == (generation.Generation(number=2), False)


def test_a_conflict_is_closed_once_it_is_settled() -> None:
    cut = Cut("conflict", DAY)
    with pytest.raises(RefusedError, match="there is no conflict"):
        conflict.settle(cut.item(), "maria", "x")
    body = {
        "register": ["asset", "acme", ""],
        "winner": b"w",
        "losers": [b"l"],
        "cause": "heal",
        "found_ms": NOW,
    }
    cut.raw(0, "", body)
    entry = conflict.Conflict(
        register=("asset", "acme", ""), winner=b"w", losers=(b"l",), cause="heal", found_ms=NOW
    )
    assert conflict.view(cut.item(), NOW) == (entry, None, True)
    assert not conflict.is_closed(cut.item(), NOW)
    cut.raw(0, "settled", {"colour": "red"})
    cut.do(0, conflict.settle(cut.item(), "maria", "w", "seen on site"))
    settlement = conflict.Settlement(by="maria", choice="w", note="seen on site")
    assert conflict.view(cut.item(), NOW) == (entry, settlement, True)
    assert conflict.is_closed(cut.item(), NOW)
    assert cut.body("settled")["colour"] == "red"


def test_evidence_holds_both_records() -> None:
    cut = Cut("evidence", f"{OWNER}-x")
    cut.raw(0, "", {"first": b"1", "second": b"2"})
    assert evidence.view(cut.item(), NOW) == (evidence.Evidence(first=b"1", second=b"2"), True)
    cut.raw(0, "", {"first": "one", "second": b"2"})
    assert evidence.view(cut.item(), NOW)[1] is False


def test_an_unknown_kind_is_carried() -> None:
    assert not KINDS.knows("recipe")
    assert KINDS.document_of(Register("recipe", "x")) == "recipe"
    assert not KINDS.get("recipe").is_closed(Item("recipe", "x"), NOW)
