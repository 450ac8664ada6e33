"""The lab's network: one switch namespace with two bridges, one namespace per node, and cables that can be cut.

Nothing of it is ever in the machine's own network: each veth pair is born between two namespaces, and goes with
them. A cut is made where a real one would be: a cable moved to another switch, a cable pulled, a path that
swallows what one machine sends to one other.
"""

from collections.abc import Sequence

from simulations.lab.kernel import ip_batch
from simulations.lab.names import LabName

SUBNET = "10.77.0"
NODES_MAX = 30  # up to there everybody links with everybody, which is what the lab waits for
_LEFT, _RIGHT = "left", "right"
_NOWHERE = "02:00:00:00:00:fe"  # a MAC address that nobody has


class Topology:
    """The cables of one lab. Nodes are named, their first comes first in addresses too."""

    def __init__(self, lab: LabName, nodes: Sequence[str]) -> None:
        assert 1 <= len(nodes) <= NODES_MAX
        self._lab = lab
        self._places = {node: place for place, node in enumerate(nodes, start=1)}
        self._switch = lab.namespace("switch")
        self._muted: list[tuple[str, str]] = []

    def namespace(self, node: str) -> str:
        return self._lab.namespace(f"node-{self._places[node]}")

    def address(self, node: str) -> str:
        return f"{SUBNET}.{self._places[node]}"

    def build(self) -> None:
        """All namespaces, bridges and cables, every node on the left bridge."""
        ip_batch(f"netns add {name}" for name in [self._switch, *map(self.namespace, self._places)])
        ip_batch(self._switch_lines(), self._switch)
        for node in self._places:
            ip_batch(self._node_lines(node), self.namespace(node))

    def split(self, moved: Sequence[str]) -> None:
        """These nodes' cables go to the other switch: they hear each other and nobody else."""
        ip_batch((f"link set {self._port(node)} master {_RIGHT}" for node in moved), self._switch)

    def unplug(self, node: str) -> None:
        """This node's cable is pulled."""
        ip_batch([f"link set {self._port(node)} down"], self._switch)

    def mute(self, speaker: str, listener: str) -> None:
        """What `speaker` sends to `listener` leaves and never arrives; all else goes on.

        A false MAC address, not a blackhole route: with a route the sender's kernel would tell it at once.
        """
        ip_batch(
            [f"neigh replace {self.address(listener)} lladdr {_NOWHERE} dev eth0 nud permanent"],
            self.namespace(speaker),
        )
        self._muted.append((speaker, listener))

    def heal(self) -> None:
        """Every cable back in its place."""
        for speaker, listener in self._muted:
            ip_batch([f"neigh del {self.address(listener)} dev eth0"], self.namespace(speaker))
        self._muted.clear()
        ip_batch((f"link set {self._port(node)} master {_LEFT} up" for node in self._places), self._switch)

    def _port(self, node: str) -> str:
        return f"port{self._places[node]}"

    def _switch_lines(self) -> list[str]:
        bridges = [
            line
            for bridge in (_LEFT, _RIGHT)
            # without a forward delay of zero a cable would stay dumb for 15 s after it was plugged in
            for line in (
                f"link add {bridge} type bridge forward_delay 0 mcast_snooping 0",
                f"link set {bridge} addrgenmode none up",
            )
        ]
        cables = [
            line
            for node in self._places
            for line in (
                f"link add {self._port(node)} type veth peer name eth0 netns {self.namespace(node)}",
                f"link set {self._port(node)} addrgenmode none",
                f"link set {self._port(node)} master {_LEFT} up",
            )
        ]
        return ["link set lo up", *bridges, *cables]

    def _node_lines(self, node: str) -> list[str]:
        return [
            "link set lo up",
            "link set eth0 addrgenmode none",  # one address family: a path cut in IPv4 must not live on in IPv6
            f"addr add {self.address(node)}/24 dev eth0",
            "link set eth0 up",
            "route add 224.0.0.0/4 dev eth0",
        ]
