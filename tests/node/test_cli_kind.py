"""What commands say when they are used in a way that does not work."""

import json
import time
from pathlib import Path
from typing import Any

import click
import pytest

from mesh.io.broker import Broker
from mesh.io.broker_error import BrokerError
from node.cli.main import main
from node.cli.words import date
from node.config import Config
from node.errors import FieldmeshError
from node.exits import Exit
from node.fabrics import OwnFabric
from node.founding import found_site
from node.home import Home
from node.run_folder import run_folder, tidy_run_folder
from node.token_book import TokenBook


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The removals that reach a node."""
    names: list[str] = []

    def call(home: Path, verb: str, timeout_s: float, member: str, reason: str) -> dict[str, Any]:
        names.append(member)
        return {"id": "a", "name": member, "told": 2}

    monkeypatch.setattr("node.cli.member.call", call)
    return names


def test_a_removal_in_json_needs_yes(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["member", "remove", "press-2", "--json"]) == Exit.USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["cure"] == "fieldmesh member remove press-2 --yes --json"
    assert asked == []
    assert main(["member", "remove", "press-2", "--json", "--yes"]) == Exit.OK
    assert asked == ["press-2"]


@pytest.mark.parametrize("answer", [False, None])
def test_a_removal_that_is_not_meant_says_that_nothing_was_removed(
    answer: bool | None,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def confirm(_: str) -> bool:
        if answer is None:
            raise click.Abort
        return answer

    monkeypatch.setattr("node.cli.member.click.confirm", confirm)
    assert main(["member", "remove", "press-2"]) == Exit.FAILURE
    assert "nothing was removed" in capsys.readouterr().err
    assert asked == []


def test_leaving_with_no_node_running_tells_what_ends_a_membership(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leave", "--home", str(tmp_path)]) == Exit.NOT_RUNNING
    shown = capsys.readouterr().err
    assert f"no node is running in {tmp_path}, so there is nobody to say goodbye" in shown
    assert "on a steward: fieldmesh member remove NAME" in shown


def test_a_home_in_use_says_how_to_start_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found_site(tmp_path, "plant", "press-1", time.time_ns() // 1_000_000)
    assert main(["site", "init", "--site", "plant", "--home", str(tmp_path)]) == Exit.ALREADY_MEMBER
    cure = f"fieldmesh member remove NAME on a steward, stop the node, then rm -r {tmp_path}"
    assert cure in capsys.readouterr().err


def test_the_option_version_says_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == Exit.OK
    said = capsys.readouterr().out
    assert main(["--version"]) == Exit.OK
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("ttl", "says"), [("10", "no duration with its unit"), ("30d", "30d is not between 10s and 7d")]
)
def test_a_time_to_live_needs_its_unit_and_keeps_its_limits(
    ttl: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "create", "--ttl", ttl]) == Exit.USAGE
    assert says in capsys.readouterr().err


def test_a_run_folder_outside_the_home_goes_when_it_is_empty(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    home.mkdir()
    folder = run_folder(home)
    (folder / "left").touch()
    tidy_run_folder(home)
    assert folder.is_dir()
    (folder / "left").unlink()
    tidy_run_folder(home)
    assert not folder.exists()
    tidy_run_folder(home)  # a second time is no error


def test_a_run_folder_in_the_home_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.run_folder.SOCKET_PATH_BYTES_MAX", 4096)
    folder = run_folder(tmp_path)
    tidy_run_folder(tmp_path)
    assert folder == tmp_path / "run"
    assert folder.is_dir()


def test_a_used_token_is_listed_with_its_use_and_an_open_one_with_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_ms = time.time_ns() // 1_000_000
    keys = found_site(tmp_path, "plant", "press-1", now_ms)
    book = TokenBook(Home(tmp_path).database)
    used, still_open = (book.create(b"f" * 32, keys.identity.node, now_ms, 600) for _ in range(2))
    book.redeem(used.token_id, keys.identity.node, "saw-3", b"", now_ms)
    assert main(["token", "list", "--home", str(tmp_path)]) == Exit.OK
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines[used.name] == f"{used.name}  used    by saw-3 ({keys.identity.node}) {date(now_ms)}"
    assert lines[still_open.name] == f"{still_open.name}  open    until {date(still_open.expires_ms)}"


async def test_a_port_that_is_taken_names_the_file_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = found_site(tmp_path, "plant", "press-1", time.time_ns() // 1_000_000)

    async def taken(_: Broker) -> None:
        raise BrokerError("port-taken", "port 8883 is in use", "choose another with [fabric] port")

    monkeypatch.setattr(Broker, "run", taken)
    fabric = OwnFabric(Home(tmp_path), Config(), keys, lambda _: None)
    with pytest.raises(FieldmeshError) as caught:
        await fabric._supervise()
    assert caught.value.cure == f"choose another with [fabric] port in {tmp_path.resolve()}/config.toml"
    assert caught.value.exit_code == Exit.TEMPORARY
