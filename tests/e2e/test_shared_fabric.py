"""Nodes that meet on MQTT brokers which the site already runs."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import HOST, all_alive, free_ports, is_alive, until

pytestmark = [pytest.mark.io]


class PlainBroker:
    """A mosquitto as somebody might already have it: anonymous, on loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"mqtt://{HOST}:{port}"
        self._conf = folder / f"shared-{port}.conf"
        self._conf.write_text(f"listener {port} {HOST}\nallow_anonymous true\npersistence false\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "PlainBroker":
        command = ["setpriv", "--pdeathsig", "KILL", "mosquitto", "-c", str(self._conf)]
        path = f"{os.environ['PATH']}:/usr/sbin"
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": path}
        )
        return self

    def stop(self) -> None:
        if self._process is not None and is_alive(self._process.pid):
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[[], PlainBroker]]:
    made: list[PlainBroker] = []

    def make() -> PlainBroker:
        made.append(PlainBroker(tmp_path, free_ports(1)[0]))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


def meet_on(plant: Plant, *brokers: PlainBroker) -> None:
    for machine in plant:
        machine.settings |= {
            "FABRIC_MODE": "shared",
            "FABRIC_BROKERS": ",".join(broker.url for broker in brokers),
        }
        machine.start()


def in_use(plant: Plant) -> set[str]:
    return {str(machine.status()["broker"].get("url", "")) for machine in plant}


def test_three_nodes_find_each_other_on_the_first_broker_that_answers(
    plant: Plant, make_broker: Callable[[], PlainBroker]
) -> None:
    dead, living = make_broker(), make_broker().start()
    meet_on(plant, dead, living)
    all_alive(plant)
    assert in_use(plant) == {living.url}
    assert living.url in plant[0].fieldmesh("status").out
    assert plant[0].json("check")["healthy"] is True


def test_a_broker_that_restarts_brings_everybody_back(
    plant: Plant, make_broker: Callable[[], PlainBroker]
) -> None:
    only = make_broker().start()
    meet_on(plant, only)
    all_alive(plant)
    only.stop()
    for machine in plant:
        machine.until(lambda: machine.status()["isolated"], "it knows that it is alone")  # noqa: B023 - called here
    assert "broker-down" in plant[0].findings()
    only.start()
    all_alive(plant)
    assert plant[0].count("shared_broker_lost") == 1


def test_everybody_moves_to_the_second_broker_when_the_first_dies(
    plant: Plant, make_broker: Callable[[], PlainBroker]
) -> None:
    first, second = make_broker().start(), make_broker().start()
    meet_on(plant, first, second)
    all_alive(plant)
    assert in_use(plant) == {first.url}
    first.stop()
    until(lambda: in_use(plant) == {second.url}, "everybody is on the second")
    all_alive(plant)


def test_a_removed_member_is_out_of_a_shared_fabric_too(
    plant: Plant, make_broker: Callable[[], PlainBroker]
) -> None:
    meet_on(plant, make_broker().start())
    all_alive(plant)
    first, second, third = plant
    first.json("member", "remove", "press-3")
    third.until(lambda: third.status()["halted"], "it knows")
    second.until_states(press_3="removed", press_1="alive")
    third.stop()
    third.start().until(lambda: third.status()["halted"], "it still knows")
    assert second.states() == {"press-1": "alive", "press-3": "removed"}
