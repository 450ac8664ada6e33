"""Who gets through to a node's broker, tried with tools that anybody has.

Every "nothing arrives" is followed, on the same session, by something that does arrive: the broker has one
loop and each session is in order, so what is not there by then will never come.
"""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mesh.io.broker import BrokerSettings
from tests.mesh_io.brokers import DEADLINE_S, Running, running_broker
from tests.mesh_io.certificates import Bundle, Site
from tests.mesh_io.plain_tools import (
    Heard,
    Wire,
    as_app,
    as_owner,
    listening,
    over_mesh,
    piled_up,
    published,
    subscribed,
    tls_context,
)

pytestmark = pytest.mark.io


@pytest.fixture
def ann(site: Site) -> Bundle:
    return site.node("ann")


@pytest.fixture
def eve(site: Site) -> Bundle:
    return site.node("eve")


class Names:
    """The topics of one owner's broker."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._site, self._owner = settings.site, settings.node
        self.all = f"fm/{self._site}/all/{self._owner}"

    def hello(self, node: Bundle) -> str:
        return f"fm/{self._site}/hello/{self._owner}/{node.node}"

    def inbox(self, node: Bundle) -> str:
        """From this node to the owner."""
        return f"fm/{self._site}/to/{self._owner}/{node.node}"

    def reply(self, node: Bundle) -> str:
        """From the owner to this node."""
        return f"fm/{self._site}/to/{node.node}/{self._owner}"


@pytest.fixture
def names(settings: BrokerSettings) -> Names:
    return Names(settings)


async def test_without_a_certificate_of_this_site_nobody_gets_in(
    settings: BrokerSettings, site: Site, ann: Bundle, names: Names, tmp_path: Path
) -> None:
    ben, stranger = site.node("ben"), Site(tmp_path / "other").node("stranger")
    async with AsyncExitStack() as stack, running_broker(settings, [ann, ben]) as one:
        ann_hears = await stack.enter_async_context(subscribed(over_mesh(one, site, ann), "#"))
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        bare = await stack.enter_async_context(listening(over_mesh(one, site, None), "#"))
        await one.news.counted("broker_refused_client", 1)
        foreign = await stack.enter_async_context(listening(over_mesh(one, site, stranger), "#"))
        await one.news.counted("broker_refused_client", 2)
        for nobody in (None, stranger):
            assert await published(over_mesh(one, site, nobody), names.hello(stranger), "let me in") != 0
        assert await published(over_mesh(one, site, ben), names.hello(ben), "it is me") == 0
        await owner_hears.has(f"{names.hello(ben)} it is me")
        assert await published(as_owner(one, "speaker"), names.all, "for members") == 0
        await ann_hears.has(f"{names.all} for members")
        assert owner_hears.lines == [f"{names.hello(ben)} it is me"]
        assert bare.lines == foreign.lines == []
        assert not bare.subscribed and not foreign.subscribed


async def test_a_member_reads_what_is_broadcast_or_its_own_and_nothing_else(
    settings: BrokerSettings, site: Site, ann: Bundle, eve: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann, eve]) as one:
        ann_hears = await stack.enter_async_context(
            subscribed(over_mesh(one, site, ann), names.reply(ann), names.all)
        )
        eve_hears = await stack.enter_async_context(
            subscribed(
                over_mesh(one, site, eve), "#", names.reply(ann), names.inbox(ann), names.hello(ann), "$SYS/#"
            )
        )
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        owner_says = as_owner(one, "speaker")
        await published(owner_says, names.reply(ann), "for ann alone")
        await ann_hears.has(f"{names.reply(ann)} for ann alone")
        await published(owner_says, names.all, "for members")
        await published(owner_says, names.reply(eve), "for eve alone")
        await eve_hears.has(f"{names.reply(eve)} for eve alone")
        assert eve_hears.lines == [f"{names.all} for members", f"{names.reply(eve)} for eve alone"]
        await ann_hears.has(f"{names.all} for members")
        assert ann_hears.lines == [f"{names.reply(ann)} for ann alone", f"{names.all} for members"]
        assert owner_hears.lines == []


async def test_who_is_no_member_yet_may_greet_and_be_answered_but_hears_no_broadcast(
    settings: BrokerSettings, site: Site, ann: Bundle, eve: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann]) as one:
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        wire = await asyncio.to_thread(Wire.over_tls, one, tls_context(site, eve))
        stack.callback(wire.close)
        await asyncio.to_thread(wire.subscribe, "#")
        wire.publish(names.inbox(eve), b"as if a member")
        wire.publish(names.hello(eve), b"may I")
        await owner_hears.has(f"{names.hello(eve)} may I")
        await published(as_owner(one, "speaker"), names.all, "for members")
        await published(as_owner(one, "speaker"), names.reply(eve), "who are you")
        assert await heard(wire, 1) == [(names.reply(eve), b"who are you")]
        assert owner_hears.lines == [f"{names.hello(eve)} may I"]
        await one.broker.set_access([ann.node, eve.node], [])
        wire.publish(names.inbox(eve), b"now a member")
        await owner_hears.has(f"{names.inbox(eve)} now a member")
        await published(as_owner(one, "speaker"), names.all, "for members again")
        assert await heard(wire, 1) == [(names.all, b"for members again")]


async def test_nobody_publishes_as_somebody_else(
    settings: BrokerSettings, site: Site, ann: Bundle, eve: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann, eve]) as one:
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        ann_hears = await stack.enter_async_context(subscribed(over_mesh(one, site, ann), "#"))
        eve_says = over_mesh(one, site, eve, ann.node)
        for forged in (
            names.inbox(ann),
            names.hello(ann),
            names.all,
            names.reply(ann),
            "local/valve",
            "$SYS/x",
        ):
            assert await published(eve_says, forged, "forged") == 0
        assert await published(eve_says, names.inbox(eve), "as myself") == 0
        await owner_hears.has(f"{names.inbox(eve)} as myself")
        await published(as_owner(one, "speaker"), names.reply(ann), "from the owner")
        await ann_hears.has(f"{names.reply(ann)} from the owner")
        assert owner_hears.lines == [f"{names.inbox(eve)} as myself"]
        assert ann_hears.lines == [f"{names.reply(ann)} from the owner"]


async def test_a_client_id_cannot_be_stolen(
    settings: BrokerSettings, site: Site, ann: Bundle, eve: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann, eve]) as one:
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        victim = await asyncio.to_thread(Wire.over_tls, one, tls_context(site, ann))
        stack.callback(victim.close)
        await asyncio.to_thread(victim.subscribe, names.reply(ann))
        for stolen in (ann.node, "owner"):
            assert await published(over_mesh(one, site, eve, stolen), names.hello(eve), f"as {stolen}") == 0
            await owner_hears.has(f"{names.hello(eve)} as {stolen}")
        assert one.news.count("broker_session_replaced") == 0
        await published(as_owner(one, "speaker"), names.reply(ann), "still there?")
        assert await heard(victim, 1) == [(names.reply(ann), b"still there?")]
        assert await published(over_mesh(one, site, ann), names.hello(ann), "a second session") == 0
        await one.news.counted("broker_session_replaced")  # with the victim's own certificate it is replaced


async def test_a_removed_member_reads_and_writes_nothing_live_or_with_a_saved_tls_session(
    settings: BrokerSettings, site: Site, ann: Bundle, eve: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann, eve]) as one:
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        ann_hears = await stack.enter_async_context(subscribed(over_mesh(one, site, ann), "#"))
        context = tls_context(site, eve)
        live = await asyncio.to_thread(Wire.over_tls, one, context)
        stack.callback(live.close)
        await asyncio.to_thread(live.subscribe, "#")
        live.publish(names.inbox(eve), b"before")
        await owner_hears.has(f"{names.inbox(eve)} before")
        await published(as_owner(one, "speaker"), names.all, "before")
        assert await heard(live, 1) == [(names.all, b"before")]
        saved = live.tls.session
        assert saved is not None and saved.has_ticket

        started = time.monotonic()
        await one.broker.set_access([ann.node], [eve.node])
        assert time.monotonic() - started < 2.0
        assert await nothing_passes(live, one, eve, names, ann_hears, "live") == []

        again = await asyncio.to_thread(Wire.over_tls, one, context, saved)
        stack.callback(again.close)
        assert again.tls.session_reused
        assert again.accepted
        await asyncio.to_thread(again.subscribe, "#")
        assert await nothing_passes(again, one, eve, names, ann_hears, "again") == []

        assert await published(over_mesh(one, site, ann), names.inbox(ann), "after") == 0
        await owner_hears.has(f"{names.inbox(ann)} after")
        assert owner_hears.lines == [f"{names.inbox(eve)} before", f"{names.inbox(ann)} after"]


async def test_removal_outlives_a_restart_of_the_broker(
    settings: BrokerSettings, site: Site, ann: Bundle, eve: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann, eve]) as one:
        await one.broker.set_access([ann.node], [eve.node])
        os.kill(one.pid, signal.SIGKILL)
        await one.news.up(times=2)
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        await published(over_mesh(one, site, eve), names.hello(eve), "again?")
        await published(over_mesh(one, site, ann), names.inbox(ann), "after")
        await owner_hears.has(f"{names.inbox(ann)} after")
        assert owner_hears.lines == [f"{names.inbox(ann)} after"]


async def test_applications_and_the_mesh_do_not_see_each_other(
    settings: BrokerSettings, site: Site, ann: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann]) as one:
        app_hears = await stack.enter_async_context(subscribed(as_app(one), "#", "$SYS/#"))
        ann_hears = await stack.enter_async_context(subscribed(over_mesh(one, site, ann), "#"))
        owner_hears = await stack.enter_async_context(subscribed(as_owner(one), "#"))
        app_says = as_app(one, "another-app")
        for forged in (names.all, names.reply(ann), names.inbox(ann)):
            await published(app_says, forged, "from an application")
        await published(app_says, "local/valve/3", "open")
        await app_hears.has("local/valve/3 open")
        await published(as_owner(one, "speaker"), "local/owner", "not mine")
        await published(as_owner(one, "speaker"), names.all, "for members")
        await ann_hears.has(f"{names.all} for members")
        await published(app_says, "local/valve/4", "shut")
        await app_hears.has("local/valve/4 shut")
        assert app_hears.lines == ["local/valve/3 open", "local/valve/4 shut"]
        assert ann_hears.lines == [f"{names.all} for members"]
        assert owner_hears.lines == []


async def test_tls_1_2_is_refused(settings: BrokerSettings, site: Site, ann: Bundle) -> None:
    async with running_broker(settings, [ann]) as one:
        assert "Protocol version: TLSv1.3" in await s_client(one.broker.port, site, ann, "-tls1_3")
        assert one.news.count("broker_refused_client") == 0
        old = await s_client(one.broker.port, site, ann, "-tls1_2")
        assert "Protocol version" not in old
        assert "alert protocol version" in old
        await one.news.counted("broker_refused_client")


async def test_an_oversized_packet_ends_the_session_of_who_sent_it(
    settings: BrokerSettings, site: Site, ann: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann]) as one:
        owner = await asyncio.to_thread(owner_wire, one.settings)
        stack.callback(owner.close)
        await asyncio.to_thread(owner.subscribe, names.inbox(ann))
        wire = await asyncio.to_thread(Wire.over_tls, one, tls_context(site, ann))
        stack.callback(wire.close)
        wire.publish(names.inbox(ann), bytes(262_144))
        assert [len(payload) for _, payload in await heard(owner, 1)] == [262_144]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            wire.publish(names.inbox(ann), bytes(263_168))
            await asyncio.to_thread(wire.heard_until_pong)
        await one.news.counted("broker_dropped_client")
        assert await asyncio.to_thread(owner.heard_until_pong) == []


async def test_a_session_that_does_not_read_costs_bounded_memory_and_goes_on_when_it_reads(
    settings: BrokerSettings, site: Site, ann: Bundle, names: Names
) -> None:
    async with AsyncExitStack() as stack, running_broker(settings, [ann]) as one:
        deaf = await asyncio.to_thread(Wire.over_tls, one, tls_context(site, ann))
        stack.callback(deaf.close)
        await asyncio.to_thread(deaf.subscribe, names.all)
        owner = await asyncio.to_thread(owner_wire, one.settings)
        stack.callback(owner.close)
        for _ in range(1_000):
            await asyncio.to_thread(owner.publish, names.all, bytes(200_000))
        await asyncio.to_thread(owner.heard_until_pong)
        assert one.news.count("broker_queue_full") == 1
        assert piled_up(Path(f"/proc/{one.pid}/status")) < 140_000_000
        reading = asyncio.create_task(asyncio.to_thread(deaf.heard_until, b"last"))
        while not reading.done():  # dropped like any other as long as the queue is full
            await asyncio.to_thread(owner.publish, names.all, b"last")
            await asyncio.wait([reading], timeout=0.05)
        assert 400 <= len(await reading) < 600


def owner_wire(settings: BrokerSettings) -> Wire:
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(str(settings.run / "owner.sock"))
    return Wire(stream, b"speaker")


async def heard(wire: Wire, count: int) -> list[tuple[str, bytes]]:
    """What this session gets, looked at until there are `count` messages; all of them, if more came along."""
    got: list[tuple[str, bytes]] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(got) < count:
            got += await asyncio.to_thread(wire.heard_until_pong)
    return got


async def nothing_passes(
    wire: Wire, one: Running, who: Bundle, names: Names, control: Heard, mark: str
) -> list[tuple[str, bytes]]:
    """Writes wherever it once could, lets the owner speak, and returns what came through to it."""
    wire.publish(names.inbox(who), mark.encode())
    wire.publish(names.hello(who), mark.encode())
    got = await asyncio.to_thread(wire.heard_until_pong)
    await published(as_owner(one, "speaker"), names.reply(who), mark)
    await published(as_owner(one, "speaker"), names.all, mark)
    await control.has(f"{names.all} {mark}")
    return got + await asyncio.to_thread(wire.heard_until_pong)


async def s_client(port: int, site: Site, bundle: Bundle, version: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-brief"),
        *("-CAfile", str(site.root_pem), "-cert", str(bundle.pem), "-key", str(bundle.pem)),
        *("-cert_chain", str(bundle.pem)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    return said.decode(errors="replace")
