"""The journal tells each change once, and does not believe those that have been killed."""

from pathlib import Path

import pytest

from simulations.demo.scene import Scene
from simulations.lab.picture import PeerView, View
from simulations.lab.process import NodeProcess


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    names = ("press-1", "press-2")
    scene = Scene({name: NodeProcess(name, None, ["sleep", "60"], tmp_path / "log") for name in names})
    scene.start(*names)
    return scene


def says(scene: Scene, observer: str, peer: str, state: str, linked: bool) -> None:
    at = scene.picture.views[observer].asked_at + 1 if observer in scene.picture.views else 1e12
    view = PeerView(peer, state, "because", linked, "direct" if linked else "none")
    scene.see(View(observer, at, at, False, 1, {peer: view}))


def told(scene: Scene) -> list[str]:
    return [line.text for line in scene.journal]


async def test_a_link_is_news_when_both_ends_have_it_and_when_neither_has(scene: Scene) -> None:
    async with scene:
        says(scene, "press-1", "press-2", "alive", True)
        assert told(scene) == []
        says(scene, "press-2", "press-1", "alive", True)
        says(scene, "press-1", "press-2", "alive", True)
        assert told(scene) == ["press-1 and press-2 are linked"]
        says(scene, "press-1", "press-2", "alive", False)
        assert told(scene) == ["press-1 and press-2 are linked"]
        says(scene, "press-2", "press-1", "alive", False)
        assert told(scene)[1:] == ["the link between press-1 and press-2 is gone"]


async def test_what_a_node_says_first_is_no_change(scene: Scene) -> None:
    async with scene:
        says(scene, "press-1", "press-2", "unreachable", False)
        assert told(scene) == []
        says(scene, "press-1", "press-2", "suspect", False)
        assert told(scene) == ["press-1 suspects press-2: because"]


async def test_a_killed_nodes_last_words_and_links_are_no_news(scene: Scene) -> None:
    async with scene:
        says(scene, "press-1", "press-2", "alive", True)
        says(scene, "press-2", "press-1", "alive", True)
        scene.kill("press-2")
        assert scene.status("press-2") == "killed"
        scene.see(View("press-2", 1.0, 1.0, False, 1, {"press-1": PeerView("press-1", "suspect", "because")}))
        says(scene, "press-1", "press-2", "unreachable", False)
        assert told(scene) == ["press-1 and press-2 are linked", "press-1 calls press-2 unreachable: because"]


async def test_a_status_follows_a_node_through_its_life(scene: Scene) -> None:
    async with scene:
        assert scene.status("press-1") == "starting"
        says(scene, "press-1", "press-2", "alive", True)
        assert scene.status("press-1") == "running"
        scene.see(View("press-1", 2e12, 2e12, True, 1, {}))
        assert scene.status("press-1") == "hears nobody"
    assert scene.processes["press-1"].exit_code() == -9
