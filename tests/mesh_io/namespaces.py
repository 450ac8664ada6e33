"""Network namespaces joined by bridges, gone without a trace when the block ends or this process dies.

Each namespace has no name: it is held by a `cat` that ends when our end of its pipe closes, however we end,
and the kernel removes a namespace, its veths and its bridges with its last process. The bridges live in a
namespace of their own, so nothing ever exists in the machine's root namespace.
"""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence

_HOLD = "ip link set lo up && echo ready && exec cat"
_STOP_S_MAX = 5.0


class Network:
    """Hosts (namespaces) with interfaces plugged into bridges. Made by `network`."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self._bridges: set[str] = set()
        self.add_host("switch")

    def add_host(self, host: str) -> None:
        """A new machine with nothing but its loopback interface."""
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._stack.callback(_end, holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != b"ready\n":
            raise RuntimeError("could not make a network namespace; this needs root")
        self._holders[host] = holder

    def plug(self, host: str, interface: str, address: str, bridge: str = "lan") -> None:
        """Gives the host an interface with this address (CIDR), cabled to the bridge."""
        if bridge not in self._bridges:
            self._bridges.add(bridge)
            self.ip("switch", "link", "add", bridge, "type", "bridge")
            self.ip("switch", "link", "set", bridge, "up")
        port, pid = f"{host}-{interface}", str(self._holders[host].pid)
        self.ip("switch", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", pid)
        self.ip("switch", "link", "set", port, "master", bridge, "up")
        nodad = ["nodad"] if ":" in address else []
        self.ip(host, "address", "add", address, "dev", interface, *nodad)
        self.ip(host, "link", "set", interface, "up")

    def unplug(self, host: str, interface: str) -> None:
        """Pulls the cable out of the host: its interface loses the carrier."""
        self.ip("switch", "link", "set", f"{host}-{interface}", "down")

    def replug(self, host: str, interface: str) -> None:
        self.ip("switch", "link", "set", f"{host}-{interface}", "up")

    def cut(self, host: str, interface: str) -> None:
        """Takes the port off its bridge: nothing passes, and the host sees nothing of it."""
        self.ip("switch", "link", "set", f"{host}-{interface}", "nomaster")

    def heal(self, host: str, interface: str, bridge: str = "lan") -> None:
        self.ip("switch", "link", "set", f"{host}-{interface}", "master", bridge)

    def ip(self, host: str, *words: str) -> None:
        """Runs `ip` inside the host."""
        subprocess.run(self.inside(host, ["ip", *words]), check=True, capture_output=True)

    def inside(self, host: str, command: Sequence[str]) -> list[str]:
        """The command that runs `command` inside the host."""
        return ["nsenter", "--target", str(self._holders[host].pid), "--net", *command]


@contextlib.contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """A network in which these hosts exist, unplugged. Needs root."""
    with contextlib.ExitStack() as stack:
        made = Network(stack)
        for host in hosts:
            made.add_host(host)
        yield made


@contextlib.contextmanager
def lan(*hosts: str) -> Iterator[Network]:
    """Hosts with an `eth0` each on one bridge: the first is 10.77.0.1."""
    with network(*hosts) as made:
        for number, host in enumerate(hosts, start=1):
            made.plug(host, "eth0", f"10.77.0.{number}/24")
        yield made


def _end(holder: subprocess.Popen[bytes]) -> None:
    for pipe in (holder.stdin, holder.stdout):
        if pipe is not None:
            pipe.close()
    try:
        holder.wait(_STOP_S_MAX)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()
