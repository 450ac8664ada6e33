from mesh.ids import NodeId
from mesh.pacing import Pacing

A, B = NodeId("a"), NodeId("b")


def allowed(pacing: Pacing, until: float) -> list[float]:
    """At which tenths of a second one may ask."""
    return [tenth / 10 for tenth in range(round(until * 10)) if pacing.may(A, tenth / 10)]


def test_the_first_is_at_once_and_the_pauses_double_up_to_the_longest() -> None:
    assert allowed(Pacing(0.5, 4.0), until=16.0) == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5]


def test_each_peer_has_pauses_of_its_own() -> None:
    pacing = Pacing(0.5, 4.0)
    assert pacing.may(A, 0.0)
    assert pacing.may(B, 0.0)
    assert not pacing.may(A, 0.1)


def test_what_is_settled_starts_afresh() -> None:
    pacing = Pacing(0.5, 4.0)
    allowed(pacing, until=4.0)
    pacing.settled(A)
    pacing.settled(B)
    assert pacing.may(A, 4.0)
    assert not pacing.may(A, 4.4)
    assert pacing.may(A, 4.5)
