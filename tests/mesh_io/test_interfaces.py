"""Which interfaces count as usable, and how soon their coming and going is noticed."""

import asyncio
import functools
import ipaddress
import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mesh.io import interfaces, rtnetlink
from mesh.io.interfaces import Interface, InterfaceWatch, multicast_hosts, usable_interfaces
from mesh.io.rtnetlink import Link
from tests.mesh_io.namespaces import Network, network

UP = rtnetlink.LINK_UP | rtnetlink.LINK_RUNNING
ROOT = Path(__file__).parents[2]


def link(name: str, flags: int, *addresses: str, address_flags: int = 0, index: int = 7) -> Link:
    return Link(index, name, flags, [(ipaddress.ip_interface(each), address_flags) for each in addresses])


LOOPBACK = link("lo", UP | rtnetlink.LINK_LOOPBACK, "127.0.0.1/8", "::1/128", index=1)
WIRED = link("eth0", UP | rtnetlink.LINK_MULTICAST, "192.0.2.5/24", "fe80::1/64", "fd00::5/64", index=2)


def names_of(found: list[Link], monkeypatch: pytest.MonkeyPatch, **choice: list[str]) -> list[str]:
    monkeypatch.setattr(interfaces, "_links", lambda: found)
    return [each.name for each in usable_interfaces(**choice)]


def test_loopback_is_left_out_when_there_is_another_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of([LOOPBACK, WIRED], monkeypatch) == ["eth0"]


def test_loopback_alone_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of([LOOPBACK], monkeypatch) == ["lo"]


def test_loopback_is_used_beside_others_when_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of([LOOPBACK, WIRED], monkeypatch, include=["lo", "eth0"]) == ["lo", "eth0"]


def test_an_interface_without_a_carrier_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    unplugged = link("eth0", rtnetlink.LINK_UP | rtnetlink.LINK_MULTICAST, "192.0.2.5/24")
    assert names_of([LOOPBACK, unplugged], monkeypatch) == ["lo"]


def test_an_interface_without_an_address_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of([LOOPBACK, link("eth0", UP, "fe80::1/64")], monkeypatch) == ["lo"]


def test_names_can_be_included_and_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    office = link("eth1", UP | rtnetlink.LINK_MULTICAST, "198.51.100.5/24")
    assert names_of([LOOPBACK, WIRED, office], monkeypatch, include=["eth1"]) == ["eth1"]
    assert names_of([LOOPBACK, WIRED, office], monkeypatch, exclude=["eth1"]) == ["eth0"]
    assert names_of([LOOPBACK, WIRED, office], monkeypatch, include=["eth9"]) == []


def test_no_interface_at_all_is_an_empty_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of([], monkeypatch) == []


def test_link_local_and_unsettled_ipv6_addresses_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "_links", lambda: [WIRED])
    assert usable_interfaces()[0].hosts == ("192.0.2.5", "fd00::5")
    for flag in (
        rtnetlink.ADDRESS_TENTATIVE,
        rtnetlink.ADDRESS_DAD_FAILED,
        rtnetlink.ADDRESS_DEPRECATED,
        rtnetlink.ADDRESS_TEMPORARY,
    ):
        unsettled = link("eth0", UP, "192.0.2.5/24", "fd00::5/64", address_flags=flag)
        monkeypatch.setattr(interfaces, "_links", lambda found=unsettled: [found])
        assert usable_interfaces()[0].hosts == ("192.0.2.5",)


def test_multicast_goes_out_once_per_family_and_interface() -> None:
    many = tuple(ipaddress.ip_interface(each) for each in ("192.0.2.5/24", "192.0.2.6/24", "fd00::5/64"))
    silent = Interface("tun0", 3, (ipaddress.ip_interface("198.51.100.1/32"),), multicast=False)
    assert multicast_hosts([Interface("eth0", 2, many, multicast=True), silent]) == ["192.0.2.5", "fd00::5"]


def test_an_interface_holds_the_addresses_of_its_networks() -> None:
    wired = Interface("eth0", 2, (ipaddress.ip_interface("192.0.2.5/24"),), multicast=True)
    assert wired.holds("192.0.2.99")
    assert not wired.holds("198.51.100.1")
    assert not wired.holds("fd00::1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 3,
        struct.pack("=IHHII", 4, 16, 0, 0, 0),  # a length shorter than its own header
        struct.pack("=IHHII", 0xFFFFFFFF, 16, 0, 0, 0),
        struct.pack("=IHHII", 20, 16, 0, 0, 0) + b"\x00" * 4,  # a link message cut short
    ],
)
def test_odd_notifications_name_no_link(data: bytes) -> None:
    assert rtnetlink.links_down(data) == frozenset()


def test_the_c_library_finds_the_same_addresses_as_the_kernel() -> None:
    by_kernel = {str(address.ip) for each in rtnetlink.links() for address, _ in each.addresses}
    by_library = {
        str(address.ip) for each in interfaces._links_by_getifaddrs() for address, _ in each.addresses
    }
    assert {each for each in by_kernel if ":" not in each} == {each for each in by_library if ":" not in each}


async def test_without_notifications_the_interfaces_are_looked_at_every_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise PermissionError("no AF_NETLINK here")

    monkeypatch.setattr(rtnetlink, "subscribe", refuse)
    monkeypatch.setattr(interfaces, "POLL_S", 0.01)
    watch = InterfaceWatch()
    assert await asyncio.wait_for(watch.changed(), 2.0) == frozenset()
    watch.close()


WATCHER = """
import asyncio, json, time
from mesh.io.interfaces import InterfaceWatch, usable_interfaces
async def main():
    watch = InterfaceWatch()
    while True:
        found = [(each.name, each.hosts) for each in usable_interfaces()]
        print(json.dumps({"found": found}), flush=True)
        await watch.changed()
asyncio.run(main())
"""


class Watcher:
    """A process inside a namespace that prints the usable interfaces whenever something changes."""

    def __init__(self, net: Network, host: str) -> None:
        self.process = subprocess.Popen(
            net.inside(host, [sys.executable, "-c", WATCHER]),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def until(self, found: Sequence[Sequence[object]]) -> None:
        """Reads on until exactly these are usable; the test's own timeout is the deadline."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if json.loads(line)["found"] == found:
                return
        raise AssertionError("the watcher ended")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.root
@pytest.mark.timeout(20)
def test_interfaces_coming_and_going_are_noticed_as_they_happen() -> None:
    lo, wired = ["lo", ["127.0.0.1"]], ["eth0", ["10.77.0.1"]]
    with network("a") as net:
        watcher = Watcher(net, "a")
        try:
            watcher.until([lo])
            net.plug("a", "eth0", "10.77.0.1/24")
            watcher.until([wired])
            net.unplug("a", "eth0")
            watcher.until([lo])
            net.replug("a", "eth0")
            watcher.until([wired])
            net.ip("a", "address", "add", "10.88.0.1/24", "dev", "eth0")
            watcher.until([["eth0", ["10.77.0.1", "10.88.0.1"]]])
            net.ip("a", "link", "delete", "eth0")
            watcher.until([lo])
        finally:
            watcher.end()


@pytest.mark.root
@pytest.mark.timeout(20)
def test_a_network_leaves_nothing_behind_even_when_its_maker_is_killed() -> None:
    before = {each.name for each in rtnetlink.links()}
    maker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from tests.mesh_io.namespaces import lan\n"
            "with lan('a', 'b') as net:\n"
            "    print(*(holder.pid for holder in net._holders.values()), flush=True)\n"
            "    input()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert maker.stdout is not None and maker.stdin is not None
    holders = [int(pid) for pid in maker.stdout.readline().split()]
    assert len(holders) == 3
    maker.kill()
    maker.wait()
    maker.stdin.close()
    maker.stdout.close()
    for pid in holders:
        wait_until_gone(pid)
    assert {each.name for each in rtnetlink.links()} == before


def wait_until_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        asyncio.run(asyncio.wait_for(readable(descriptor), 5.0))
    finally:
        os.close(descriptor)


async def readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(descriptor, functools.partial(ended.set_result, None))
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
