"""Discovery with real multicast: in namespaces on a bridge (root), and on this machine's loopback (io)."""

import asyncio
import contextlib
import functools
import ipaddress
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Self

import pytest
from zeroconf import Zeroconf
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from mesh.events import Counted, EndpointFound, EndpointLost, Source
from mesh.ids import NodeId, SiteId
from mesh.io import discovery
from mesh.io.advert import SERVICE_TYPE, Advertisement, write_advert
from mesh.io.discovery import Discovery
from mesh.io.interfaces import Interface
from mesh.wire import Endpoint
from tests.mesh_io.namespaces import Network, lan, network
from tests.mesh_io.stations import OTHER_PLANT, PLANT, Station, advertisement, station

A, B, C = "a" * 26, "b" * 26, "c" * 26
FOUND_S_MAX = 1.2

pytestmark = pytest.mark.timeout(60)


def at(net: Network, host: str) -> Callable[..., AbstractContextManager[Station]]:
    """Starts stations inside this host."""
    return functools.partial(station, wrap=functools.partial(net.inside, host))


# ---------------------------------------------------------------- namespaces


@pytest.mark.root
def test_three_nodes_find_each_other_within_a_second_or_so() -> None:
    with lan("a", "b", "c") as net, ExitStack() as stack:
        stations = {each: stack.enter_context(at(net, each)(advertisement(each))) for each in "abc"}
        for number, (me, listener) in enumerate(stations.items(), start=1):
            for other in sorted(set("abc") - {me}):
                started = max(stations[me].events[0]["at"], stations[other].events[0]["at"])
                found = listener.wait_for(kind="found", node=other * 26)
                assert found["at"] - started < FOUND_S_MAX
                assert found["endpoint"] == f"10.77.0.{'abc'.index(other) + 1}:8883"
            assert listener.seen().keys() == {other * 26 for other in "abc" if other != me}, number


@pytest.mark.root
def test_a_stop_says_goodbye_and_a_crash_does_not() -> None:
    with lan("a", "b", "c") as net, ExitStack() as stack:
        a, b, c = (stack.enter_context(at(net, each)(advertisement(each))) for each in "abc")
        a.wait_for(kind="found", node=B)
        a.wait_for(kind="found", node=C)
        c.crash()
        assert b.stop() < 1.0
        a.wait_for(kind="lost", node=B)
        assert a.seen().keys() == {C}


@pytest.mark.root
def test_a_crashed_node_that_comes_back_is_found_again_at_once() -> None:
    with lan("a", "b") as net, at(net, "a")(advertisement("a")) as a:
        with at(net, "b")(advertisement("b")) as b:
            a.wait_for(kind="found", node=B)
            b.crash()
        with at(net, "b")(advertisement("b", boot=7, port=9999)) as b:
            began = b.events[0]["at"]
            assert a.wait_for(kind="found", endpoint="10.77.0.2:9999")["at"] - began < FOUND_S_MAX
            assert not b.has(kind="counted", name="mdns_identity_twice")
            assert a.seen()[B]["boot"] == 7


@pytest.mark.root
def test_an_interface_that_comes_later_is_used_at_once() -> None:
    with network("a", "b") as net, at(net, "a")(advertisement("a")) as a:
        net.plug("b", "eth0", "10.77.0.2/24")
        with at(net, "b")(advertisement("b")) as b:
            plugged = time.time()
            net.plug("a", "eth0", "10.77.0.1/24")
            assert a.wait_for(kind="found", node=B)["at"] - plugged < 2.0
            assert b.wait_for(kind="found", node=A, endpoint="10.77.0.1:8883")["at"] - plugged < 2.0
            assert a.seen()[B]["interfaces"] == ["eth0"]


@pytest.mark.root
def test_a_cable_pulled_and_plugged_again_makes_everybody_news_again() -> None:
    with lan("a", "b") as net, at(net, "a")(advertisement("a")) as a, at(net, "b")(advertisement("b")) as b:
        a.wait_for(kind="found", node=B)
        b.wait_for(kind="found", node=A)
        net.unplug("a", "eth0")
        a.wait_for(kind="interfaces", names=["lo"])
        plugged = time.time()
        net.replug("a", "eth0")
        assert a.wait_for(kind="found", node=B, after=plugged)["at"] - plugged < 2.0


@pytest.mark.root
def test_an_interface_deleted_and_made_anew_with_the_same_address_works_again() -> None:
    with lan("a", "b") as net, at(net, "a")(advertisement("a")) as a:
        net.ip("a", "link", "delete", "eth0")
        net.plug("a", "eth0", "10.77.0.1/24")
        with at(net, "b")(advertisement("b")) as b:
            a.wait_for(kind="found", node=B)
            b.wait_for(kind="found", node=A)


@pytest.mark.root
def test_a_node_that_boots_behind_a_cut_is_found_after_it() -> None:
    with lan("a", "b") as net, at(net, "a")(advertisement("a")) as a:
        net.cut("b", "eth0")
        with at(net, "b")(advertisement("c", port=0)) as inside, at(net, "b")(advertisement("b")) as b:
            inside.wait_for(
                kind="found", node=B
            )  # so it has announced itself and asked, and nobody else heard
            assert not a.has(kind="found")
            net.heal("b", "eth0")
            b.wait_for(kind="found", node=A, within_s=5.0)


@pytest.mark.root
def test_a_node_on_two_lans_finds_and_is_found_on_both() -> None:
    with network("gate", "a", "b") as net, ExitStack() as stack:
        net.plug("gate", "eth0", "10.77.0.9/24", bridge="plant")
        net.plug("gate", "eth1", "10.88.0.9/24", bridge="office")
        net.plug("a", "eth0", "10.77.0.1/24", bridge="plant")
        net.plug("b", "eth0", "10.88.0.2/24", bridge="office")
        gate = stack.enter_context(at(net, "gate")(advertisement("g")))
        a = stack.enter_context(at(net, "a")(advertisement("a")))
        b = stack.enter_context(at(net, "b")(advertisement("b")))
        gate.wait_for(kind="found", node=A)
        gate.wait_for(kind="found", node=B)
        assert a.wait_for(kind="found", node="g" * 26)["endpoint"] == "10.77.0.9:8883"
        assert b.wait_for(kind="found", node="g" * 26)["endpoint"] == "10.88.0.9:8883"
        seen = gate.seen()
        assert seen[A]["interfaces"] == ["eth0"]
        assert seen[B]["interfaces"] == ["eth1"]
        assert not a.has(kind="found", node=B)

        net.unplug("gate", "eth1")
        a.wait_for(kind="found", node="g" * 26, endpoint="10.77.0.9:8883")
        b.crash()
        plugged = time.time()
        net.replug("gate", "eth1")
        again = stack.enter_context(at(net, "b")(advertisement("b", boot=8, port=9999)))
        gate.wait_for(kind="found", node=B, endpoint="10.88.0.2:9999", after=plugged)
        again.wait_for(kind="found", node="g" * 26, endpoint="10.88.0.9:8883")


@pytest.mark.root
def test_ipv6_alone_is_enough() -> None:
    with network("a", "b") as net:
        net.plug("a", "eth0", "fd77::1/64")
        net.plug("b", "eth0", "fd77::2/64")
        with at(net, "a")(advertisement("a")) as a, at(net, "b")(advertisement("b")) as b:
            a.wait_for(kind="found", node=B, endpoint="[fd77::2]:8883")
            b.wait_for(kind="found", node=A, endpoint="[fd77::1]:8883")


@pytest.mark.root
def test_two_sites_on_one_lan_do_not_mix() -> None:
    with lan("a", "b", "c") as net, ExitStack() as stack:
        a = stack.enter_context(at(net, "a")(advertisement("a")))
        b = stack.enter_context(at(net, "b")(advertisement("b", site=OTHER_PLANT), site=OTHER_PLANT))
        c = stack.enter_context(at(net, "c")(advertisement("c")))
        a.wait_for(kind="counted", name="mdns_other_site")
        b.wait_for(kind="counted", name="mdns_other_site")
        a.wait_for(kind="found", node=C)
        c.wait_for(kind="found", node=A)
        assert not a.has(node=B) and not c.has(node=B) and not b.has(kind="found")
        assert [event["name"] for event in a.events if event["kind"] == "counted"] == ["mdns_other_site"]


@pytest.mark.root
def test_a_clone_takes_another_name_and_both_say_that_the_identity_is_used_twice() -> None:
    with lan("a", "b", "c") as net, ExitStack() as stack:
        original = stack.enter_context(at(net, "a")(advertisement("a", boot=1)))
        bystander = stack.enter_context(at(net, "c")(advertisement("c")))
        bystander.wait_for(kind="found", node=A, endpoint="10.77.0.1:8883")
        clone = stack.enter_context(at(net, "b")(advertisement("a", boot=2)))
        clone.wait_for(kind="counted", name="mdns_identity_twice", peer=A)
        original.wait_for(kind="counted", name="mdns_identity_twice", peer=A)
        bystander.wait_for(kind="found", node=A, endpoint="10.77.0.2:8883")
        assert bystander.seen()[A]["endpoints"] == ["10.77.0.1:8883", "10.77.0.2:8883"]
        assert clone.stop() < 1.0
        assert bystander.seen()[A]["endpoints"] == ["10.77.0.1:8883"]
        assert not bystander.has(kind="lost")


@pytest.mark.root
def test_a_steward_is_found_before_there_is_any_certificate() -> None:
    with lan("a", "b", "c") as net, ExitStack() as stack:
        stack.enter_context(at(net, "a")(advertisement("a", join_port=9001, name="anna")))
        stack.enter_context(at(net, "b")(advertisement("b")))
        with at(net, "c")(None, stewards_of=PLANT, timeout_s=1.0) as joiner:
            found = joiner.wait_for(kind="steward")
            assert found["at"] - joiner.events[0]["at"] < FOUND_S_MAX
            joiner.wait_for(kind="stopped")
            doors = [event for event in joiner.events if event["kind"] == "steward"]
            assert [(door["host"], door["port"], door["node"], door["name"]) for door in doors] == [
                ("10.77.0.1", 9001, A, "anna")
            ]
        with at(net, "c")(None, stewards_of=OTHER_PLANT, timeout_s=0.5) as stranger:
            stranger.wait_for(kind="stopped")
            assert not stranger.has(kind="steward")
        with at(net, "c")(None, stewards_of=None, timeout_s=0.5) as anybody:
            anybody.wait_for(kind="steward", site=PLANT)


@pytest.mark.root
def test_what_is_advertised_can_change_at_run_time() -> None:
    with lan("a", "b") as net, at(net, "a")(advertisement("a")) as a, at(net, "b")(advertisement("b")) as b:
        b.wait_for(kind="found", endpoint="10.77.0.1:8883")
        a.tell(advertise=settings_of(advertisement("a", port=9999)))
        b.wait_for(kind="found", endpoint="10.77.0.1:9999")
        a.tell(advertise=settings_of(advertisement("a", port=9999, fingerprint="f" * 64)))
        a.tell(advertise=settings_of(advertisement("a", port=7777, fingerprint="f" * 64)))
        b.wait_for(kind="found", endpoint="10.77.0.1:7777")
        assert not b.has(kind="lost")
        a.tell(advertise=settings_of(advertisement("a", port=0, fingerprint="f" * 64)))
        b.wait_for(kind="lost", node=A)
        assert not b.has(kind="counted") and not a.has(kind="counted")


@pytest.mark.root
def test_a_node_that_advertises_nothing_still_finds_others() -> None:
    with lan("a", "b") as net, at(net, "a")(advertisement("a")) as a:
        with at(net, "b")(advertisement("b", port=0)) as leaf:
            leaf.wait_for(kind="found", node=A)
            assert leaf.stop() < 1.0
        assert not a.has(node=B)


@pytest.mark.root
def test_on_a_machine_without_any_interface_it_counts_and_waits_for_one() -> None:
    with lan("a", "b") as net:
        net.ip("b", "link", "set", "lo", "down")
        net.ip("b", "link", "set", "eth0", "down")
        with at(net, "a")(advertisement("a")), at(net, "b")(advertisement("b")) as b:
            b.wait_for(kind="counted", name="mdns_unavailable")
            net.ip("b", "link", "set", "eth0", "up")
            b.wait_for(kind="found", node=A)


@pytest.mark.root
def test_nodes_on_one_offline_machine_find_each_other_by_loopback() -> None:
    with (
        network("a") as net,
        at(net, "a")(advertisement("a")) as a,
        at(net, "a")(advertisement("b", port=9)) as b,
    ):
        a.wait_for(kind="found", node=B, endpoint="127.0.0.1:9")
        b.wait_for(kind="found", node=A, endpoint="127.0.0.1:8883")


@pytest.mark.root
def test_several_nodes_on_one_machine_are_all_found() -> None:
    with lan("a", "b") as net, ExitStack() as stack:
        here = [stack.enter_context(at(net, "a")(advertisement(each, port=ord(each)))) for each in "abc"]
        there = stack.enter_context(at(net, "b")(advertisement("d")))
        for each in "abc":
            there.wait_for(kind="found", node=each * 26, endpoint=f"10.77.0.1:{ord(each)}")
        for one in here:
            one.wait_for(kind="found", node="d" * 26)


def settings_of(mine: Advertisement) -> dict[str, Any]:
    return {name: getattr(mine, name) for name in Advertisement.__slots__}


# ---------------------------------------------------------------- loopback

LOOPBACK = Interface("lo", 1, (ipaddress.ip_interface("127.0.0.1/8"),), multicast=True, loopback=True)


class Ear:
    """A Discovery on loopback in this process. Its site is its own: other tests may run beside this one."""

    def __init__(self, mine: Advertisement | None = None) -> None:
        self.site = SiteId("".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(16)))
        self.events: list[EndpointFound | EndpointLost | Counted] = []
        self._arrived = asyncio.Event()
        mine = replace(mine, site=self.site) if mine else None
        self.discovery = Discovery(mine, self.site, self._deliver, lambda: (LOOPBACK,))

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.discovery.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def hears(self, event: EndpointFound | EndpointLost | Counted, within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while event not in self.events:
                self._arrived.clear()
                await self._arrived.wait()

    def _deliver(self, event: EndpointFound | EndpointLost | Counted) -> None:
        self.events.append(event)
        self._arrived.set()


def found(node: str, host: str = "127.0.0.1", port: int = 8883) -> EndpointFound:
    return EndpointFound(Endpoint(host, port), NodeId(node), Source.MDNS)


@contextlib.asynccontextmanager
async def stranger() -> AsyncIterator[Zeroconf]:
    """Somebody on the LAN who says whatever they like."""
    speaker = AsyncZeroconf(interfaces=["127.0.0.1"])
    try:
        await speaker.zeroconf.async_wait_for_start()
        yield speaker.zeroconf
    finally:
        await speaker.async_close()


def says(zc: Zeroconf, info: AsyncServiceInfo) -> None:
    zc.async_send(zc.generate_service_broadcast(info, None))


def advert_of(letter: str, site: SiteId, host: str = "127.0.0.1", **changes: Any) -> AsyncServiceInfo:
    mine = advertisement(letter, site=site, **changes)
    return write_advert(mine, mine.label, [host])


@pytest.mark.io
async def test_a_good_advertisement_is_heard_and_its_goodbye_too() -> None:
    async with Ear() as ear, stranger() as zc:
        says(zc, advert_of("k", ear.site))
        await ear.hears(found("k" * 26))
        zc.async_send(zc.generate_service_broadcast(advert_of("k", ear.site), 0))
        await ear.hears(EndpointLost(NodeId("k" * 26), Source.MDNS))
        assert ear.discovery.seen == {}


@pytest.mark.io
@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"v": "1"},
        {"v": "1", "site": "../../etc/passwd"},
        b"",
        b"\xff" * 200,
        b"\x05v=1\x00\x00\x00",
        b"\xfev=1",
        b"\x01=" * 100,
    ],
)
async def test_text_records_that_no_node_writes_are_counted_or_ignored(properties: Any) -> None:
    bad = AsyncServiceInfo(
        SERVICE_TYPE,
        f"{'0' * 32}.{SERVICE_TYPE}",
        1,
        properties=properties,
        server="x.local.",
        parsed_addresses=["127.0.0.1"],
    )
    async with Ear() as ear, stranger() as zc:
        says(zc, bad)
        says(zc, advert_of("k", ear.site))
        await ear.hears(found("k" * 26))
        assert list(ear.discovery.seen) == ["k" * 26]


@pytest.mark.io
async def test_malformed_text_and_a_strange_name_are_counted() -> None:
    async with Ear() as ear, stranger() as zc:
        says(zc, advert_of("k", ear.site, name="UPPER CASE"))
        await ear.hears(Counted("mdns_malformed"))
        ear.events.clear()
        strange = AsyncServiceInfo(
            SERVICE_TYPE,
            f"living room \u2603.{SERVICE_TYPE}",
            1,
            properties={},
            server="x.local.",
            parsed_addresses=["127.0.0.1"],
        )
        says(zc, strange)
        await ear.hears(Counted("mdns_malformed"))
        assert ear.discovery.seen == {}


@pytest.mark.io
async def test_a_node_with_forty_addresses_yields_sixteen() -> None:
    async with Ear() as ear, stranger() as zc:
        info = advert_of("k", ear.site)
        info.addresses = [bytes((127, 0, 1, number)) for number in range(1, 41)]
        says(zc, info)
        async with asyncio.timeout(5.0):
            while not ear.discovery.seen:
                await asyncio.sleep(0.01)
        assert len(ear.discovery.seen[NodeId("k" * 26)].endpoints) == 16
        assert len(ear.events) == 16


@pytest.mark.io
async def test_records_in_pieces_are_put_together() -> None:
    async with Ear() as ear, stranger() as zc:
        info = advert_of("k", ear.site)
        for record in (info.dns_text(), *info.dns_addresses(), info.dns_pointer(), info.dns_service()):
            out = DNSOutgoing(0x8400)
            out.add_answer_at_time(record, 0)
            zc.async_send(out)
        await ear.hears(found("k" * 26))


@pytest.mark.io
async def test_another_process_with_our_identity_is_reported_once() -> None:
    async with Ear(advertisement("k", boot=1)) as ear, stranger() as zc:
        for port in (1, 2, 3):
            says(zc, advert_of("k", ear.site, boot=2, port=port))
        await ear.hears(Counted("mdns_identity_twice", NodeId("k" * 26)))
        other_name = advertisement("k", boot=2, site=ear.site, port=4)
        says(zc, write_advert(other_name, other_name.label_beside_a_clone, ["127.0.0.1"]))
        await ear.hears(found("k" * 26, port=4))
        assert [event for event in ear.events if isinstance(event, Counted) and "twice" in event.name] == [
            Counted("mdns_identity_twice", NodeId("k" * 26))
        ]


@pytest.mark.io
async def test_a_flood_is_cut_off_and_good_nodes_are_heard_after_it() -> None:
    async with Ear() as ear, stranger() as zc:
        for number in range(2000):
            mine = advertisement("k", site=ear.site, fingerprint=f"{number:032x}", node=node_of(number))
            says(zc, write_advert(mine, mine.label, ["127.0.0.1"]))
            await asyncio.sleep(0)  # a loop takes one datagram per turn
        await ear.hears(Counted("mdns_flood"))
        async with asyncio.timeout(10.0):
            while found("z" * 26) not in ear.events:
                says(zc, advert_of("z", ear.site))
                await asyncio.sleep(0.1)
        assert len(ear.discovery.seen) <= 2001


def node_of(number: int) -> NodeId:
    return NodeId(
        "".join("abcdefghijklmnopqrstuvwxyz234567"[number >> 5 * place & 31] for place in range(26))
    )


@pytest.mark.io
async def test_random_bytes_and_mutated_answers_leave_it_running() -> None:
    chance = random.Random(20)
    async with Ear() as ear, stranger() as zc:
        good = zc.generate_service_broadcast(advert_of("k", ear.site), None).packets()[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            for number in range(3000):
                sock.sendto(
                    mutated(good, chance) if number % 2 else chance.randbytes(200), ("224.0.0.251", 5353)
                )
                if number % 20 == 0:
                    await asyncio.sleep(0.001)
        async with asyncio.timeout(10.0):
            while found("z" * 26) not in ear.events:
                says(zc, advert_of("z", ear.site))
                await asyncio.sleep(0.1)


def mutated(packet: bytes, chance: random.Random) -> bytes:
    changed = bytearray(packet)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[: chance.randint(1, len(changed))] if chance.random() < 0.3 else changed)


@pytest.mark.io
async def test_a_machine_that_refuses_multicast_is_counted_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError("no multicast for you")

    monkeypatch.setattr(discovery, "AsyncZeroconf", refuse)
    monkeypatch.setattr(discovery, "LOOK_EVERY_S", 0.01)
    async with Ear() as ear, stranger() as zc:
        async with asyncio.timeout(5.0):
            while ear.events.count(Counted("mdns_unavailable")) < 3:
                await asyncio.sleep(0.01)
        assert [each.message for each in caplog.records if each.name == "mesh.io.discovery"] == [
            "multicast DNS is down (no multicast for you): only seeds and known addresses find peers for now"
        ]
        monkeypatch.undo()
        async with asyncio.timeout(5.0):
            while found("k" * 26) not in ear.events:
                says(zc, advert_of("k", ear.site))
                await asyncio.sleep(0.05)


@pytest.mark.io
async def test_a_stop_never_takes_longer_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(self: AsyncZeroconf) -> None:
        await asyncio.Event().wait()

    descriptors = set(os.listdir("/proc/self/fd"))
    async with Ear(advertisement("k")) as ear, stranger() as zc:
        says(zc, advert_of("z", ear.site))
        await ear.hears(found("z" * 26))
        with monkeypatch.context() as patch:
            patch.setattr(AsyncZeroconf, "async_unregister_all_services", hang)
            began = time.monotonic()
            await ear.stop()
            assert time.monotonic() - began < 1.0
    assert set(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.io
async def test_a_stop_before_the_start_is_done_is_clean() -> None:
    for pauses in range(6):
        ear = Ear(advertisement("k"))
        async with ear:
            for _ in range(pauses):
                await asyncio.sleep(0)
        assert ear._running.cancelled()
