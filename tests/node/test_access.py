"""Another user's home: a sentence that says whose it is, not a traceback."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.access import denied, require_access
from node.cli import join, site, status  # noqa: F401 - loaded while this user still may
from node.cli.main import main
from node.control import call
from node.errors import FieldmeshError
from node.exits import Exit
from node.home import Home

NOBODY = 65534
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """In a folder that only its owner enters."""
    (tmp_path / "closed" / "home").mkdir(parents=True)
    tmp_path.chmod(0o700)
    return tmp_path / "closed" / "home"


@pytest.mark.root
@pytest.mark.parametrize("words", [["status"], ["peers"], ["site", "init", "--site", "x"], ["join", "fm1-x"]])
def test_another_users_home_is_refused_with_its_owner_and_the_command(
    words: list[str], home: Path, as_nobody: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--home", str(home)]) == Exit.CONFIGURATION
    shown = capsys.readouterr().err
    assert "belongs to root, and this user (nobody) may not use it" in shown
    command = " ".join(words[:2]) if words[0] == "site" else words[0]
    assert f"try: sudo -u root fieldmesh {command} --home {home}" in shown


@pytest.mark.root
def test_a_folder_that_can_be_seen_but_not_entered_is_refused(as_nobody: None) -> None:
    with pytest.raises(FieldmeshError, match=r"^/root belongs to root"):
        require_access(Path("/root"), "fieldmesh status")


@pytest.mark.root
def test_keys_that_are_closed_are_refused(home: Path, as_nobody: None) -> None:
    with pytest.raises(FieldmeshError, match="belongs to root"):
        Home(home).require_settled()
    with pytest.raises(FieldmeshError, match="belongs to root"):
        require_access(home, "fieldmesh status")


def test_ones_own_home_and_one_that_is_not_there_yet_are_fine(tmp_path: Path) -> None:
    require_access(tmp_path, "fieldmesh status")
    require_access(tmp_path / "new", "fieldmesh status")


def test_the_nearest_folder_that_is_there_tells_the_owner(tmp_path: Path) -> None:
    error = denied(tmp_path / "a" / "b", "fieldmesh status")
    assert error.message.startswith(f"{tmp_path} belongs to {ME}")
    assert error.cure.splitlines()[0] == f"sudo -u {ME} fieldmesh status"


def test_a_socket_that_is_closed_to_us_names_the_homes_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("node.control._connected", refuse)
    with pytest.raises(FieldmeshError, match=f"belongs to {ME}"):
        call(tmp_path, "status")
