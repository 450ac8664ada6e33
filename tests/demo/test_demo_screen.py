"""The live picture fits a plain terminal, and shows who sees whom how."""

from pathlib import Path

import pytest
from rich.console import Console

from simulations.demo.acts import ACTS, NODES, Act
from simulations.demo.scene import Scene
from simulations.demo.screen import drawn
from simulations.lab.picture import PeerView, View
from simulations.lab.process import NodeProcess


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene({node: NodeProcess(node, None, ["true"], tmp_path / "log") for node in NODES})


def frame(scene: Scene, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, no_color=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(drawn(scene, width, height))
    return capture.get().rstrip("\n").split("\n")


def crowded(scene: Scene) -> Scene:
    """As full as it gets."""
    worst = PeerView("", "unreachable", "nobody in reach hears it; last dial: refused", False, "via press-3")
    for node in NODES:
        peers = {
            each: PeerView(each, worst.state, worst.why, False, worst.path) for each in NODES if each != node
        }
        scene.picture.see(View(node, 1.0, 1.0, True, 1, peers))
    for number in range(100):
        scene.note(f"line {number} " + "that is longer than any screen is wide " * 5, "bad")
    scene.measuring = ("mesh_formed_s", 0.0)
    return scene


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.title)
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_every_act_fits(scene: Scene, act: Act, width: int, height: int) -> None:
    crowded(scene).begin(f"1/6  {act.title}", act.text)
    lines = frame(scene, width, height)
    assert len(lines) == height
    assert max(len(line) for line in lines) <= width
    assert " ".join(lines[3].split() + lines[4].split()) == act.text
    assert "line 99" in lines[height - 2]


def test_before_the_first_act_nothing_is_claimed(scene: Scene) -> None:
    lines = frame(scene, 80, 24)
    assert len(lines) == 24
    assert "alive" not in "".join(lines)
    assert lines[9].split("│")[1].strip() == "press-1"
    assert lines[10].split("│")[1].strip() == "not a member"


def test_a_row_tells_what_its_node_says_of_each(scene: Scene) -> None:
    alive = PeerView("press-2", "alive", "heard directly", True, "direct", "hosted", 0.9)
    gone = PeerView("press-3", "unreachable", "nobody in reach hears it")
    scene.picture.see(View("press-1", 1.0, 1.0, False, 1, {"press-2": alive, "press-3": gone}))
    lines = frame(scene, 80, 24)
    assert [cell.strip() for cell in lines[9].split("│")[1:-1]] == [
        "press-1",
        "itself",
        "alive",
        "unreachable",
    ]
    assert [cell.strip() for cell in lines[10].split("│")[1:-1]] == [
        "running",
        "",
        "direct, 0.9 ms",
        "no path",
    ]


def test_a_measured_figure_is_shown_beside_those_to_come(scene: Scene) -> None:
    scene.figures.mesh_formed_s = 1.234
    assert "formed in 1.2 s     loss noticed in -     healed in -" in "".join(frame(scene, 80, 24))
