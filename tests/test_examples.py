"""What the examples show is true: each is run as a newcomer would run it, and with a node of one's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import Place

pytestmark = pytest.mark.io

EXAMPLES = Path(__file__).parent.parent / "examples"
IS_UP = "fieldmesh status --json --home node | grep '\"broker_up\": true'"
STARTED = f"for i in {{1..60}}; do {IS_UP} && exit; sleep 0.5; done; exit 1"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place(tmp_path) as place:
        yield place


def test_two_nodes_on_one_machine_see_each_other_in_a_script(place: Place) -> None:
    said = place.run(["bash", str(EXAMPLES / "who_is_here.sh")])
    assert "press-1 sees press-2 alive direct" in said
    assert said.endswith("everybody is alive\n")


def test_two_programs_talk_through_a_node_that_lives_for_a_moment(place: Place) -> None:
    said = place.run([sys.executable, str(EXAMPLES / "local_apps.py")])
    assert said.count("kN\n") == 5
    assert said.endswith("5 strokes counted\n")


def test_two_programs_talk_through_ones_own_node_and_plain_tools_hear_them(place: Place) -> None:
    port = "$((20000 + RANDOM % 10000))"
    place.run(["bash", "-c", f"fieldmesh site init --home node --site lyon --port {port} --join-port 0"])
    place.run(["bash", "-c", f"fieldmesh run --home node 2>log & {STARTED}"])
    listen = "stdbuf -oL mosquitto_sub -V 5 --unix node/run/apps.sock -t 'local/#' -v -C 5 -d >heard &"
    is_listening = "until grep -q SUBACK heard; do sleep 0.1; done"
    run = f"python {EXAMPLES / 'local_apps.py'} --home node"
    assert place.run(["bash", "-c", f"{listen} {is_listening}; {run}; wait"]).endswith("5 strokes counted\n")
    heard = (place.folder / "heard").read_text()
    assert heard.count("\nlocal/press/stroke {") == 5


def test_a_folder_without_a_node_is_answered_with_what_to_do(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "local_apps.py"), "--home", str(place.folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == f"no node runs in {place.folder}; start it: fieldmesh run --home {place.folder}\n"
    assert list(place.folder.iterdir()) == []
