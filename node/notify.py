"""Tells systemd how this process is: ready, alive, stopping, and a line of status. Silent without systemd."""

import os
import socket
from collections.abc import MutableMapping

STATUS_CHARS_MAX = 200  # `systemctl status` shows one line


class Notifier:
    """Sends to the socket that the service manager named; never raises, never blocks."""

    def __init__(self, address: str | None = None, watchdog_period_s: float | None = None) -> None:
        self._address = address
        self.watchdog_period_s = watchdog_period_s  # call `alive` this often; None: nobody watches

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> "Notifier":
        """As this process was started. Takes the variables away: they are not for our children."""
        address = environment.pop("NOTIFY_SOCKET", None)
        limit_us = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", str(os.getpid()))
        limit_s = int(limit_us) / 1e6 if limit_us.isascii() and limit_us.isdigit() else 0.0
        return cls(address, limit_s / 2 if limit_s > 0 and watched == str(os.getpid()) else None)

    def ready(self, status: str = "") -> None:
        """Start-up is complete. Tells the main process too, for a launcher that forks."""
        self._send("READY=1", f"MAINPID={os.getpid()}", *_status(status))

    def alive(self) -> None:
        """The main loop turns; without this systemd restarts us after its limit."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> None:
        if not self._address or self._address[0] not in "/@":
            return  # vsock and the like are for virtual machines
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError:
            return  # a node runs on without its supervisor


def _status(text: str) -> list[str]:
    line = " ".join(text.split())[:STATUS_CHARS_MAX]  # a line break would begin another assignment
    return [f"STATUS={line}"] if line else []
