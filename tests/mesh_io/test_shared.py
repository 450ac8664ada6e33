"""The shared fabric over plain mosquittos: presence, links without a peer's broker, failover and return."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mesh.events import (
    HOSTED,
    BrokerDown,
    BrokerUp,
    Counted,
    Dial,
    DialFailed,
    EndpointFound,
    FrameReceived,
    Hangup,
    LinkClosed,
    LinkOpened,
    SendAll,
    Source,
    Traffic,
)
from mesh.io.presence import Presence
from mesh.io.shared import PLACE, SharedFabric, SharedSettings
from mesh.io.shared_broker import brokers_of
from mesh.io.tls import TlsSource
from mesh.wire import FRAME_BYTES_MAX, Endpoint
from tests.mesh_io.brokers import DEADLINE_S
from tests.mesh_io.certificates import Bundle, Site
from tests.mesh_io.link_fixtures import Ear, Station, free_port, run

io = pytest.mark.io
RETURN_EVERY_S = 0.3  # thirty seconds in earnest


class SharedStation(Station):
    """A node on a shared fabric."""

    def __init__(self, bundle: Bundle, fabric: SharedFabric, ear: Ear) -> None:
        super().__init__(bundle, fabric, ear)
        self.fabric = fabric

    async def linked(self, other: "SharedStation") -> int:
        link = self.dial(PLACE, other)
        await self.ear.event(LinkOpened(link, other.node))
        return link


@asynccontextmanager
async def station(site: Site, name: str, settings: SharedSettings) -> AsyncIterator[SharedStation]:
    """On the fabric from the start, and checked at the end."""
    bundle, ear = site.node(name), Ear()
    tls = TlsSource(bundle.pem, site.root_pem)
    fabric = SharedFabric(bundle.node, site.site, tls, settings, ear, RETURN_EVERY_S)
    one = SharedStation(bundle, fabric, ear)
    async with run(fabric):
        await ear.first(BrokerUp)
        yield one
    one.check()


@asynccontextmanager
async def broker(
    folder: Path, port: int, lines: Sequence[str] = ("allow_anonymous true",)
) -> AsyncIterator[int]:
    """A mosquitto that knows nothing of fieldmesh; its process id."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{port}.conf"
    file.write_text("\n".join((f"listener {port} 127.0.0.1", "user root", *lines)) + "\n")
    process = await asyncio.create_subprocess_exec("mosquitto", "-c", str(file), stderr=subprocess.DEVNULL)
    try:
        await _answers(port)
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def password_file(folder: Path) -> Path:
    file = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), "plant", "secret word"], check=True)
    return file


def at(*ports: int) -> SharedSettings:
    return SharedSettings([f"mqtt://127.0.0.1:{port}" for port in ports])


# ---------------------------------------------------------------- two nodes on one broker


@io
async def test_nodes_find_each_other_by_their_beacons(site: Site, tmp_path: Path) -> None:
    port = free_port()
    async with (
        broker(tmp_path, port),
        station(site, "anna", at(port)) as anna,
        station(site, "boris", at(port)) as boris,
    ):
        await anna.ear.event(EndpointFound(PLACE, boris.node, Source.SHARED))
        await boris.ear.event(EndpointFound(PLACE, anna.node, Source.SHARED))
        assert anna.ear.all(BrokerUp) == [BrokerUp((PLACE,))]
        assert anna.ear.counted("own_topic_heard") == 0


@io
async def test_frames_belong_to_our_dialled_link_or_else_to_the_hosted_one(
    site: Site, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        broker(tmp_path, port),
        station(site, "anna", at(port)) as anna,
        station(site, "boris", at(port)) as boris,
    ):
        link = await boris.linked(anna)
        boris.send(anna, link, b"may I come in", door=True)
        boris.send(anna, link, b"to you")
        await anna.ear.event(FrameReceived(HOSTED, boris.node, True, b"may I come in"))
        await anna.ear.event(FrameReceived(HOSTED, boris.node, False, b"to you"))
        anna.send(boris, HOSTED, b"back to you")
        await boris.ear.event(FrameReceived(link, anna.node, False, b"back to you"))
        boris.wires.hangup(Hangup(link))
        anna.send(boris, HOSTED, b"after the end")
        await boris.ear.event(FrameReceived(HOSTED, anna.node, False, b"after the end"))


@io
async def test_a_greeting_is_hosted_even_while_we_dial_the_same_peer(site: Site, tmp_path: Path) -> None:
    port = free_port()
    async with (
        broker(tmp_path, port),
        station(site, "anna", at(port)) as anna,
        station(site, "boris", at(port)) as boris,
    ):
        await anna.linked(boris)
        boris.send(anna, await boris.linked(anna), b"crossing", door=True)
        await anna.ear.event(FrameReceived(HOSTED, boris.node, True, b"crossing"))


@io
async def test_a_send_to_all_reaches_those_who_are_meant(site: Site, tmp_path: Path) -> None:
    port = free_port()
    settings = at(port)
    async with (
        broker(tmp_path, port),
        station(site, "anna", settings) as anna,
        station(site, "boris", settings) as boris,
        station(site, "carla", settings) as carla,
    ):
        for other in (boris, carla):
            await anna.ear.event(EndpointFound(PLACE, other.node, Source.SHARED))
        anna.wires.send_all(SendAll(((boris.node, HOSTED),), Traffic.STATE, b"boris alone"))
        both = ((boris.node, HOSTED), (carla.node, HOSTED))
        anna.wires.send_all(SendAll(both, Traffic.STATE, b"both"))
        await boris.ear.event(FrameReceived(HOSTED, anna.node, False, b"both"))
        await carla.ear.event(FrameReceived(HOSTED, anna.node, False, b"both"))
        assert (boris.ear.payloads(), carla.ear.payloads()) == ([b"boris alone", b"both"], [b"both"])


@io
async def test_what_cannot_be_dialled_or_sent_is_told(site: Site, tmp_path: Path) -> None:
    port = free_port()
    async with broker(tmp_path, port), station(site, "anna", at(port)) as anna:
        anna.wires.dial(Dial(1, Endpoint("127.0.0.1", 8883), anna.node))
        anna.wires.dial(Dial(2, PLACE, None))
        await anna.ear.until(lambda: len(anna.ear.all(DialFailed)) == 2)
        anna.send(anna, 3, b"no such link")
        await anna.ear.event(Counted("send_without_link", anna.node))
        anna.send(anna, HOSTED, bytes(FRAME_BYTES_MAX + 1))
        await anna.ear.event(Counted("send_oversized", anna.node))


# ---------------------------------------------------------------- brokers come and go


@io
async def test_when_the_broker_dies_every_link_closes_once_and_the_next_broker_takes_over(
    site: Site, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    async with broker(tmp_path, ports[0]) as pid, broker(tmp_path, ports[1]):
        async with station(site, "anna", at(*ports)) as anna, station(site, "boris", at(*ports)) as boris:
            link = await boris.linked(anna)
            assert boris.fabric.broker == f"mqtt://127.0.0.1:{ports[0]}"
            os.kill(pid, signal.SIGKILL)
            assert (await boris.ear.first(LinkClosed)).link == link
            await boris.ear.event(Counted("shared_broker_lost"))
            assert (await boris.ear.first(BrokerDown)).reason.startswith("the shared broker is lost")
            await anna.ear.until(lambda: len(anna.ear.all(BrokerUp)) == 2)
            await boris.ear.until(lambda: len(boris.ear.all(BrokerUp)) == 2)
            assert boris.fabric.broker == f"mqtt://127.0.0.1:{ports[1]}"
            boris.send(anna, await boris.linked(anna), b"over the second")
            await anna.ear.event(FrameReceived(HOSTED, boris.node, False, b"over the second"))
        assert [each.link for each in boris.ear.all(LinkClosed)] == [link]


@io
async def test_everybody_returns_to_the_first_broker_when_it_is_back(site: Site, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    async with broker(tmp_path, ports[1]), station(site, "anna", at(*ports)) as anna:
        assert anna.fabric.broker == f"mqtt://127.0.0.1:{ports[1]}"
        async with broker(tmp_path, ports[0]):
            await anna.ear.until(lambda: len(anna.ear.all(BrokerUp)) == 2)
            assert anna.fabric.broker == f"mqtt://127.0.0.1:{ports[0]}"


@io
async def test_without_any_broker_dials_fail_with_the_reason(site: Site) -> None:
    bundle, ear, port = site.node("anna"), Ear(), free_port()
    fabric = SharedFabric(bundle.node, site.site, TlsSource(bundle.pem, site.root_pem), at(port), ear)
    async with run(fabric):
        await _until_error(fabric)
        fabric.dial(Dial(1, PLACE, bundle.node))
        failed = await ear.first(DialFailed)
    assert failed.reason == "no-route"
    assert failed.detail == f"no shared broker: mqtt://127.0.0.1:{port}: refused: Connection refused"


async def _until_error(fabric: SharedFabric) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not fabric.last_error:
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- signing in


@io
async def test_a_broker_with_a_password_file_lets_in_who_knows_it(site: Site, tmp_path: Path) -> None:
    port, passwords = free_port(), password_file(tmp_path)
    url = [f"mqtt://127.0.0.1:{port}"]
    async with broker(tmp_path, port, ("allow_anonymous false", f"password_file {passwords}")):
        async with station(site, "anna", SharedSettings(url, "plant", "secret word")):
            pass
        bundle, ear = site.node("boris"), Ear()
        wrong = SharedSettings(url, "plant", "a guess")
        fabric = SharedFabric(bundle.node, site.site, TlsSource(bundle.pem, site.root_pem), wrong, ear)
        async with run(fabric):
            await _until_error(fabric)
        assert fabric.last_error == f"{url[0]}: refused: Not authorized"
        assert ear.all(BrokerUp) == []


@io
async def test_tls_is_judged_by_the_given_authority_and_host_name(site: Site, tmp_path: Path) -> None:
    """Node certificates name nodes, not hosts: good enough for a broker only under the name they carry."""
    port, server = free_port(), site.node("localhost")
    lines = ("allow_anonymous true", f"certfile {server.pem}", f"keyfile {server.pem}")
    async with broker(tmp_path, port, lines):
        settings = SharedSettings([f"mqtts://localhost:{port}"], ca_file=site.root_pem)
        async with station(site, "anna", settings):
            pass
        bundle = site.node("boris")
        by_address = SharedSettings([f"mqtts://127.0.0.1:{port}"], ca_file=site.root_pem)
        fabric = SharedFabric(bundle.node, site.site, TlsSource(bundle.pem, site.root_pem), by_address, Ear())
        async with run(fabric):
            await _until_error(fabric)
        assert "not valid for '127.0.0.1'" in fabric.last_error


# ---------------------------------------------------------------- pure parts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://plant", "mqtt://plant:1883"),
        ("mqtts://plant", "mqtts://plant:8883"),
        ("mqtts://plant:9999", "mqtts://plant:9999"),
        ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
    ],
)
def test_a_broker_url_names_scheme_host_and_port(url: str, shown: str) -> None:
    assert [str(each) for each in brokers_of(SharedSettings([url]), Path("bundle"))] == [shown]


@pytest.mark.parametrize(
    "url", ["", "plant", "plant:1883", "http://plant", "mqtt://", "mqtt://plant:x", "mqtt://plant:99999"]
)
def test_what_is_no_broker_url_is_refused_with_the_cure(url: str) -> None:
    with pytest.raises(ValueError, match="HOST"):
        brokers_of(SharedSettings([url]), Path("bundle"))


def test_credentials_in_a_url_are_refused_without_showing_them() -> None:
    with pytest.raises(ValueError, match="credentials have their own settings") as refused:
        brokers_of(SharedSettings(["mqtt://me:secret@plant"]), Path("bundle"))
    assert "secret" not in str(refused.value)


def test_a_password_is_never_shown() -> None:
    settings = SharedSettings(["mqtt://plant"], "me", "secret")
    assert "secret" not in repr(settings) + repr(brokers_of(settings, Path("bundle")))


def test_the_more_are_here_the_rarer_their_beacons(site: Site) -> None:
    presence = Presence()
    assert presence.period_s() == 2.0
    for number in range(100):
        presence.saw(site.node(f"n{number}").node, 0.0)
    assert presence.period_s() == 4.0
    presence.forget_silent(16.0)
    assert presence.period_s() == 4.0
    presence.forget_silent(16.1)
    assert presence.period_s() == 2.0
