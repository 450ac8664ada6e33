"""The picture counts only what was asked for after the moment in question."""

from simulations.lab.picture import (
    PeerView,
    Picture,
    View,
    is_detour,
    is_unreachable,
    is_whole,
    is_whole_and_direct,
    pairs_among,
    pairs_between,
)

ALIVE = PeerView("n2", "alive", "heard directly", True, "direct")
ROUND = PeerView("n2", "alive", "heard through n3", False, "via n3")
GONE = PeerView("n2", "unreachable", "silent", False, "none")


def view(observer: str, asked_at: float, *peers: PeerView) -> View:
    return View(observer, asked_at, asked_at + 0.01, False, 1, {peer.name: peer for peer in peers})


def test_an_answer_to_an_older_question_proves_nothing() -> None:
    picture = Picture(["n1", "n2"])
    picture.see(view("n1", 10.0, ALIVE))
    assert picture.lacking([("n1", "n2")], 9.0, is_whole) == []
    assert picture.lacking([("n1", "n2")], 10.5, is_whole) == [("n1", "n2")]


def test_a_node_that_stopped_says_nothing_any_more() -> None:
    picture = Picture(["n1", "n2"])
    picture.see(view("n1", 10.0, ALIVE))
    picture.forget("n1")
    assert picture.says(("n1", "n2"), 0.0) is None


def test_a_peer_that_does_not_exist_is_a_stranger() -> None:
    picture = Picture(["n1", "n2"])
    picture.see(view("n1", 10.0, ALIVE, PeerView("n9", "alive")))
    assert picture.strangers(0.0) == [("n1", "n9")]


def test_whole_means_alive_and_linked() -> None:
    assert is_whole(ALIVE)
    assert is_whole_and_direct(ALIVE)
    assert not is_whole(ROUND)
    assert is_detour(ROUND)
    assert is_unreachable(GONE)
    assert not is_detour(GONE)
    assert is_whole(PeerView("n2", "alive", "", True, "via n3"))
    assert not is_whole_and_direct(PeerView("n2", "alive", "", True, "via n3"))


def test_pairs_go_both_ways() -> None:
    assert pairs_among(["a", "b"]) == [("a", "b"), ("b", "a")]
    assert pairs_between(["a"], ["b", "c"]) == [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")]


def test_what_is_lacking_is_said_in_words_and_not_without_end() -> None:
    picture = Picture([f"n{number}" for number in range(1, 6)])
    picture.see(view("n1", 10.0, GONE))
    assert picture.describe([("n1", "n2")]) == "n1 calls n2 unreachable, not linked, path none (silent)"
    assert picture.describe([("n2", "n1")] * 6).endswith("; and 2 more")
    assert picture.describe([]) == ""
