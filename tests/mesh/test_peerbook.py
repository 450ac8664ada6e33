import msgspec
import pytest

from mesh.events import Source, Write
from mesh.ids import NodeId
from mesh.peerbook import NODES_MAX, STRAYS_MAX, PeerBook
from mesh.wire import ENDPOINTS_MAX, Endpoint

A, B = NodeId("a" * 26), NodeId("b" * 26)
ONE, TWO, THREE = (Endpoint(host, 8883) for host in ("one", "two", "three"))


def endpoints(count: int) -> list[Endpoint]:
    return [Endpoint(f"10.0.{place // 256}.{place % 256}", 8883) for place in range(count)]


def test_an_empty_book_knows_nothing() -> None:
    book = PeerBook()
    assert (book.endpoints(A), book.proven(A), book.strays(), book.nodes()) == ((), (), (), [])
    assert not book.seen_by(A, Source.MDNS)
    assert book.forget(A) == ()


def test_an_endpoint_is_new_once() -> None:
    book = PeerBook()
    assert book.found(ONE, A, Source.MDNS)
    assert not book.found(ONE, A, Source.GOSSIP)
    assert book.endpoints(A) == (ONE,)
    assert book.nodes() == [A]


def test_what_was_heard_of_last_is_tried_first() -> None:
    book = PeerBook()
    for endpoint in (ONE, TWO, THREE, ONE):
        book.found(endpoint, A, Source.MDNS)
    assert book.endpoints(A) == (ONE, THREE, TWO)


def test_proven_endpoints_stand_first_and_are_written_when_they_change() -> None:
    book = PeerBook()
    book.found(TWO, A, Source.MDNS)
    assert book.prove(A, (ONE, THREE)) == (Write("endpoint", A, msgspec.msgpack.encode((ONE, THREE))),)
    assert book.prove(A, (ONE, THREE)) == ()
    assert book.prove(A, ()) == ()
    assert book.endpoints(A) == (ONE, THREE, TWO)
    assert book.proven(A) == (ONE, THREE)
    assert not book.found(ONE, A, Source.GOSSIP)


def test_what_others_said_is_forgotten_when_the_node_itself_says_where_it_is() -> None:
    book = PeerBook()
    book.found(ONE, A, Source.GOSSIP)
    book.found(TWO, A, Source.MDNS)
    book.prove(A, (THREE,))
    assert book.endpoints(A) == (THREE, TWO)


def test_proven_endpoints_survive_a_restart() -> None:
    book = PeerBook()
    saved = {write.key: write.value for write in book.prove(A, (ONE, TWO)) if write.value is not None}
    assert PeerBook(saved).endpoints(A) == (ONE, TWO)
    assert PeerBook(saved).nodes() == [A]


@pytest.mark.parametrize(
    "damage",
    [b"", b"junk", b"\xc1", b"\x91\x92\xa2\xff\xfe\x01", b"\x91\x92\xa1h\xcf" + b"\xff" * 8, b"\x91" * 5000],
)
def test_a_damaged_entry_costs_only_itself(damage: bytes) -> None:
    good = msgspec.msgpack.encode((ONE,))
    assert PeerBook({A: damage, B: good}).nodes() == [B]


def test_a_source_that_loses_a_node_takes_back_only_its_own_word() -> None:
    book = PeerBook()
    book.found(ONE, A, Source.MDNS)
    book.found(TWO, A, Source.SEED)
    for source in (Source.MDNS, Source.GOSSIP):
        book.found(THREE, A, source)
    assert book.seen_by(A, Source.MDNS)
    book.lost(A, Source.MDNS)
    book.lost(B, Source.MDNS)
    assert not book.seen_by(A, Source.MDNS)
    assert book.endpoints(A) == (THREE, TWO)


def test_a_stray_is_settled_when_a_dial_has_shown_who_answers_there() -> None:
    book = PeerBook()
    assert book.found(ONE, None, Source.SEED)
    assert not book.found(ONE, None, Source.SEED)
    assert book.strays() == (ONE,)
    book.settle(ONE, A)
    book.settle(TWO, A)
    assert book.strays() == ()
    assert book.endpoints(A) == (ONE,)
    assert book.seen_by(A, Source.SEED)


def test_the_removed_are_forgotten_on_disk_too() -> None:
    book = PeerBook()
    book.found(TWO, A, Source.MDNS)
    book.prove(A, (ONE,))
    assert book.forget(A) == (Write("endpoint", A, None),)
    assert book.endpoints(A) == ()
    assert book.nodes() == []


def test_everything_that_can_grow_is_bounded() -> None:
    book = PeerBook()
    for endpoint in endpoints(10_000):
        book.found(endpoint, A, Source.MDNS)
        book.found(endpoint, None, Source.SEED)
        book.found(endpoint, NodeId(f"node {endpoint}"), Source.GOSSIP)
    assert len(book.endpoints(A)) == ENDPOINTS_MAX
    assert len(book.strays()) == STRAYS_MAX
    assert len(book.nodes()) == NODES_MAX
    book.prove(A, tuple(endpoints(50)))
    assert len(book.proven(A)) == ENDPOINTS_MAX


def test_gossip_about_a_node_comes_to_an_end() -> None:
    """More endpoints in circulation than one book holds must not chase each other round for ever."""
    one, two = PeerBook(), PeerBook()
    passing = endpoints(ENDPOINTS_MAX + 1)
    for book, _ in zip([one, two] * 20, range(40), strict=False):
        passing = [each for each in passing if book.found(each, A, Source.GOSSIP)]
    assert passing == []
