"""What is listed, what of it is news, and that it stays bounded."""

from mesh.events import Counted, EndpointFound, EndpointLost, Source
from mesh.ids import NodeId, SiteId
from mesh.io.advert import Heard
from mesh.io.sightings import INSTANCES_MAX, REPEAT_S, Sightings
from mesh.io.tokens import TokenBucket
from mesh.wire import PEERS_MAX, Endpoint

ANNA = NodeId("a" * 26)
AT = Endpoint("192.0.2.1", 8883)
ELSEWHERE = Endpoint("192.0.2.2", 8883)


def heard(label: str = "label", node: NodeId = ANNA, *endpoints: Endpoint, boot: int = 1) -> Heard:
    return Heard(label, node, SiteId("s" * 16), "anna", boot, endpoints or (AT,), ())


def found(endpoint: Endpoint = AT, node: NodeId = ANNA) -> EndpointFound:
    return EndpointFound(endpoint, node, Source.MDNS)


def test_a_new_instance_is_news_once() -> None:
    sightings = Sightings()
    assert sightings.heard(heard(), ("eth0",), 10.0) == [found()]
    assert sightings.heard(heard(), ("eth0",), 11.0) == []


def test_a_changed_endpoint_and_a_new_boot_are_news() -> None:
    sightings = Sightings()
    sightings.heard(heard(), (), 10.0)
    assert sightings.heard(heard("label", ANNA, ELSEWHERE), (), 11.0) == [found(ELSEWHERE)]
    assert sightings.heard(heard("label", ANNA, ELSEWHERE, boot=2), (), 12.0) == [found(ELSEWHERE)]


def test_a_node_heard_again_after_a_while_is_worth_another_try() -> None:
    sightings = Sightings()
    sightings.heard(heard(), (), 10.0)
    assert sightings.heard(heard(), (), 10.0 + REPEAT_S) == [found()]


def test_after_an_interface_is_back_whoever_is_heard_is_news_again() -> None:
    sightings = Sightings()
    sightings.heard(heard(), (), 10.0)
    sightings.tell_again()
    assert sightings.heard(heard(), (), 11.0) == [found()]
    assert sightings.heard(heard(), (), 12.0) == []


def test_a_node_is_lost_when_its_last_instance_is_gone() -> None:
    sightings = Sightings()
    sightings.heard(heard("old"), (), 10.0)
    sightings.heard(heard("new"), (), 11.0)
    assert sightings.gone("old") == []
    assert sightings.gone("new") == [EndpointLost(ANNA, Source.MDNS)]
    assert sightings.gone("new") == []
    assert len(sightings) == 0


def test_two_instances_of_a_node_are_shown_as_one_sighting() -> None:
    sightings = Sightings()
    sightings.heard(heard("old"), ("eth0",), 10.0)
    sightings.heard(heard("new", ANNA, ELSEWHERE, boot=2), ("eth1",), 11.0)
    shown = sightings.by_node()[ANNA]
    assert shown.endpoints == (AT, ELSEWHERE)
    assert shown.interfaces == ("eth0", "eth1")
    assert (shown.since_s, shown.heard_s, shown.boot) == (10.0, 11.0, 2)


def test_an_instance_that_claims_another_node_is_lost_to_the_first() -> None:
    bert = NodeId("b" * 26)
    sightings = Sightings()
    sightings.heard(heard("label"), (), 10.0)
    assert sightings.heard(heard("label", bert), (), 11.0) == [
        EndpointLost(ANNA, Source.MDNS),
        found(node=bert),
    ]
    assert list(sightings.by_node()) == [bert]


def test_a_node_has_at_most_four_instances() -> None:
    sightings = Sightings()
    for number in range(INSTANCES_MAX):
        sightings.heard(heard(f"label-{number}"), (), 10.0)
    assert sightings.heard(heard("one-more"), (), 11.0) == [Counted("mdns_too_many_instances", ANNA), found()]
    assert len(sightings) == INSTANCES_MAX
    assert "label-0" not in sightings


def test_when_it_is_full_whoever_was_not_heard_for_longest_makes_room() -> None:
    sightings = Sightings()
    for number in range(PEERS_MAX):
        sightings.heard(heard(f"label-{number}", NodeId(f"node-{number}")), (), 10.0)
    sightings.heard(heard("label-0", NodeId("node-0")), (), 11.0)
    assert sightings.heard(heard(), (), 12.0) == [
        EndpointLost(NodeId("node-1"), Source.MDNS),
        Counted("mdns_full"),
        found(),
    ]
    assert len(sightings) == PEERS_MAX


def test_the_only_instance_of_a_node_may_be_the_one_that_makes_room() -> None:
    sightings = Sightings()
    for number in range(PEERS_MAX):
        sightings.heard(heard(f"label-{number}", ANNA if number == 0 else NodeId(f"node-{number}")), (), 10.0)
    sightings.heard(heard("another", ANNA), (), 11.0)
    assert "another" in sightings
    assert sightings.gone("another") == [EndpointLost(ANNA, Source.MDNS)]


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    bucket = TokenBucket(per_s=2.0, burst=3.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.refused_in_a_row == 1
    assert not bucket.take(100.1)
    assert bucket.refused_in_a_row == 2
    assert bucket.take(100.6)
    assert not bucket.take(100.6)
    assert bucket.refused_in_a_row == 1
