import pytest

from mesh.ids import NodeId
from mesh.overlay import is_full_mesh, neighbours

DEGREE = 12


def nodes(count: int) -> list[NodeId]:
    return [NodeId(f"{place:04}") for place in range(count)]


def graph(alive: list[NodeId], degree: int = DEGREE) -> dict[NodeId, set[NodeId]]:
    return {node: neighbours(node, alive, 32, degree) for node in alive}


@pytest.mark.parametrize(("members", "is_full"), [(1, True), (31, True), (32, True), (33, False)])
def test_up_to_the_limit_everybody_is_linked_with_everybody(members: int, is_full: bool) -> None:
    assert is_full_mesh(members, 32) is is_full


def test_a_small_site_is_a_full_mesh() -> None:
    alive = nodes(8)
    assert neighbours(alive[3], alive, 32, DEGREE) == set(alive) - {alive[3]}


@pytest.mark.parametrize("full_mesh_max", [0, 1, 32])
def test_alone_there_are_no_neighbours(full_mesh_max: int) -> None:
    assert neighbours(NodeId("0000"), nodes(1), full_mesh_max, DEGREE) == set()


def test_two_nodes_are_neighbours_whatever_the_limit() -> None:
    assert neighbours(NodeId("0000"), nodes(2), 0, DEGREE) == {"0001"}


@pytest.mark.parametrize("count", [33, 40, 100, 300])
def test_both_ends_want_the_same_link(count: int) -> None:
    wanted = graph(nodes(count))
    assert all(node in wanted[other] for node in wanted for other in wanted[node])
    assert all(node not in wanted[node] for node in wanted)


def test_the_order_in_which_the_living_are_named_does_not_matter() -> None:
    alive = nodes(50)
    assert neighbours(alive[7], alive, 32, DEGREE) == neighbours(alive[7], alive[::-1], 32, DEGREE)


@pytest.mark.parametrize("count", [33, 100, 300])
def test_nobody_has_more_links_than_the_degree_and_everybody_is_a_few_hops_away(count: int) -> None:
    wanted = graph(nodes(count))
    assert max(len(each) for each in wanted.values()) <= DEGREE
    assert min(len(each) for each in wanted.values()) >= 4
    assert hops(NodeId("0000"), wanted) <= 5


def test_with_a_degree_below_two_there_is_still_a_ring() -> None:
    wanted = graph(nodes(40), degree=1)
    assert {len(each) for each in wanted.values()} == {2}
    assert hops(NodeId("0000"), wanted) == 20


@pytest.mark.parametrize("lost", [0, 7, 99])
def test_any_one_node_may_go_and_the_rest_stays_connected(lost: int) -> None:
    wanted = graph(nodes(100))
    gone = NodeId(f"{lost:04}")
    hops(NodeId("0001"), {node: links - {gone} for node, links in wanted.items() if node != gone})


def test_one_node_more_changes_only_its_own_neighbours_links() -> None:
    before, after = graph(nodes(100)), graph(nodes(101))
    new = NodeId("0100")
    assert {node for node in before if before[node] != after[node]} <= after[new]


def hops(start: NodeId, wanted: dict[NodeId, set[NodeId]]) -> int:
    """How many hops reach everybody."""
    reached, edge, count = {start}, {start}, 0
    while len(reached) < len(wanted):
        edge = {other for node in edge for other in wanted[node]} - reached
        assert edge, "not connected"
        reached |= edge
        count += 1
    return count
