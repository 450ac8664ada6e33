"""The last moments of a node: it says goodbye, and what it loses by that is no news. A leaf has no broker to lose."""

import pytest

from mesh.events import BrokerUp, Event, Isolated, LeaveRequested, PeerChanged, StopRequested
from mesh.state import CoreConfig
from tests.mesh.cores import at, born, core_of
from tests.mesh.plant import Plant
from tests.mesh.site import make_site

SITE = make_site(3)


@pytest.mark.parametrize("last", [StopRequested(), LeaveRequested()])
def test_a_node_that_ends_calls_nobody_unreachable_and_itself_not_isolated(last: Event) -> None:
    plant = Plant(SITE, 3).form()
    asked = plant.now
    plant.tell(plant.processes[2], last)
    plant.run(5)
    assert plant.news(2, PeerChanged, asked) == []
    assert plant.news(2, Isolated, asked) == []


def test_a_leaf_says_that_no_broker_of_its_own_is_down() -> None:
    leaf = core_of(SITE.keys[0], SITE.saved(), born(1, 1, at(0).wall_ms), CoreConfig(is_leaf=True), seed=1)
    leaf.start(at(0))
    assert leaf.state.row.broker_up


def test_a_node_says_that_its_broker_is_down_until_it_is_up() -> None:
    node = core_of(SITE.keys[0], SITE.saved(), born(1, 1, at(0).wall_ms), CoreConfig(), seed=1)
    node.start(at(0))
    assert not node.state.row.broker_up
    node.handle(BrokerUp(()), at(0.1))
    assert node.state.row.broker_up
