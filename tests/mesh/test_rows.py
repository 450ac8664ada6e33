import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import NodeId, short_of
from mesh.rows import ROWS_MAX, Rows, pack, unpack
from mesh.wire import Row

NODES = [NodeId(letter * 26) for letter in "abcdefgh"]
ME, A, B, C, D, E, F, G = NODES
BY_SHORT = {short_of(node): node for node in NODES}


def rows_of(me: NodeId = ME) -> Rows:
    return Rows(me, BY_SHORT.get)


def row(node: NodeId, *heard: NodeId, incarnation: int = 1, version: int = 1, boot: int = 7) -> Row:
    return Row(node, incarnation, version, boot, 0, True, pack(heard))


def test_heard_is_packed_sorted_four_bytes_each() -> None:
    packed = pack([B, A])
    assert len(packed) == 8
    assert unpack(packed) == sorted([short_of(A), short_of(B)])
    assert pack([A, B]) == packed
    assert pack([]) == b""


def test_whom_we_hear_is_reached_directly() -> None:
    assert rows_of().paths([A, B]) == {A: A, B: B}


def test_whom_a_peer_hears_is_reached_through_it() -> None:
    rows = rows_of()
    rows.put(row(A, B))
    rows.put(row(B, C))
    assert rows.paths([A]) == {A: A, B: A, C: A}


def test_the_nearest_way_counts() -> None:
    rows = rows_of()
    rows.put(row(A, C))
    rows.put(row(C, D))
    rows.put(row(B, D))
    assert rows.paths([A, B]) == {A: A, B: B, C: A, D: B}


def test_a_row_of_somebody_who_cannot_be_reached_is_no_evidence() -> None:
    rows = rows_of()
    rows.put(row(C, D))
    assert rows.paths([A]) == {A: A}


def test_our_own_row_is_no_evidence() -> None:
    rows = rows_of()
    rows.put(row(ME, B))
    rows.put(row(A, ME))
    assert rows.paths([A]) == {A: A}


def test_shorts_that_nobody_is_known_by_are_passed_over() -> None:
    rows = rows_of()
    rows.put(msgspec.structs.replace(row(A), heard=b"xxxx" + short_of(B) + b"yy"))
    assert list(rows.heard_by(A)) == [B]
    assert rows.paths([A]) == {A: A, B: A}


def test_hears_looks_at_one_row() -> None:
    rows = rows_of()
    rows.put(row(A, B))
    assert rows.hears(A, B)
    assert not rows.hears(A, C)
    assert not rows.hears(B, A)


def test_a_higher_version_or_incarnation_is_news() -> None:
    rows = rows_of()
    rows.put(row(A, incarnation=2, version=5))
    assert not rows.is_news(row(A, incarnation=2, version=5))
    assert not rows.is_news(row(A, incarnation=2, version=4))
    assert not rows.is_news(row(A, incarnation=1, version=9))
    assert rows.is_news(row(A, incarnation=2, version=6))
    assert rows.is_news(row(A, incarnation=3, version=1))
    assert rows.is_news(row(B))


def test_newer_than_gives_what_the_other_lacks() -> None:
    rows = rows_of()
    mine = [row(A, version=3), row(B, version=1), row(C, version=1)]
    for each in mine:
        rows.put(each)
    assert rows.newer_than([(A, 1, 2), (B, 1, 1), (D, 9, 9)]) == (mine[0], mine[2])
    assert rows.newer_than(rows.versions()) == ()


def test_the_digest_is_of_what_is_held_in_whatever_order_it_came() -> None:
    one, two = rows_of(), rows_of()
    empty = one.digest
    for each in (row(A, version=1), row(B), row(A, version=2)):
        one.put(each)
    for each in (row(A, version=2), row(B)):
        two.put(each)
    assert one.digest == two.digest != empty
    one.forget(A)
    one.forget(B)
    one.forget(C)
    assert one.digest == empty == bytes(8)


def test_two_processes_with_one_identity_give_two_digests() -> None:
    one, two = rows_of(), rows_of()
    one.put(row(A, boot=1))
    two.put(row(A, boot=2))
    assert one.digest != two.digest


def test_rows_are_bounded_and_known_nodes_go_on_being_updated() -> None:
    rows = rows_of()
    for place in range(ROWS_MAX + 10):
        rows.put(row(NodeId(f"node-{place}")))
    assert len(rows.versions()) == ROWS_MAX
    rows.put(row(NodeId("node-0"), version=2))
    assert rows.get(NodeId("node-0")) == row(NodeId("node-0"), version=2)
    assert rows.get(NodeId(f"node-{ROWS_MAX}")) is None


graphs = st.dictionaries(st.sampled_from(NODES), st.frozensets(st.sampled_from(NODES)))


@given(graph=graphs, heard=st.frozensets(st.sampled_from(NODES[1:])))
def test_paths_are_the_transitive_closure_of_what_is_heard(
    graph: dict[NodeId, frozenset[NodeId]], heard: frozenset[NodeId]
) -> None:
    rows = rows_of()
    for node, hears in graph.items():
        rows.put(row(node, *hears))
    paths = rows.paths(sorted(heard))
    assert set(paths) == reached(graph, heard)
    assert all(paths[node] == node for node in heard)
    assert all(via in heard for via in paths.values())
    for node, via in paths.items():
        assert node in reached(graph, frozenset([via]))


def reached(graph: dict[NodeId, frozenset[NodeId]], heard: frozenset[NodeId]) -> set[NodeId]:
    """The dumb model: add what the reached hear until nothing is added."""
    found = set(heard)
    for _ in NODES:
        for node in list(found):
            found |= graph.get(node, frozenset()) - {ME}
    return found
