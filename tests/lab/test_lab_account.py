"""The account: whatever the nodes lose, differ in or bring back is counted under its own name."""

from crdt_state.record import Dot, Record, Register, make_record
from mesh.trust import Identity
from simulations.lab.account import Account, Loss, differing, dot_of
from tests.mesh.site import key_of

PUMP = Register("asset", "hall/pump")
ANNE, BOB = Identity(key_of("anne")), Identity(key_of("bob"))


def written(by: Identity, seq: int, over: tuple[Dot, ...] = (), register: Register = PUMP) -> Record:
    return make_record(by, register, 1, seq, seq << 16, over, {"serial": str(seq)})


def held(*records: Record) -> dict[str, dict[str, Record]]:
    return {"asset": {record.key: record for record in records}}


def test_nodes_that_hold_what_they_acknowledged_have_lost_nothing() -> None:
    account, record = Account(), written(ANNE, 3)
    account.acknowledge("n1", PUMP, written(ANNE, 2).dot)
    account.acknowledge("n1", PUMP, record.dot)
    account.settle({"n1": held(record), "n2": held(record)})
    assert account.losses == {}
    assert account.acknowledged == 2


def test_what_its_own_node_lacks_is_lost_and_what_another_lacks_is_missing() -> None:
    account, old, new = Account(), written(ANNE, 1), written(ANNE, 2)
    account.acknowledge("n1", PUMP, new.dot)
    account.settle({"n1": held(old), "n2": held(old), "n3": held(new)})
    assert (account.count("lost_acknowledged"), account.count("unexplained_missing")) == (1, 1)
    assert account.count("diverged") == 1


def test_the_order_in_which_a_nodes_answers_arrive_does_not_matter() -> None:
    account, old, new = Account(), written(ANNE, 1), written(ANNE, 2)
    account.acknowledge("n1", PUMP, new.dot)
    account.acknowledge("n1", PUMP, old.dot)
    account.settle({"n1": held(old)})
    assert account.count("lost_acknowledged") == 1


def test_a_version_that_was_replaced_is_no_head_again_on_the_same_node() -> None:
    account, old = Account(), written(ANNE, 1)
    new = written(BOB, 1, over=(old.dot,))
    account.look("n1", held(old, new))
    account.look("n2", held(old))
    assert account.losses == {}
    account.look("n1", held(old))
    assert list(account.losses) == [Loss("resurrected", f"n1 shows {old!r} again")]


def test_an_author_that_shows_its_own_older_version_again_is_found_out() -> None:
    account = Account()
    account.look("n1", held(written(ANNE, 2)))
    account.look("n1", held(written(ANNE, 1)))
    assert account.count("resurrected") == 1


def test_an_older_frame_of_another_node_after_a_restart_is_no_resurrection() -> None:
    account, register = Account(), Register("frame", ANNE.node)
    account.look("n2", held(written(ANNE, 2, register=register)))
    account.look("n2", held(written(ANNE, 1, register=register)))
    assert account.losses == {}


def test_what_nodes_say_of_what_they_hold_is_not_compared() -> None:
    ours, theirs = held(written(ANNE, 1)), held(written(ANNE, 1))
    assert differing({"n1": {**ours, "holding:x": held(written(ANNE, 9))["asset"]}, "n2": theirs}) == []
    assert differing({"n1": ours, "n2": {}}) == ["asset"]


def test_a_node_that_calls_a_document_diverged_is_believed() -> None:
    account = Account()
    account.diverged("n1", "alarm")
    assert list(account.losses) == [Loss("diverged", "n1 says that alarm has diverged")]


def test_a_dot_is_read_as_it_is_written() -> None:
    dot = written(ANNE, 7).dot
    assert dot_of(str(dot)) == dot
