"""What systemd is told, on a socket like its own."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.notify import STATUS_CHARS_MAX, Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(2.0)
        yield sock


def notifier_for(manager: socket.socket) -> Notifier:
    return Notifier(manager.getsockname())


def test_ready_alive_status_and_stopping_arrive(manager: socket.socket) -> None:
    notifier = notifier_for(manager)
    notifier.ready("3 peers")
    assert manager.recv(999) == f"READY=1\nMAINPID={os.getpid()}\nSTATUS=3 peers".encode()
    notifier.alive()
    assert manager.recv(999) == b"WATCHDOG=1"
    notifier.status("linked with 4 of 5")
    assert manager.recv(999) == b"STATUS=linked with 4 of 5"
    notifier.stopping()
    assert manager.recv(999) == b"STOPPING=1"


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0fieldmesh-test-{os.getpid()}")
        sock.settimeout(2.0)
        Notifier(f"@fieldmesh-test-{os.getpid()}").alive()
        assert sock.recv(999) == b"WATCHDOG=1"


def test_a_status_can_not_smuggle_in_another_assignment(manager: socket.socket) -> None:
    notifier_for(manager).status("all\nWATCHDOG=trigger\r\nSTOPPING=1")
    assert manager.recv(999) == b"STATUS=all WATCHDOG=trigger STOPPING=1"


def test_a_long_status_is_cut(manager: socket.socket) -> None:
    notifier_for(manager).status("x" * 5000)
    assert manager.recv(9999) == b"STATUS=" + b"x" * STATUS_CHARS_MAX


@pytest.mark.parametrize(
    "address", [None, "", "/nowhere/at/all", "vsock:2:1234", "/" + "x" * 300, "@" + "x" * 300]
)
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    notifier = Notifier(address)
    notifier.ready()
    notifier.alive()
    notifier.status("fine")
    notifier.stopping()


def test_a_manager_that_does_not_read_never_blocks_us(manager: socket.socket) -> None:
    notifier = notifier_for(manager)
    for _ in range(2000):
        notifier.alive()


def test_the_environment_is_read_once_and_not_passed_on() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }
    assert Notifier.from_environment(environment).watchdog_period_s == 15.0
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize(
    ("environment", "period_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "\u00b2"}, None),
    ],
)
def test_the_watchdog_period_is_half_of_the_limit(
    environment: dict[str, str], period_s: float | None
) -> None:
    assert Notifier.from_environment(environment).watchdog_period_s == period_s
