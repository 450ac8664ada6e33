"""Finding a usable mosquitto on this host, or saying how to get one."""

import asyncio
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mesh.io.broker_error import BrokerError

OLDEST = (2, 0, 11)  # Debian 12's; older ones lack Unix sockets, per-listener access lists or known fixes
_PLACES = (
    "/usr/sbin/mosquitto",
    "/usr/local/sbin/mosquitto",
    "/opt/mosquitto/sbin/mosquitto",
)  # no user's PATH has them
_VERSION = re.compile(r"mosquitto version (\d+)\.(\d+)(?:\.(\d+))?")
_ANSWER_S = 10.0  # a cold SD card may take seconds to load it; a hung binary must not hang the node
_INSTALL = {
    "debian": "sudo apt-get install mosquitto",
    "fedora": "sudo dnf install mosquitto",
    "rhel": "sudo dnf install epel-release && sudo dnf install mosquitto",
    "alpine": "sudo apk add mosquitto",
    "arch": "sudo pacman -S mosquitto",
    "suse": "sudo zypper install mosquitto",
}


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """A broker binary that is new enough."""

    path: str
    version: tuple[int, int, int]


async def find_mosquitto(binary: str | None) -> Mosquitto:
    """The configured binary, or the first found in the usual places; BrokerError when none will do."""
    path = _located(binary)
    version = await _version_of(path)
    if version < OLDEST:
        raise BrokerError(
            "mosquitto-too-old",
            f"{path} is mosquitto {_dotted(version)}; at least {_dotted(OLDEST)} is needed",
            f"install a newer one ({install_hint()}), or name another with [broker] binary",
        )
    return Mosquitto(path, version)


def install_hint(os_release: Path = Path("/etc/os-release")) -> str:
    """The command that installs mosquitto on this kind of system."""
    try:
        text = os_release.read_text()
    except OSError:
        text = ""
    families = " ".join(re.findall(r'^ID(?:_LIKE)?="?([^"\n]*)', text, re.MULTILINE))
    fitting = (command for family, command in _INSTALL.items() if family in families)
    return next(fitting, "see https://mosquitto.org/download/")


def _located(binary: str | None) -> str:
    candidates = (binary,) if binary else ("mosquitto", *_PLACES)
    found = next((path for path in map(shutil.which, candidates) if path), None)
    if found is None:
        raise BrokerError(
            "mosquitto-missing",
            f"no mosquitto broker at {binary}" if binary else "no mosquitto broker on this host",
            f"install it ({install_hint()}), or name one with [broker] binary;\n"
            'a node can also do without, and only dial others: [fabric] mode = "leaf"',
        )
    return found


async def _version_of(path: str) -> tuple[int, int, int]:
    try:
        said = await asyncio.to_thread(_help_of, path)
    except (OSError, TimeoutError) as error:
        raise _broken(path, str(error) or "it does not answer") from None
    match = _VERSION.search(said)
    if match is None:
        raise _broken(path, "it does not say its version")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def _help_of(path: str) -> str:
    """What it says of itself. Blocks: asyncio's own children are sometimes reaped twice when they end this soon."""
    command = [path, "-h"]
    pipe = subprocess.PIPE
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            timeout=_ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return done.stdout.decode(errors="replace")


def _broken(path: str, why: str) -> BrokerError:
    return BrokerError(
        "mosquitto-broken",
        f"{path} does not run: {why}",
        f"try `{path} -h`; reinstall it ({install_hint()}), or name another with [broker] binary",
    )


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
