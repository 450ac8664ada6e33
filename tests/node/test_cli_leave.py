"""`fieldmesh leave` ends when the node has ended, however its answer is printed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node.cli.main import main
from node.control import SOCKET_NAME
from node.control_server import serve_control
from node.exits import Exit
from node.lock import HomeLock, holder_of
from node.run_folder import run_folder

pytestmark = pytest.mark.io


class Node:
    """Says goodbye when asked, and holds its home until it is let go."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lock = HomeLock(home / "run" / "lock")
        self.said_goodbye = asyncio.Event()

    async def leave(self) -> dict[str, Any]:
        self.said_goodbye.set()
        return {"told": 2}

    def listening(self) -> Any:
        return serve_control(run_folder(self.home) / SOCKET_NAME, {"leave": self.leave})


@pytest.mark.parametrize("words", [["leave"], ["leave", "--json"]])
async def test_leaving_waits_until_the_node_has_let_go_of_its_home(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(tmp_path)
    async with node.listening():
        command = asyncio.create_task(asyncio.to_thread(main, [*words, "--home", str(tmp_path)]))
        await node.said_goodbye.wait()
        done, _ = await asyncio.wait([command], timeout=0.3)
        assert not done  # it has its answer, and waits for the end of the process
    node.lock.release()
    async with asyncio.timeout(5):
        assert await command == Exit.OK
    said = capsys.readouterr().out
    if "--json" in words:
        assert json.loads(said) == {"told": 2}
    else:
        assert said == "said goodbye to 2 peers; the node has stopped\n"


async def test_a_node_that_does_not_stop_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.cli.leave.STOPS_WITHIN_S", 0.1)
    node = Node(tmp_path)
    async with node.listening():
        code = await asyncio.to_thread(main, ["leave", "--home", str(tmp_path)])
    node.lock.release()
    assert code == Exit.TEMPORARY
    assert "has not stopped within 0.1 s" in capsys.readouterr().err


def test_the_holder_of_a_home_is_told_by_its_number_while_it_holds_it(tmp_path: Path) -> None:
    assert holder_of(tmp_path) == ""
    with HomeLock(tmp_path / "run" / "lock"):
        assert holder_of(tmp_path).isdigit()
    assert holder_of(tmp_path) == ""
