"""The kernel's network, through iproute2: the one place that changes it."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from node.errors import FieldmeshError

NAMESPACES = Path("/run/netns")
_TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "setpriv": "util-linux", "mosquitto": "mosquitto"}
_IP_TIMEOUT_S = 20.0  # namespaces are made under the kernel's global lock; a loaded machine takes its time


def require_tools() -> None:
    """FieldmeshError naming the package of the first tool that is missing."""
    for tool, package in _TOOLS.items():
        if shutil.which(tool, path=search_path()) is None:
            raise FieldmeshError(f"the lab needs the program '{tool}'", f"sudo apt install {package}")


def search_path() -> str:
    """Where to look for tools: also where a plain user's PATH does not."""
    return "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"


def ip(*arguments: str) -> None:
    """One `ip` command."""
    _run(["ip", *arguments], "")


def ip_batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Several `ip` commands in one process, inside a namespace; the first that fails ends it."""
    inside = ["-n", namespace] if namespace else []
    _run(["ip", *inside, "-batch", "-"], "".join(f"{line}\n" for line in lines))


def namespaces() -> list[str]:
    """The named network namespaces of this machine."""
    return sorted(path.name for path in NAMESPACES.iterdir()) if NAMESPACES.is_dir() else []


def _run(command: list[str], text: str) -> None:
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            check=False,
            text=True,
            timeout=_IP_TIMEOUT_S,
            env={"PATH": search_path()},
        )
    except subprocess.TimeoutExpired:
        raise FieldmeshError(
            f"'{' '.join(command)}' did not end within {_IP_TIMEOUT_S:.0f} s",
            "the machine is very busy; try again when it is not",
        ) from None
    if done.returncode != 0:
        raise FieldmeshError(
            f"'{' '.join(command)}' failed: {done.stderr.strip() or f'exit code {done.returncode}'}",
            "the lab must be allowed to make network namespaces, veth pairs and bridges: run it as root on a machine\n"
            "or in a container with the capabilities NET_ADMIN and SYS_ADMIN.",
        )
