"""Nodes that meet on MQTT brokers which the site already runs."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.home import Home
from tests.e2e.conftest import Plant
from tests.e2e.machines import HOST, Machine, all_alive, free_ports, is_alive, until
from tests.e2e.wiretap import Tap, tapped

pytestmark = [pytest.mark.io]


class PlainBroker:
    """A mosquitto as somebody might already have it: anonymous, on loopback."""

    scheme = "mqtt"
    settings: tuple[str, ...] = ("allow_anonymous true",)

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.url = f"{self.scheme}://{HOST}:{port}"
        self._conf = folder / f"shared-{port}.conf"
        lines = (f"listener {port} {HOST}", "persistence false", *self.settings)
        self._conf.write_text("\n".join(lines) + "\n")
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


class GuardedBroker(PlainBroker):
    """One that the site's IT has set up as the operations page says, with a certificate of its own authority."""

    scheme = "mqtts"

    def __init__(self, folder: Path, root: Path, site: str) -> None:
        self.authority = folder / "plant-ca.pem"
        certify(folder, self.authority)
        self.access = folder / "shared.acl"
        self.access.write_text(access_list().replace("SITE", site))
        self.settings = (
            f"cafile {root}",
            f"certfile {folder / 'server.pem'}",
            f"keyfile {folder / 'server.key'}",
            "allow_anonymous false",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            f"acl_file {self.access}",
            *(["user root"] if os.geteuid() == 0 else []),
        )
        super().__init__(folder, free_ports(1)[0])

    def shut_out(self, node: str) -> None:
        """What the page tells the operator to do when a member is removed."""
        with self.access.open("a") as file:
            file.write(f"\nuser {node}\ntopic deny #\n")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)


def access_list() -> str:
    """As the operations page has it."""
    page = Path(__file__).parent.parent.parent / "docs" / "operations.md"
    (block,) = re.findall(r"^```\n((?:pattern .*\n)+)```$", page.read_text(), re.MULTILINE)
    return str(block)


def certify(folder: Path, authority: Path) -> None:
    """An authority, and a server's certificate for loopback under it."""
    key, server = str(folder / "plant-ca.key"), folder / "server"
    names = folder / "names.txt"
    names.write_text(f"subjectAltName=IP:{HOST}\n")
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*new, "-x509", "-subj", "/CN=plant", "-days", "2", "-keyout", key, "-out", str(authority))
    openssl(*new, "-subj", "/CN=broker", "-keyout", f"{server}.key", "-out", f"{server}.csr")
    by = ("-CA", str(authority), "-CAkey", key, "-CAcreateserial", "-extfile", str(names), "-days", "2")
    openssl("x509", "-req", "-in", f"{server}.csr", *by, "-out", f"{server}.pem")


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[[], PlainBroker]]:
    made: list[PlainBroker] = []

    def make() -> PlainBroker:
        made.append(PlainBroker(tmp_path, free_ports(1)[0]))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def guarded(plant: Plant, tmp_path: Path) -> Iterator[GuardedBroker]:
    first = plant[0].home
    broker = GuardedBroker(tmp_path, first / "site" / "root.pem", Home(first).load_keys().root.site)
    broker.start()
    yield broker
    broker.stop()


def meet_on(plant: Plant, *brokers: PlainBroker) -> None:
    for machine in plant:
        machine.settings |= {
            "FABRIC_MODE": "shared",
            "FABRIC_BROKERS": ",".join(broker.url for broker in brokers),
        }
        if isinstance(brokers[0], GuardedBroker):
            machine.settings["FABRIC_CA_FILE"] = str(brokers[0].authority)
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
    first.json("member", "remove", "press-3", "--yes")
    third.until(lambda: third.status()["halted"], "it knows")
    second.until_states(press_3="removed", press_1="alive")
    third.stop()
    third.start().until(lambda: third.status()["halted"], "it still knows")
    assert second.states() == {"press-1": "alive", "press-3": "removed"}


def test_the_access_list_of_the_operations_page_lets_members_talk_and_nobody_else_listen(
    plant: Plant, guarded: GuardedBroker
) -> None:
    first, second, third = plant
    meet_on(plant, guarded)
    all_alive(plant)
    assert plant[0].json("check")["healthy"] is True
    site, own, other = first.status()["site_id"], third.status()["id"], first.status()["id"]
    third.kill()
    broker = Machine(third.folder, "broker", guarded.port, 0)
    for_all, for_another = f"fm/{site}/all/{other}", f"fm/{site}/to/{other}/+"
    with tapped(broker, third, for_all, for_another, root=guarded.authority) as tap:
        until(tap.heard, "a member hears what is for all")
        first.json("member", "remove", "press-3", "--yes")
        second.until_states(press_3="removed", press_1="alive")
        guarded.shut_out(own)
        until(lambda: not heard_anew(tap), "the broker is deaf to it", 10)
        assert not any("/to/" in topic for topic in tap.heard())  # what is for another never came
    assert first.states()["press-2"] == "alive"


def heard_anew(tap: Tap) -> bool:
    """Whether anything arrives within two beats."""
    before = len(tap.heard())
    time.sleep(1.2)
    return len(tap.heard()) > before
