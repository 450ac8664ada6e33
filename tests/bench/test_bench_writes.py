"""What the bench writes is what a plant would: the right size, the right shape, each register once."""

from collections import Counter
from itertools import chain

import msgspec

from crdt_state.kinds import KINDS
from crdt_state.record import Register
from crdt_state.shapes import check_body, check_facet
from simulations.bench.payload import PAYLOAD_BYTES
from simulations.bench.writes import Plain, frame, plant, requests, stamp_of, stamped_alarm


def body_of(change: Plain) -> dict[str, object]:
    assert change[3] is not None
    return msgspec.msgpack.decode(change[3], type=dict[str, object])


def test_a_stamped_alarm_is_as_large_as_a_bare_message_and_says_when_it_was_sent() -> None:
    first, second = stamped_alarm(7, 1), stamped_alarm(7, 1)
    assert first[3] is not None
    assert len(first[3]) == PAYLOAD_BYTES
    assert stamp_of(body_of(first)).block == 7
    assert stamp_of(body_of(first)).sent_ns < stamp_of(body_of(second)).sent_ns


def test_a_frame_has_a_hundred_tags() -> None:
    tags = body_of(frame("n1", 3))["t"]
    assert isinstance(tags, dict)
    assert len(tags) == 100


def test_a_plant_has_so_many_registers_and_none_twice() -> None:
    changes = list(plant("north", 1000))
    assert len({change[:3] for change in changes}) == 1000
    kinds = Counter(change[0] for change in changes)
    assert set(kinds) == {"asset", "fact", "alarm", "task"}
    assert min(kinds.values()) > 100


def test_what_is_written_has_only_fields_that_the_kinds_know() -> None:
    for kind, item, facet, body in [*plant("north", 60), stamped_alarm(1, 1), frame("n1", 1)]:
        assert body is not None
        check_facet(kind, facet)
        assert KINDS.document_of(Register(kind, item, facet)) is not None
        assert check_body(kind, facet, msgspec.msgpack.decode(body)) == ()


def test_requests_carry_all_changes_some_at_a_time() -> None:
    changes = list(plant("north", 250))
    asked = list(requests(iter(changes)))
    assert [len(request.changes) for request in asked] == [100, 100, 50]
    assert [request.token for request in asked] == [0, 1, 2]
    assert list(chain.from_iterable(request.changes for request in asked)) == changes
