"""The judge convicts whoever calls a healthy and reachable node unreachable, and nobody else."""

from simulations.lab.judge import CHANGES_MAX, Change, Judge, Violation
from simulations.lab.picture import PeerView, View


def says(observer: str, at: float, peer: str, state: str, incarnation: int = 1) -> View:
    return View(observer, at, at, False, incarnation, {peer: PeerView(peer, state, "because")})


def test_a_node_that_has_just_started_may_call_everybody_unreachable() -> None:
    judge = Judge(100.0)
    judge.see(says("n1", 100.5, "n2", "unreachable"))
    judge.see(says("n1", 101.0, "n2", "alive"))
    assert judge.false_unreachable == 0
    assert judge.changes == [
        Change(0.5, "n1", "n2", "", "unreachable", "", "none", "because"),
        Change(1.0, "n1", "n2", "unreachable", "alive", "none", "none", "because"),
    ]


def test_calling_a_healthy_node_unreachable_is_a_violation_each_time_and_not_each_poll() -> None:
    judge = Judge(100.0)
    for state in ("alive", "unreachable", "unreachable", "alive", "unreachable"):
        judge.see(says("n1", 101.0, "n2", state))
    assert judge.false_unreachable == 2
    detail = "n1 called n2 unreachable at 1.0 s, and nothing kept them apart: because"
    assert judge.violations == [Violation("L3", detail)] * 2


def test_who_is_really_cut_off_may_be_called_so() -> None:
    judge = Judge(100.0)
    judge.see(says("n1", 100.0, "n2", "alive"))
    judge.see(says("n2", 100.0, "n1", "alive"))
    judge.apart([("n1", "n2")])
    judge.see(says("n1", 101.0, "n2", "unreachable"))
    assert judge.false_unreachable == 0
    judge.see(says("n2", 101.0, "n1", "unreachable"))
    assert judge.false_unreachable == 1


def test_after_the_mending_the_same_verdict_is_false_again() -> None:
    judge = Judge(100.0)
    judge.see(says("n1", 100.0, "n2", "alive"))
    judge.apart([("n1", "n2")])
    judge.see(says("n1", 101.0, "n2", "unreachable"))
    judge.apart([])
    judge.see(says("n1", 102.0, "n2", "unreachable"))  # it has not noticed yet: no new verdict
    assert judge.false_unreachable == 0
    judge.see(says("n1", 103.0, "n2", "alive"))
    judge.see(says("n1", 104.0, "n2", "unreachable"))
    assert judge.false_unreachable == 1


def test_a_restarted_node_knows_nobody_and_has_a_higher_incarnation() -> None:
    judge = Judge(100.0)
    judge.see(says("n1", 100.0, "n2", "alive", incarnation=4))
    judge.restarted("n1")
    judge.see(says("n1", 101.0, "n2", "unreachable", incarnation=9))
    assert judge.violations == []


def test_an_incarnation_that_moves_without_a_start_or_stays_after_one_breaks_s5() -> None:
    judge = Judge(100.0)
    judge.see(says("n1", 100.0, "n2", "alive", incarnation=4))
    judge.see(says("n1", 101.0, "n2", "alive", incarnation=5))
    assert [violation.invariant for violation in judge.violations] == ["S5"]
    judge.restarted("n1")
    judge.see(says("n1", 102.0, "n2", "alive", incarnation=5))
    assert [violation.invariant for violation in judge.violations] == ["S5", "S5"]


def test_a_mesh_gone_mad_does_not_fill_the_record() -> None:
    judge = Judge(0.0)
    for number in range(CHANGES_MAX + 100):
        judge.see(says("n1", float(number), "n2", "unreachable" if number % 2 else "alive"))
    assert len(judge.changes) == CHANGES_MAX
    assert len(judge.violations) == 100
    assert judge.false_unreachable == (CHANGES_MAX + 100) // 2
