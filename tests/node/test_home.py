"""The home folder: whole or absent files, keys that fit each other, private folders."""

import os
import stat
from pathlib import Path

import pytest

from mesh.trust import Root, TrustError
from node.control import socket_of
from node.errors import FieldmeshError
from node.exits import Exit
from node.files import write_file
from node.founding import admit, found_site, serial
from node.home import Home
from node.pem import certificates_in, key_in, key_pem, new_key, public_half
from node.run_folder import SOCKET_PATH_BYTES_MAX

NOW_MS = 1_800_000_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found_site(tmp_path / "first", "plant", "first", NOW_MS)
    return Home(tmp_path / "first")


def test_keys_are_loaded_as_they_were_made(home: Home) -> None:
    keys = home.load_keys()
    assert keys.root.site_name == "plant"
    assert keys.root.verify_chain(keys.chain).node == keys.identity.node
    assert keys.authority is not None


def test_an_empty_folder_is_no_home_and_the_message_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FieldmeshError, match="no node lives in") as caught:
        Home(tmp_path).load_keys()
    assert caught.value.exit_code == Exit.CONFIGURATION
    assert "fieldmesh join" in caught.value.cure
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["identity.pem", "tls.pem", "authority.pem", "root.pem"])
def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(home: Home, name: str) -> None:
    path = home.path / "keys" / name
    path.chmod(0o640)
    with pytest.raises(FieldmeshError) as caught:
        home.load_keys()
    assert (caught.value.exit_code, caught.value.cure) == (Exit.CONFIGURATION, f"chmod 600 {path}")
    path.chmod(0o600)
    home.load_keys()


@pytest.mark.parametrize("name", ["keys/identity.pem", "keys/tls.pem", "keys/authority.pem", "site/root.pem"])
@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_file_is_a_kind_error(home: Home, name: str, content: bytes) -> None:
    (home.path / name).write_bytes(content)
    with pytest.raises(FieldmeshError, match="cannot be used") as caught:
        home.load_keys()
    assert caught.value.exit_code == Exit.CONFIGURATION


@pytest.mark.parametrize("name", ["keys/identity.pem", "keys/tls.pem", "site/root.pem", "keys/authority.pem"])
def test_a_file_from_another_home_is_noticed(home: Home, tmp_path: Path, name: str) -> None:
    found_site(tmp_path / "other", "plant", "first", NOW_MS)
    write_file(home.path / name, (tmp_path / "other" / name).read_bytes())
    with pytest.raises(FieldmeshError):
        home.load_keys()


def test_a_new_chain_keeps_the_key_and_stays_private(home: Home) -> None:
    keys, before = home.load_keys(), home.tls.read_bytes()
    assert keys.authority is not None
    chain = keys.authority.issue_leaf(keys.identity.node, "first", keys.tls_public, NOW_MS + 1000, serial())
    home.install_chain(chain)
    assert home.load_keys().chain == chain
    assert public_half(key_in(home.tls.read_bytes())) == public_half(key_in(before))
    assert stat.S_IMODE(home.tls.stat().st_mode) == 0o600
    assert [each.name for each in (home.path / "keys").iterdir() if each.name.startswith(".")] == []


def test_a_chain_for_another_key_is_not_installed(home: Home, tmp_path: Path) -> None:
    before = home.tls.read_bytes()
    other = admit(home.path, tmp_path / "second", "second", NOW_MS)
    with pytest.raises(TrustError):
        home.install_chain(other.chain)
    assert home.tls.read_bytes() == before


def test_the_run_folder_is_private_and_in_the_home(home: Home) -> None:
    assert home.run_dir() == home.path / "run"
    assert stat.S_IMODE(home.run_dir().stat().st_mode) == 0o700


def test_a_long_home_gets_a_short_private_run_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "t"
    short.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(short))
    homes = [Home(tmp_path / ("x" * 100) / name) for name in "ab"]
    folders = [each.run_dir() for each in homes]
    assert folders[0] != folders[1]
    assert folders[0] == homes[0].run_dir()
    for each in folders:
        assert each.parent == short
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
        assert len(str(each / "control.sock")) <= SOCKET_PATH_BYTES_MAX


def test_a_run_folder_that_somebody_else_prepared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = Home(tmp_path / ("x" * 100))
    folder = home.run_dir()
    folder.chmod(0o777)
    with pytest.raises(FieldmeshError, match="only this user can enter"):
        home.run_dir()
    folder.rmdir()
    (tmp_path / "trap").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "trap")
    with pytest.raises(FieldmeshError):
        home.run_dir()


def somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on we are another user than the one who owns the files."""
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)


@pytest.mark.parametrize("name", ["short", "x" * 120])
def test_another_user_who_may_enter_asks_where_the_node_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = Home(tmp_path / name)
    home.path.mkdir(mode=0o700)
    folder = home.run_dir()
    somebody_else(monkeypatch)
    assert socket_of(home.path) == folder / "control.sock"
    folder.chmod(0o750)
    with pytest.raises(FieldmeshError, match="only this user can enter"):
        socket_of(home.path)


@pytest.mark.parametrize("name", ["short", "x" * 120])
def test_asking_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / name).mkdir()
    socket_of(tmp_path / name)
    assert list(tmp_path.rglob("*")) == [tmp_path / name]


def test_a_node_does_not_use_a_run_folder_of_another_user(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.run_dir()
    somebody_else(monkeypatch)
    with pytest.raises(FieldmeshError, match="only this user can enter"):
        home.run_dir()


def test_a_file_is_replaced_whole_and_a_failed_write_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        write_file(tmp_path / "private", b"")
        os.umask(0o077)
        write_file(tmp_path / "public", b"", 0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644


def test_pem_round_trips() -> None:
    key = new_key()
    assert public_half(key_in(key_pem(key))) == public_half(key)
    with pytest.raises(ValueError):
        certificates_in(b"nothing here")


def test_the_root_file_is_what_openssl_and_mosquitto_read(home: Home) -> None:
    pem = home.site_root.read_bytes()
    assert pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert Root(certificates_in(pem)[0]).fingerprint == home.load_keys().root.fingerprint
