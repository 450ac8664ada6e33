"""`fieldmesh check` on plants where something is wrong: what it finds, and the cure that it names."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import HOST, Machine, all_alive, all_linked, brokers_under, free_ports, until

pytestmark = [pytest.mark.io]


@contextmanager
def silent(port: int) -> Iterator[None]:
    """A port that takes connections and never answers, as behind some firewalls."""
    with socket.create_server((HOST, port)):
        yield


def finds(machine: Machine, code: str) -> dict[str, str]:
    """The finding of this kind, as soon as there is one."""

    def found() -> list[dict[str, str]]:
        return [each for each in machine.ask("check")["findings"] if each["code"] == code]

    return machine.until(found, f"finds {code}")[0]


def test_a_stopped_node_is_found_with_what_to_do(running: Plant) -> None:
    first, _, third = running
    third.stop()
    found = finds(first, "unreachable")
    assert found["what"] == "press-3 is unreachable: it was stopped"
    first.until(lambda: "start fieldmesh there" in finds(first, "unreachable")["cure"], "the cure")
    said = first.fieldmesh("check").out  # one node off is a warning, not an error
    assert "press-3 is unreachable" in said and "cure: " in said


def test_seeds_that_lead_nowhere_are_found_each_with_its_own_cure(plant: Plant) -> None:
    first, second, _ = plant
    stranger_port, closed, hung = free_ports(3)
    stranger = Machine(first.folder / "paris", "press-9", stranger_port, free_ports(1)[0])
    stranger.folder.mkdir()
    stranger.found("paris")
    seeds = [stranger.port, closed, hung, first.join_port]
    second.settings["FABRIC_SEEDS"] = ",".join(f"{HOST}:{port}" for port in seeds)
    with silent(hung):
        try:
            for machine in (stranger, first, second):
                machine.start()
            all_alive([first, second])
            assert finds(second, "wrong-root")["what"].startswith(f"the seed {HOST}:{stranger_port} shows")
            assert finds(second, "seed-refused")["what"] == f"nothing listens at the seed {HOST}:{closed}"
            assert finds(second, "seed-silent")["what"] == f"the seed {HOST}:{hung} does not answer"
            found = finds(second, "seed-not-a-node")
            assert f"{HOST}:{first.join_port}" in found["what"] and "join port" in found["cure"]
            assert second.json("check", code=20)["findings"][0]["code"] == "wrong-root"
            assert stranger.count("broker_refused_client") > 0
        finally:
            stranger.end()


def test_a_peer_that_was_set_up_anew_under_another_root_is_found(running: Plant) -> None:
    first, _, third = running
    third.stop()
    imposter = Machine(third.folder / "anew", "press-3", third.port, third.join_port)
    imposter.folder.mkdir()
    imposter.found("lyon")
    imposter.start()
    try:
        assert finds(first, "wrong-root")["what"] == "press-3 shows a certificate of another root"
    finally:
        imposter.end()


def test_a_peer_whose_port_is_blocked_is_found(running: Plant) -> None:
    first, _, third = running
    third.kill()
    until(lambda: not brokers_under(third.home), "the port is free")
    with silent(third.port):
        first.until(lambda: "open its broker's port" in finds(first, "unreachable")["cure"], "the cure")


def test_a_node_that_was_removed_while_it_was_away_is_told_what_may_be_wrong(running: Plant) -> None:
    first, second, third = running
    third.stop()
    first.json("member", "remove", "press-3", "--yes")
    second.until_states(press_3="removed")
    third.start()
    third.until(
        lambda: third.status()["halted"] or "greeting-unanswered" in third.findings(),
        "it is told, or guesses",
    )
    assert second.states() == {"press-1": "alive", "press-3": "removed"}


def test_two_leaves_that_hear_each_other_through_a_third_are_well(plant: Plant) -> None:
    hub, *leaves = plant
    for leaf in leaves:
        leaf.settings["FABRIC_MODE"] = "leaf"
    for machine in plant:
        machine.start()
    all_alive(plant)
    all_linked([hub])
    for machine in plant:
        machine.until(lambda: machine.findings() == [], "all is well")  # noqa: B023 - called here
