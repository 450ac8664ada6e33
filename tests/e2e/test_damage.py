"""Homes that have been damaged: the node says what happened, and comes back with what its peers know."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import Machine, all_linked

pytestmark = [pytest.mark.io]


def truncate(database: Path) -> None:
    with database.open("r+b") as file:
        file.truncate(5000)


def scribble(database: Path) -> None:
    with database.open("r+b") as file:
        file.write(b"\xff" * 4096)


def flip_everywhere(database: Path) -> None:
    data = bytearray(database.read_bytes())
    for at in range(4096, len(data), 512):
        data[at] ^= 0xFF
    database.write_bytes(data)


@pytest.fixture
def stopped(running: Plant) -> Machine:
    """The third node, after it has met the others and stopped in good order."""
    assert running[2].stop() == 0
    return running[2]


@pytest.mark.parametrize(
    ("damage", "line"), [(truncate, "store-damaged"), (scribble, "store-not-a-database")]
)
def test_a_damaged_database_is_mended_and_the_node_goes_on_and_learns_from_its_peers(
    running: Plant, stopped: Machine, damage: Callable[[Path], None], line: str
) -> None:
    first, _, third = running
    incarnation = first.peers()["press-3"]["incarnation"]
    damage(third.home / "state.db")
    third.start()
    all_linked(running)
    assert (third.home / "state.db.damaged-1").exists()
    assert line in third.log and third.count(line) == 1
    assert first.peers()["press-3"]["incarnation"] > incarnation  # never one that was used before
    assert third.stop() == 0
    third.start()
    all_linked(running)
    assert third.count(line) == 0  # it has been said


def test_a_database_that_is_gone_is_learnt_again(running: Plant, stopped: Machine) -> None:
    first, _, third = running
    incarnation = first.peers()["press-3"]["incarnation"]
    for path in third.home.glob("state.db*"):
        path.unlink()
    third.start()
    all_linked(running)
    assert third.json("member", "list")["members"][0]["name"]
    assert third.count("store-missing") == 1
    assert first.peers()["press-3"]["incarnation"] > incarnation


def test_flipped_bits_crash_nothing(running: Plant, stopped: Machine) -> None:
    flip_everywhere(running[2].home / "state.db")
    running[2].start()
    all_linked(running)


def test_a_certificate_of_another_node_is_refused_with_what_to_do(plant: Plant) -> None:
    second, third = plant[1:]
    shutil.copy(second.home / "keys" / "tls.pem", third.home / "keys" / "tls.pem")
    said = third.fieldmesh("run", code=78).err
    assert "belongs to another node" in said and "restore" in said


def test_a_key_that_is_cut_short_is_refused_with_what_to_do(plant: Plant) -> None:
    third = plant[2]
    key = third.home / "keys" / "identity.pem"
    key.write_bytes(key.read_bytes()[:40])
    said = third.fieldmesh("run", code=78).err
    assert "cannot be used" in said and "restore" in said
