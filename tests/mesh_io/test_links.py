"""Links over real brokers: what reaches whom, how a dial ends, and what a dead path does to nobody."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mesh.events import (
    DIAL_TIMEOUT_S,
    HOSTED,
    Counted,
    DialFailed,
    FrameReceived,
    Hangup,
    LinkClosed,
    LinkOpened,
    SendAll,
    Traffic,
)
from mesh.io.links import LinkLimits
from mesh.wire import FRAME_BYTES_MAX, Endpoint
from tests.mesh_io.brokers import until
from tests.mesh_io.certificates import Site
from tests.mesh_io.link_fixtures import (
    LinkStation,
    black_hole,
    bundle_of_the_past,
    free_port,
    host,
    leaf,
    plain_server,
    tls_server,
)

pytestmark = pytest.mark.io

IN_TIME_S = DIAL_TIMEOUT_S + 0.7  # the deadline, and a busy machine


@asynccontextmanager
async def pair(
    site: Site, folder: Path, bind: str = "127.0.0.1"
) -> AsyncIterator[tuple[LinkStation, LinkStation]]:
    """A host, and a leaf that may dial it."""
    ours, theirs = site.node("anna"), site.node("boris")
    async with host(site, ours, folder, [theirs], bind) as anna, leaf(site, theirs) as boris:
        yield anna, boris


async def failure(station: LinkStation, endpoint: Endpoint) -> tuple[str, str, float]:
    """Reason, detail and duration of a dial that must fail."""
    began = time.monotonic()
    link = station.dial(endpoint)
    failed = await station.ear.first(DialFailed)
    assert failed.link == link
    return failed.reason, failed.detail, time.monotonic() - began


# ---------------------------------------------------------------- frames


async def test_frames_go_both_ways_over_one_link_and_the_door_is_told_apart(
    site: Site, tmp_path: Path
) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        boris.send(anna, link, b"may I come in", door=True)
        boris.send(anna, link, b"to you")
        await anna.ear.event(FrameReceived(HOSTED, boris.node, True, b"may I come in"))
        await anna.ear.event(FrameReceived(HOSTED, boris.node, False, b"to you"))
        anna.send(boris, HOSTED, b"back to you")
        await boris.ear.event(FrameReceived(link, anna.node, False, b"back to you"))


async def test_two_hosts_that_dial_each_other_have_a_link_each_way(site: Site, tmp_path: Path) -> None:
    ours, theirs = site.node("anna"), site.node("boris")
    async with (
        host(site, ours, tmp_path / "a", [theirs]) as anna,
        host(site, theirs, tmp_path / "b", [ours]) as boris,
    ):
        there, back = await anna.linked(boris), await boris.linked(anna)
        anna.send(boris, there, b"dialled")
        anna.send(boris, HOSTED, b"hosted")
        await boris.ear.event(FrameReceived(HOSTED, anna.node, False, b"dialled"))
        await boris.ear.event(FrameReceived(back, anna.node, False, b"hosted"))


async def test_one_send_to_all_reaches_hosted_and_dialled_peers_once_each(site: Site, tmp_path: Path) -> None:
    bundles = [site.node(name) for name in ("anna", "boris", "carla", "dora")]
    async with (
        host(site, bundles[0], tmp_path / "a", bundles) as anna,
        host(site, bundles[1], tmp_path / "b", bundles) as boris,
        leaf(site, bundles[2]) as carla,
        leaf(site, bundles[3]) as dora,
    ):
        from_carla, from_dora = await carla.linked(anna), await dora.linked(anna)
        to_boris = await anna.linked(boris)
        links = ((boris.node, to_boris), (carla.node, HOSTED), (dora.node, HOSTED))
        for data in (b"first", b"last"):
            anna.wires.send_all(SendAll(links, Traffic.STATE, data))
        await carla.ear.event(FrameReceived(from_carla, anna.node, False, b"last"))
        await dora.ear.event(FrameReceived(from_dora, anna.node, False, b"last"))
        await boris.ear.event(FrameReceived(HOSTED, anna.node, False, b"last"))
        assert [each.ear.payloads() for each in (boris, carla, dora)] == [[b"first", b"last"]] * 3


async def test_links_work_over_ipv6(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path, bind="::1") as (anna, boris):
        link = await boris.linked(anna)
        boris.send(anna, link, b"six")
        await anna.ear.event(FrameReceived(HOSTED, boris.node, False, b"six"))


async def test_a_host_name_is_resolved_without_blocking(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        boris.dial(Endpoint("localhost", anna.endpoint.port))
        assert (await boris.ear.first(LinkOpened)).peer == anna.node


async def test_dialling_our_own_broker_tells_our_own_name_and_disturbs_nobody(
    site: Site, tmp_path: Path
) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        await anna.linked(anna)
        link = await boris.linked(anna)
        boris.send(anna, link, b"still heard")
        await anna.ear.event(FrameReceived(HOSTED, boris.node, False, b"still heard"))
        assert anna.ear.counted("owner_session_lost") == 0


# ---------------------------------------------------------------- dials that fail


async def test_a_closed_port_refuses(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        reason, _, took_s = await failure(boris, Endpoint("127.0.0.1", free_port()))
        assert reason == "refused" and took_s < IN_TIME_S


async def test_packets_that_vanish_time_out(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        with black_hole() as endpoint:
            reason, detail, took_s = await failure(boris, endpoint)
        assert (reason, detail) == ("timeout", "no answer while connecting")
        assert took_s < IN_TIME_S


async def test_a_listener_that_never_answers_the_handshake_times_out(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris, plain_server(b"") as endpoint:
        reason, detail, took_s = await failure(boris, endpoint)
        assert (reason, detail) == ("timeout", "no answer while shaking hands")
        assert took_s < IN_TIME_S


async def test_tls_without_mqtt_behind_it_times_out(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        async with tls_server(site.node("mute"), site.root_pem) as endpoint:
            reason, detail, took_s = await failure(boris, endpoint)
        assert (reason, detail) == ("timeout", "no answer while opening the MQTT session")
        assert took_s < IN_TIME_S


async def test_something_that_is_not_tls_is_not_a_node(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris, plain_server(b"HTTP/1.1 400 no\r\n\r\n") as endpoint:
        assert (await failure(boris, endpoint))[0] == "not-a-node"


async def test_a_broker_of_another_site_is_told_by_its_root(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")  # of the same name, too
    async with (
        leaf(site, site.node("boris")) as boris,
        host(other, other.node("o"), tmp_path / "o", []) as stranger,
    ):
        assert (await failure(boris, stranger.endpoint))[0] == "wrong-root"


async def test_our_own_expired_certificate_is_told_as_the_broker_tells_it(site: Site, tmp_path: Path) -> None:
    late = bundle_of_the_past(site, "late")
    async with host(site, site.node("anna"), tmp_path, [late]) as anna, leaf(site, late) as boris:
        reason, detail, _ = await failure(boris, anna.endpoint)
        assert (reason, detail) == ("certificate-expired", "its broker says that our certificate expired")
        assert boris.ear.all(LinkOpened) == []


async def test_our_own_missing_certificate_fails_the_dial_with_its_cure(site: Site) -> None:
    bundle = site.node("boris")
    bundle.pem.unlink()
    async with leaf(site, bundle) as boris:
        reason, detail, _ = await failure(boris, Endpoint("127.0.0.1", free_port()))
        assert reason == "other" and "cannot be read" in detail


async def test_an_address_without_a_route_is_told(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        assert (await failure(boris, Endpoint("fe80::1", 8883)))[0] == "no-route"


async def test_dials_beyond_the_limit_fail_at_once(site: Site) -> None:
    async with leaf(site, site.node("boris"), LinkLimits(dials_max=2)) as boris:
        with black_hole() as endpoint:
            for _ in range(3):
                boris.dial(endpoint)
            failed = await boris.ear.first(DialFailed)
            assert failed == DialFailed(3, "other", "busy: 2 dials are under way")
            await boris.ear.until(lambda: len(boris.ear.all(DialFailed)) == 3)
    assert [each.reason for each in boris.ear.all(DialFailed)] == ["other", "timeout", "timeout"]


async def test_a_link_number_in_use_is_not_dialled_again(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        await boris.linked(anna)
        boris.dialled = 0
        boris.dial(anna.endpoint)
        failed = await boris.ear.first(DialFailed)
        assert failed == DialFailed(1, "other", "link 1 is in use")
        boris.ear.heard.remove(failed)  # two verdicts on one number: that was the test's own doing


# ---------------------------------------------------------------- ends


async def test_a_broker_that_dies_closes_the_link_once_and_hosts_again(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        os.kill(anna.broker.pid, signal.SIGKILL)
        assert (await boris.ear.first(LinkClosed)).link == link
        await anna.ear.event(Counted("owner_session_lost"))
        await anna.broker.news.up(times=2)
        await anna.is_owner()
        again = await boris.linked(anna)
        boris.send(anna, again, b"as before")
        await anna.ear.event(FrameReceived(HOSTED, boris.node, False, b"as before"))
    assert [each.link for each in boris.ear.all(LinkClosed)] == [link]


async def test_a_link_that_we_hang_up_ends_without_a_word(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        for number in range(50):
            boris.send(anna, link, b"%d" % number)
        boris.wires.hangup(Hangup(link))
        boris.wires.hangup(Hangup(link))
        await anna.ear.until(lambda: len(anna.ear.payloads()) == 50)
        await until(lambda: not open_links())
        boris.send(anna, link, b"too late")
        await boris.ear.event(Counted("send_without_link", anna.node))
    assert boris.ear.all(LinkClosed) == []
    assert anna.ear.payloads() == [b"%d" % number for number in range(50)]


async def test_hanging_up_a_dial_under_way_fails_it_once(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        with black_hole() as endpoint:
            link = boris.dial(endpoint)
            await asyncio.sleep(0)
            boris.wires.hangup(Hangup(link))
            assert await boris.ear.first(DialFailed) == DialFailed(link, "other", "hung up by ourselves")
            await until(lambda: not open_links())


async def test_hanging_up_on_a_dead_path_takes_half_a_second(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        with stalled(anna):
            for _ in range(40):
                boris.send(anna, link, bytes(100_000), Traffic.BULK)
            began = time.monotonic()
            boris.wires.hangup(Hangup(link))
            await until(lambda: not open_links())
            assert 0.4 < time.monotonic() - began < 1.2
    assert boris.ear.all(LinkClosed) == []


async def test_hanging_up_what_is_unknown_is_a_no_op(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        boris.wires.hangup(Hangup(7))


async def test_cancelling_closes_every_session(site: Site, tmp_path: Path) -> None:
    ours, theirs = site.node("anna"), site.node("boris")
    async with host(site, ours, tmp_path, [theirs]) as anna:
        async with leaf(site, theirs) as boris:
            await boris.linked(anna)
            with black_hole() as endpoint:
                boris.dial(endpoint)
        assert open_links() == []
        assert boris.ear.all(LinkClosed) == []


# ---------------------------------------------------------------- queues


async def test_a_burst_below_the_bounds_arrives_whole_and_in_order(site: Site, tmp_path: Path) -> None:
    burst = [b"%d" % number for number in range(2000)]
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        for number, data in enumerate(burst):
            boris.send(anna, link, data)
            if number % 50 == 49:
                await asyncio.sleep(
                    0
                )  # anna lives on the same loop; what she does not read the broker bounds
        await anna.ear.until(lambda: len(anna.ear.payloads()) == len(burst))
    assert anna.ear.payloads() == burst
    assert boris.ear.counted("queue_overflow") == 0


async def test_control_overtakes_the_bulk_that_waits(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        with stalled(anna):
            for _ in range(120):
                boris.send(anna, link, bytes(30_000), Traffic.BULK)
            boris.send(anna, link, b"urgent", Traffic.CONTROL)
        await anna.ear.until(lambda: len(anna.ear.payloads()) == 121)
        assert anna.ear.payloads().index(b"urgent") < 118
    assert boris.ear.counted("queue_overflow") == 0


async def test_what_overflows_is_counted_and_control_survives(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        with stalled(anna):
            for _ in range(100):
                boris.send(anna, link, bytes(100_000), Traffic.STATE)
            boris.send(anna, link, b"urgent", Traffic.CONTROL)
            await boris.ear.event(Counted("queue_overflow", anna.node))
        await anna.ear.until(lambda: b"urgent" in anna.ear.payloads())
        assert len(anna.ear.payloads()) < 101


async def test_a_frame_above_the_limit_is_not_sent_and_counted(site: Site, tmp_path: Path) -> None:
    async with pair(site, tmp_path) as (anna, boris):
        link = await boris.linked(anna)
        boris.send(anna, link, bytes(FRAME_BYTES_MAX + 1))
        await boris.ear.event(Counted("send_oversized", anna.node))
        boris.send(anna, link, bytes(FRAME_BYTES_MAX))
        await anna.ear.event(FrameReceived(HOSTED, boris.node, False, bytes(FRAME_BYTES_MAX)))


async def test_sending_where_there_is_no_link_is_counted(site: Site) -> None:
    async with leaf(site, site.node("boris")) as boris:
        for link in (HOSTED, 3):
            boris.send(boris, link, b"nowhere")
        await boris.ear.until(lambda: boris.ear.counted("send_without_link") == 2)


class stalled:  # noqa: N801  # used as a with statement's word
    """The host's broker does not run meanwhile: sockets fill up, nothing is answered."""

    def __init__(self, station: LinkStation) -> None:
        self._pid = station.broker.pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


def open_links() -> list[str]:
    """Dialled links of this test's stations that are not over."""
    return [name for task in asyncio.all_tasks() if (name := task.get_name()).startswith("link-")]
