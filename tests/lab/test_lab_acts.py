"""What the lab's people do: every kind, and nothing that the node's verbs do not know."""

import random

from crdt_state.kinds import KINDS
from crdt_state.shapes import check_body, check_facet
from simulations.lab.acts import Deed, Hand

HAND = Hand("a" * 26, "20261121", random.Random(1))


def deeds() -> list[Deed]:
    return [HAND.frame(1), *(HAND.next() for _ in range(1000))]


def test_every_kind_that_people_share_is_written() -> None:
    assert {deed.register.kind for deed in deeds()} == {"asset", "fact", "alarm", "task", "advisory", "frame"}


def test_every_register_is_one_that_its_kind_has() -> None:
    for deed in deeds():
        check_facet(deed.register.kind, deed.register.facet)
        assert KINDS.document_of(deed.register) is not None, deed


def test_what_is_set_has_only_fields_that_the_kind_knows() -> None:
    for deed in deeds():
        body = deed.arguments.get("body")
        if body is not None:
            assert check_body(deed.register.kind, deed.register.facet, body) == ()


def test_the_same_chance_acts_the_same() -> None:
    first, second = (Hand("a" * 26, "20261121", random.Random(7)) for _ in range(2))
    assert [first.next() for _ in range(50)] == [second.next() for _ in range(50)]
