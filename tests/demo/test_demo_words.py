"""What the nodes find out is told in words that fit a line."""

import pytest

from simulations.demo.words import change_in_words, detail, headline, tone_of
from simulations.lab.picture import PeerView

ALIVE = PeerView("press-2", "alive", "heard directly", True, "direct", "dialled", 1.24)
ROUND = PeerView("press-2", "alive", "no direct path; heard through press-3", False, "via press-3")
SILENT = PeerView(
    "press-2", "suspect", "silent; probes are unanswered so far", True, "direct", "dialled", 1.24
)
NO_BROKER = PeerView(
    "press-2", "broker-down", "its broker is down; heard directly", True, "direct", "hosted", 2.0
)
GONE = PeerView("press-2", "unreachable", "nobody in reach hears it; last dial: refused")
NEW = PeerView("press-2", "unreachable", "not heard since this node started")
LEFT = PeerView("press-2", "left", "it said goodbye")


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        (ALIVE, ALIVE, ""),
        (ALIVE, ROUND, ""),
        (ALIVE, SILENT, "press-1 suspects press-2: silent"),
        (SILENT, GONE, "press-1 calls press-2 unreachable: nobody in reach hears it"),
        (ALIVE, NO_BROKER, "press-1 knows that press-2's broker is down"),
        (NO_BROKER, ALIVE, "press-1 hears press-2 again"),
        (SILENT, ALIVE, "press-1 hears press-2 again"),
        (GONE, ALIVE, ""),
        (GONE, ROUND, "press-1 hears press-2 through press-3"),
        (ALIVE, LEFT, "press-1 sees that press-2 is left"),
    ],
)
def test_a_change_is_told_once_and_in_a_line(was: PeerView, now: PeerView, words: str) -> None:
    assert change_in_words("press-1", was, now) == words


@pytest.mark.parametrize(
    ("peer", "word", "more", "tone"),
    [
        (ALIVE, "alive", "direct, 1.2 ms", "good"),
        (ROUND, "alive", "via press-3, no link", "good"),
        (SILENT, "suspect", "direct", "doubt"),
        (NO_BROKER, "broker-down", "direct, 2.0 ms", "doubt"),
        (GONE, "unreachable", "no path", "bad"),
        (NEW, "not heard yet", "no path", "bad"),
    ],
)
def test_a_peer_is_a_word_and_how_it_is_reached(peer: PeerView, word: str, more: str, tone: str) -> None:
    assert (headline(peer), detail(peer), tone_of(peer)) == (word, more, tone)
