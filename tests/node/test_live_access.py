"""Who may use the local API: the token, how this user finds it, and which web pages may read."""

import stat
from pathlib import Path

import pytest

from node.api_token import live_url, new_token, opens, shown_api
from node.errors import FieldmeshError
from node.exits import Exit
from node.live_view import is_welcome
from node.run_folder import run_folder


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("token=secret", []),
        ("mark=01&token=secret", []),
        ("token=%73ecret", []),
        ("", ["Bearer secret"]),
        ("", ["bearer  secret "]),
        ("token=other", ["Bearer secret"]),
    ],
)
def test_a_caller_with_the_token_is_let_in(query: str, headers: list[str]) -> None:
    assert opens("secret", query, headers)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", []),
        ("token=", []),
        ("token=secre", []),
        ("token=secrets", []),
        ("Token=secret", []),
        ("token=s%C3%A9cret", ["Bearer s\udce9cret"]),
        ("", ["Basic secret"]),
        ("", ["secret"]),
        ("&".join(["x=1"] * 100) + "&token=secret", []),
    ],
)
def test_a_caller_without_it_is_not(query: str, headers: list[str]) -> None:
    assert not opens("secret", query, headers)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://panel.localhost:3000",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:3000",
        "https://hmi.plant.example",
    ],
)
def test_a_page_of_this_machine_or_of_the_list_may_read(origin: str) -> None:
    assert is_welcome(origin, ("https://hmi.plant.example",))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://plant.example",
        "http://hmi.plant.example",  # listed with https only
        "https://hmi.plant.example.evil.example",
        "https://hmi.plant.example:8443",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://evil.example/localhost",
        "http://localhost@evil.example",
        "http://evil@localhost",
        "http://10.0.0.1",
        "file://localhost",
        "localhost",
        "http://[::1",
        "http://localhost/",
    ],
)
def test_any_other_page_may_not(origin: str) -> None:
    assert not is_welcome(origin, ("https://hmi.plant.example",))


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {32}


def test_the_way_to_the_api_is_shown_to_this_user_only_and_while_it_is_open(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    with shown_api(folder, "secret", "127.0.0.1", 8765):
        assert live_url(tmp_path) == "ws://127.0.0.1:8765/yjs?token=secret"
        assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600, 0o600]
        assert (folder / "api-token").read_text() == "secret\n"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("bound", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.0.4.2", "10.0.4.2")],
)
def test_the_address_shown_is_one_that_can_be_called(tmp_path: Path, bound: str, shown: str) -> None:
    with shown_api(run_folder(tmp_path), "secret", bound, 80):
        assert live_url(tmp_path) == f"ws://{shown}:80/yjs?token=secret"


def test_a_home_without_an_open_view_is_answered_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FieldmeshError) as caught:
        live_url(tmp_path)
    assert caught.value.exit_code is Exit.NOT_RUNNING
    assert "fieldmesh run" in caught.value.cure
