"""The lab's cables carry packets, and each cut cuts what it says and nothing else."""

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.lab.names import LabName
from simulations.lab.sweep import remove
from simulations.lab.topology import Topology
from tests.lab.leftovers import interfaces, leftovers

pytestmark = [pytest.mark.root, pytest.mark.io]

NODES = ("a", "b", "c")
PORT = 9000
ARRIVES_WITHIN_S = 1.0  # the first packet asks for an address; a lost question is repeated after a second
LOST_AFTER_S = 0.3
GROUP = "224.0.0.251"


class Net:
    """A topology with a UDP socket in each node's namespace."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.sockets = {node: _socket_in(topology.namespace(node)) for node in NODES}

    def arrives(self, speaker: str, listener: str, within_s: float = LOST_AFTER_S) -> bool:
        """Whether what one says reaches the other."""
        words = os.urandom(8)
        try:
            self.sockets[speaker].sendto(words, (self.topology.address(listener), PORT))
        except OSError:
            return False  # its own kernel refused
        return self._hears(listener, words, within_s)

    def casts(self, speaker: str, listener: str) -> bool:
        """Whether a multicast reaches the other."""
        words = os.urandom(8)
        self.sockets[speaker].sendto(words, (GROUP, PORT))
        return self._hears(listener, words, LOST_AFTER_S)

    def _hears(self, listener: str, words: bytes, within_s: float) -> bool:
        self.sockets[listener].settimeout(within_s)
        try:
            while self.sockets[listener].recv(64) != words:
                pass
        except TimeoutError:
            return False
        return True

    def heard_pairs(self) -> list[str]:
        return [one + other for one in NODES for other in NODES if one != other and self.arrives(one, other)]

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()


@pytest.fixture
def net() -> Iterator[Net]:
    lab = LabName.mine()
    before = interfaces()
    topology = Topology(lab, NODES)
    topology.build()
    net = Net(topology)
    for one in NODES:
        for other in NODES:
            assert one == other or net.arrives(one, other, ARRIVES_WITHIN_S)
    yield net
    assert interfaces() == before
    net.close()
    remove(lab)
    assert leftovers(str(lab)) == []


def test_everybody_reaches_everybody_by_address_and_by_multicast(net: Net) -> None:
    assert net.heard_pairs() == ["ab", "ac", "ba", "bc", "ca", "cb"]
    assert net.casts("a", "b")
    assert net.casts("a", "c")
    assert net.casts("c", "a")


def test_a_split_cuts_all_between_the_halves_and_nothing_inside_them(net: Net) -> None:
    net.topology.split(["b", "c"])
    assert net.heard_pairs() == ["bc", "cb"]
    assert net.casts("b", "c")
    assert not net.casts("a", "b")
    net.topology.heal()
    assert net.heard_pairs() == ["ab", "ac", "ba", "bc", "ca", "cb"]


def test_a_pulled_cable_cuts_one_node_off(net: Net) -> None:
    net.topology.unplug("c")
    assert net.heard_pairs() == ["ab", "ba"]
    net.topology.heal()
    assert net.arrives("c", "a", ARRIVES_WITHIN_S)
    assert net.arrives("a", "c", ARRIVES_WITHIN_S)


def test_a_muted_path_swallows_one_direction_between_one_pair_and_the_sender_is_not_told(net: Net) -> None:
    net.topology.mute("a", "b")
    net.sockets["a"].sendto(b"no error", (net.topology.address("b"), PORT))
    assert net.heard_pairs() == ["ac", "ba", "bc", "ca", "cb"]
    net.topology.heal()
    assert net.arrives("a", "b", ARRIVES_WITHIN_S)


def test_removing_twice_is_no_mistake(net: Net) -> None:
    lab = LabName.mine()
    assert any("namespace" in what for what in remove(lab))
    assert remove(lab) == []


def _socket_in(namespace: str) -> socket.socket:
    """A socket belongs to the network of the thread that made it, for good."""
    made: list[socket.socket] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{namespace}").open() as network:
            assert libc.setns(network.fileno(), 0x40000000) == 0
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", PORT))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + bytes(4))
        made.append(sock)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]
