"""What anybody with a stolen folder can use on the LAN: mosquitto_sub and mosquitto_pub with a node's own keys."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.machines import HOST, Machine, until


class Tap:
    """A mosquitto_sub that listens to everything it is given, for as long as the block runs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._said = b""

    def heard(self) -> list[str]:
        """The topics of what has been delivered so far."""
        return [line for line in self._lines() if line.startswith("fm/")]

    def is_subscribed(self) -> bool:
        return any(line.startswith("Subscribed") for line in self._lines())

    def _lines(self) -> list[str]:
        assert self._process.stdout is not None
        self._said += self._process.stdout.read() or b""
        return self._said.decode(errors="replace").splitlines()


def keys_of(thief: Machine, root: Path | None = None) -> tuple[str, ...]:
    """Its certificate and key, and the root to check the broker by: the site's, unless another is given."""
    tls = str(thief.home / "keys" / "tls.pem")
    return (
        "--cafile",
        str(root or thief.home / "site" / "root.pem"),
        "--cert",
        tls,
        "--key",
        tls,
        "--insecure",
        "-V",
        "5",
        "-i",
        "anybody",
    )


@contextmanager
def tapped(broker: Machine, thief: Machine, *topics: str, root: Path | None = None) -> Iterator[Tap]:
    """The thief's session on this machine's broker, which reconnects by itself whenever it is thrown out."""
    where = ("-h", HOST, "-p", str(broker.port), *keys_of(thief, root))
    filters = [word for topic in topics for word in ("-t", topic)]
    process = subprocess.Popen(
        [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            *where,
            *filters,
            "-d",
            "-F",
            "%t",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    try:
        yield Tap(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def published(broker: Machine, thief: Machine, topic: str, payload: str) -> int:
    """The exit status of a mosquitto_pub with the thief's keys."""
    words: Sequence[str] = ("mosquitto_pub", "-h", HOST, "-p", str(broker.port), *keys_of(thief))
    done = subprocess.run([*words, "-t", topic, "-m", payload], capture_output=True, timeout=10, check=False)
    return done.returncode


def subscribed(tap: Tap) -> Tap:
    until(tap.is_subscribed, "the broker has acknowledged the subscription")
    return tap
