"""The live view shows who sees whom how."""

from rich.console import Console

from simulations.lab.live import matrix
from simulations.lab.picture import PeerView, Picture, View


def test_the_matrix_has_a_row_per_observer_and_a_mark_per_peer() -> None:
    picture = Picture(["n1", "n2", "n3"])
    alive = PeerView("n2", "alive", "", True, "direct")
    unlinked = PeerView("n3", "alive", "", False, "direct")
    around = PeerView("n3", "alive", "", False, "via n1")
    lost = PeerView("n1", "unreachable")
    picture.see(View("n1", 1.0, 1.0, False, 1, {"n2": alive, "n3": unlinked}))
    picture.see(View("n2", 1.0, 1.0, True, 1, {"n1": lost, "n3": around}))
    console = Console(width=60, no_color=True)
    with console.capture() as capture:
        console.print(matrix(picture))
    rows = [line.split("│") for line in capture.get().splitlines()]
    assert [cell.strip() for cell in rows[2]] == ["n1", "", "o", "~"]
    assert [cell.strip() for cell in rows[3]] == ["n2", "x", "alone", "v"]
    assert [cell.strip() for cell in rows[4]] == ["n3", "", "", ""]
