"""Founding a site, provisioning members on the steward's machine, and the commands for it."""

import json
import stat
from pathlib import Path

import pytest

from mesh.roster import TABLE, Roster
from mesh.trust import DAY_MS
from node.cli.main import main
from node.config import load
from node.errors import FieldmeshError
from node.exits import Exit
from node.founding import admit, found_site
from node.home import Home
from node.host_name import name_of_host
from node.store import Store
from node.token_book import TokenBook
from node.tokens import parse_token

NOW_MS = 1_800_000_000_000


def roster_of(path: Path) -> Roster:
    home = Home(path)
    with Store(home.database) as store:
        return Roster(home.load_keys().root, store.load()[TABLE])


def test_the_founder_is_a_steward_with_a_root_of_its_own(tmp_path: Path) -> None:
    keys = found_site(tmp_path / "a", "plant", "first", NOW_MS, port=9000)
    member = keys.root.verify_chain(keys.chain, NOW_MS)
    assert (member.name, member.is_steward, member.steward) == ("first", True, keys.identity.node)
    assert member.not_after_ms == NOW_MS + 30 * DAY_MS
    assert Home(tmp_path / "a").root_key.exists()
    assert roster_of(tmp_path / "a").members() == (keys.identity.node,)
    assert load(Home(tmp_path / "a").config, {}).fabric.port == 9000
    assert not Home(tmp_path / "a").unfinished.exists()


def test_two_sites_of_one_name_are_two_sites(tmp_path: Path) -> None:
    one, two = (found_site(tmp_path / each, "plant", "first", NOW_MS) for each in "ab")
    assert one.root.site != two.root.site


def test_a_provisioned_member_and_the_steward_know_each_other(tmp_path: Path) -> None:
    first = found_site(tmp_path / "a", "plant", "first", NOW_MS)
    second = admit(tmp_path / "a", tmp_path / "b", "second", NOW_MS, port=9001)
    third = admit(tmp_path / "a", tmp_path / "c", "third", NOW_MS, certificate_days=0.5)
    assert third.root.verify_chain(third.chain).not_after_ms == NOW_MS + DAY_MS // 2
    assert roster_of(tmp_path / "b").members() == tuple(sorted([first.identity.node, second.identity.node]))
    assert roster_of(tmp_path / "a").members() == roster_of(tmp_path / "c").members()
    assert (second.authority, Home(tmp_path / "b").root_key.exists()) == (None, False)
    assert load(Home(tmp_path / "c").config, {}).trust.certificate_days == 0.5


def test_a_provisioned_steward_can_admit_and_cannot_make_stewards(tmp_path: Path) -> None:
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    second = admit(tmp_path / "a", tmp_path / "b", "second", NOW_MS, as_steward=True)
    assert second.root.verify_chain(second.chain).is_steward
    third = admit(tmp_path / "b", tmp_path / "c", "third", NOW_MS)
    assert third.root.verify_chain(third.chain).steward == second.identity.node
    with pytest.raises(FieldmeshError) as caught:
        admit(tmp_path / "b", tmp_path / "d", "fourth", NOW_MS, as_steward=True)
    assert caught.value.exit_code == Exit.NOT_A_STEWARD
    assert not (tmp_path / "d").exists()


def test_a_member_cannot_admit(tmp_path: Path) -> None:
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    admit(tmp_path / "a", tmp_path / "b", "second", NOW_MS)
    with pytest.raises(FieldmeshError) as caught:
        admit(tmp_path / "b", tmp_path / "c", "third", NOW_MS)
    assert caught.value.exit_code == Exit.NOT_A_STEWARD


def test_a_name_is_given_once(tmp_path: Path) -> None:
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    with pytest.raises(FieldmeshError) as caught:
        admit(tmp_path / "a", tmp_path / "b", "first", NOW_MS)
    assert caught.value.exit_code == Exit.NAME_TAKEN
    assert not (tmp_path / "b").exists()


def test_a_running_steward_is_not_written_behind_its_back(tmp_path: Path) -> None:
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    with Store(tmp_path / "a" / "state.db"), pytest.raises(FieldmeshError) as caught:
        admit(tmp_path / "a", tmp_path / "b", "second", NOW_MS)
    assert caught.value.exit_code == Exit.ALREADY_MEMBER
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["", "Plant", "two words", "a" * 41, "-x", "x-", "ü"])
def test_a_bad_name_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(FieldmeshError) as caught:
        found_site(tmp_path / "a", "plant", name, NOW_MS)
    assert caught.value.exit_code == Exit.USAGE
    assert not (tmp_path / "a").exists()


def test_a_bad_configuration_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FieldmeshError):
        found_site(tmp_path / "a", "plant", "first", NOW_MS, port=8884)
    assert not (tmp_path / "a").exists()


def test_a_founding_that_was_cut_short_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("node.settling._write_rows", power_cut)
        with pytest.raises(KeyboardInterrupt):
            found_site(tmp_path / "a", "plant", "first", NOW_MS)
    assert not Home(tmp_path / "a").is_settled
    keys = found_site(tmp_path / "a", "plant", "first", NOW_MS)
    assert Home(tmp_path / "a").load_keys().identity.node == keys.identity.node


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FieldmeshError) as caught:
        found_site(tmp_path / "file" / "a", "plant", "first", NOW_MS)
    assert caught.value.exit_code == Exit.DISK


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Press-4.factory.local", "press-4"),
        ("DESKTOP_17", "desktop-17"),
        ("..", "node"),
        ("x" * 63, "x" * 40),
        ("ü1", "1"),
    ],
)
def test_a_name_is_made_of_the_hosts(host: str, name: str) -> None:
    assert name_of_host(host) == name


# ---------------------------------------------------------------- the commands


def test_site_init_prints_where_the_root_key_is_and_to_move_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["site", "init", "--home", str(tmp_path / "a"), "--site", "plant", "--name", "first"]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "a" / "keys" / "root.pem") in out
    assert "safe place offline" in out
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_site_init_refuses_a_home_that_is_not_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["site", "init", "--home", str(tmp_path), "--site", "plant", "--json"]) == 19
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "already-member"


def test_token_create_prints_the_token_alone_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    assert main(["token", "create", "--home", str(tmp_path / "a"), "--seed", "10.0.0.7:8884"]) == 0
    token = parse_token(capsys.readouterr().out)
    assert str(token.seeds[0]) == "10.0.0.7:8884"
    assert len(token.seeds) <= 5
    row = TokenBook(tmp_path / "a" / "state.db").find(token.token_id)
    assert row is not None
    assert row.expires_ms - row.created_ms == 600_000


def test_token_list_and_revoke_tell_states_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path / "a"), "--json"]
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    main(["token", "create", "--ttl", "2h", "--steward", *home])
    made = json.loads(capsys.readouterr().out)
    assert main(["token", "revoke", made["token"], *home]) == 0
    capsys.readouterr()
    assert main(["token", "list", *home]) == 0
    listed = capsys.readouterr().out
    (only,) = json.loads(listed)["tokens"]
    assert (only["id"], only["state"], only["for_steward"]) == (made["id"], "revoked", True)
    assert made["token"] not in listed


def test_tokens_are_made_by_stewards_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found_site(tmp_path / "a", "plant", "first", NOW_MS)
    admit(tmp_path / "a", tmp_path / "b", "second", NOW_MS, as_steward=True)
    admit(tmp_path / "a", tmp_path / "c", "third", NOW_MS)
    assert main(["token", "create", "--home", str(tmp_path / "c")]) == Exit.NOT_A_STEWARD
    assert main(["token", "create", "--steward", "--home", str(tmp_path / "b")]) == Exit.NOT_A_STEWARD
    assert "root key" in capsys.readouterr().err


@pytest.mark.parametrize("ttl", ["1x", "5s", "8d", "-1m", ""])
def test_a_bad_ttl_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], ttl: str) -> None:
    assert main(["token", "create", "--ttl", ttl, "--home", str(tmp_path)]) == Exit.USAGE
    assert "--ttl" in capsys.readouterr().err


def test_join_with_a_mistyped_token_says_so_and_makes_no_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", "fm1-nonsense", "--home", str(tmp_path / "b")]) == Exit.TOKEN_WRONG
    assert "copy the whole token again" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.io
def test_join_tells_that_the_steward_was_not_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import time

    keys = found_site(tmp_path / "a", "plant", "first", NOW_MS)
    token = TokenBook(tmp_path / "a" / "state.db").create(
        keys.root.fingerprint, keys.identity.node, time.time_ns() // 1_000_000, 600
    )
    arguments = [
        "join",
        token.text(),
        "--seed",
        "127.0.0.1:9",
        "--timeout",
        "1s",
        "--home",
        str(tmp_path / "b"),
        "--json",
    ]
    assert main(arguments) == Exit.STEWARD_NOT_FOUND
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 13
    assert not (tmp_path / "b").exists()
