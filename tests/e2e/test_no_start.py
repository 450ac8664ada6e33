"""A node that cannot start says why, what cures it, and ends with the code that systemd is told about."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import HOST, Machine

pytestmark = [pytest.mark.io]

CONFIGURATION, DISK, TEMPORARY = 78, 74, 75


@pytest.fixture
def node(plant: Plant) -> Machine:
    """A steward's home, not running."""
    return plant[0]


@contextmanager
def listening(port: int) -> Iterator[None]:
    """Somebody else's program holds this port."""
    with socket.create_server((HOST, port)):
        yield


def refuses_to_run(node: Machine, code: int = CONFIGURATION) -> str:
    """What it says to a person, in the end."""
    said = node.fieldmesh("run", code=code).err
    assert "error: " in said and "try: " in said
    return said


def script(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(0o755)
    return str(path)


def test_an_unknown_key_is_refused_by_name_and_the_right_one_suggested(node: Machine) -> None:
    config = node.home / "config.toml"
    config.write_text(config.read_text().replace("[fabric]", '[fabric]\nseed = ["10.0.4.2:8883"]'))
    assert "[fabric] has no key seed; did you mean seeds?" in refuses_to_run(node)
    assert "has no key seed" in node.fieldmesh("config", "validate", code=CONFIGURATION).err


def test_an_unknown_variable_is_refused_by_name(node: Machine) -> None:
    node.settings["FABRIC_PRT"] = "8883"
    assert "FIELDMESH_FABRIC_PRT is not known; did you mean FIELDMESH_FABRIC_PORT?" in refuses_to_run(node)


def test_a_broker_port_that_is_taken_is_named_with_how_to_find_who_has_it(node: Machine) -> None:
    with listening(node.port):
        said = refuses_to_run(node, TEMPORARY)
    assert f"port {node.port} on 127.0.0.1 is already in use" in said and "ss -ltnp" in said


def test_the_cure_for_a_taken_port_names_keys_that_exist(node: Machine) -> None:
    with listening(node.port):
        assert "[fabric] port" in refuses_to_run(node, TEMPORARY)


def test_a_join_port_that_is_taken_is_named(node: Machine) -> None:
    with listening(node.join_port):
        said = refuses_to_run(node, TEMPORARY)
    assert f"port {node.join_port}" in said and "join_port" in said


def test_a_missing_mosquitto_is_said_with_how_to_install_it(node: Machine) -> None:
    node.settings["BROKER_BINARY"] = str(node.folder / "nowhere" / "mosquitto")
    said = refuses_to_run(node)
    assert "no mosquitto broker at" in said and "install" in said and 'mode = "leaf"' in said


def test_a_mosquitto_that_is_too_old_is_said_with_both_versions(node: Machine) -> None:
    node.settings["BROKER_BINARY"] = script(node.folder / "old", 'echo "mosquitto version 1.6.12"')
    said = refuses_to_run(node)
    assert "is mosquitto 1.6.12; at least 2.0.11 is needed" in said


def test_a_binary_that_is_no_mosquitto_is_said(node: Machine) -> None:
    node.settings["BROKER_BINARY"] = "/bin/true"
    assert "/bin/true does not run: it does not say its version" in refuses_to_run(node)


def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(node: Machine) -> None:
    key = node.home / "keys" / "identity.pem"
    key.chmod(0o644)
    said = refuses_to_run(node)
    assert f"chmod 600 {key}" in said
    subprocess.run(said.partition("try: ")[2].split(), check=True)
    node.start().wait_until_up()


def test_a_shared_fabric_without_a_broker_to_meet_on_is_refused(node: Machine) -> None:
    node.settings["FABRIC_MODE"] = "shared"
    assert "at least one broker" in refuses_to_run(node)


def test_a_password_file_that_is_not_there_is_refused(node: Machine) -> None:
    node.settings |= {
        "FABRIC_MODE": "shared",
        "FABRIC_BROKERS": "mqtt://127.0.0.1:1",
        "FABRIC_PASSWORD_FILE": str(node.folder / "password"),
    }
    said = refuses_to_run(node)
    assert "password_file" in said and "No such file" in said


def test_an_exotic_home_with_spaces_and_a_long_path_works(plant: Plant) -> None:
    node = plant[2]
    far = node.folder / ("a folder " * 8).strip() / ("with ünusual näme " * 4).strip()
    far.mkdir(parents=True)
    node.home = node.home.rename(far / "home")
    node.start().wait_until_up()
    assert node.json("status")["name"] == "press-3"


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    folder.mkdir()
    options = f"size={kilobytes}k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes every byte that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue
    return ballast


@pytest.mark.root
def test_a_full_disk_is_said_at_the_start_and_freeing_space_is_the_cure(plant: Plant, tmp_path: Path) -> None:
    node = plant[2]
    disk = tmp_path / "disk"
    with small_disk(disk, 1024):
        subprocess.run(["cp", "-r", str(node.home), str(disk / "home")], check=True)
        node.home = disk / "home"
        ballast = fill(disk)
        said = refuses_to_run(node, DISK)
        assert "full" in said or "No space left" in said
        ballast.unlink()
        node.start().wait_until_up()
        node.end()


@pytest.mark.root
def test_a_disk_that_fills_up_is_counted_and_the_node_goes_on(plant: Plant, tmp_path: Path) -> None:
    steward, _, node = plant
    disk = tmp_path / "disk"
    with small_disk(disk, 1024):
        subprocess.run(["cp", "-r", str(node.home), str(disk / "home")], check=True)
        node.home = disk / "home"
        node.start()
        steward.start()
        node.until_states(press_1="alive")
        ballast = fill(disk)
        steward.json("member", "remove", "press-2", "--yes")  # has to be written down everywhere
        node.until(lambda: node.count("persist-failed-disk-full"), "the failure is counted")
        assert node.states()["press-1"] == "alive"
        assert "free some space" in node.log
        ballast.unlink()
        node.until(
            lambda: (node.home / "state.db").exists() and node.states()["press-2"] == "removed", "knows"
        )
        node.end()
