import asyncio
import ipaddress
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from mesh.events import BrokerDown, BrokerUp, Counted
from mesh.io import broker as broker_module
from mesh.io import broker_reach
from mesh.io.broker import Broker, BrokerError, BrokerSettings
from mesh.io.broker_child import Child
from mesh.io.interfaces import Interface
from mesh.io.mosquitto import find_mosquitto, install_hint
from mesh.wire import Endpoint
from tests.mesh_io.brokers import DEADLINE_S, News, Running, is_alive, running_broker, settings_for, until
from tests.mesh_io.certificates import Bundle, Site

pytestmark = pytest.mark.io

PARENT = """
import asyncio, sys
from pathlib import Path
from mesh.events import BrokerUp
from mesh.io import broker_child
from mesh.io.broker import Broker, BrokerSettings
home, node, site, without_setpriv = sys.argv[1:]
home = Path(home)
certificate, root = home / "site/owner.pem", home / "site/root.pem"
settings = BrokerSettings(None, home / "broker", home / "run", node, site, "127.0.0.1", 0, certificate, root)
if without_setpriv:
    broker_child._setpriv = lambda: None
def told(news):
    if isinstance(news, BrokerUp):
        print(broker.state.pid, flush=True)
broker = Broker(settings, told)
asyncio.run(broker.run())
"""


async def test_up_is_told_when_it_serves_and_the_child_is_gone_afterwards(settings: BrokerSettings) -> None:
    async with running_broker(settings) as one:
        assert one.news.told == [BrokerUp((Endpoint("127.0.0.1", one.broker.port),))]
        assert one.broker.state.up
        assert one.broker.state.restarts == 0
        for name in ("owner.sock", "apps.sock"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(settings.run / name))
        socket.create_connection(("127.0.0.1", one.broker.port)).close()
        pid = one.pid
        assert is_alive(pid)
    assert not is_alive(pid)
    after = one.broker.state
    assert (after.up, after.pid) == (False, None)


@pytest.mark.parametrize(
    ("bind", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1 ::1"), ("::1", "::1"), ("127.0.0.2", "127.0.0.2")],
)
async def test_it_listens_where_it_is_told_to(settings: BrokerSettings, bind: str, reached: str) -> None:
    if ":" in bind and not has_ipv6():
        pytest.skip("no IPv6 on this host")
    async with running_broker(replace(settings, bind=bind)) as one:
        for host in reached.split():
            socket.create_connection((host, one.broker.port)).close()
        if bind not in ("0.0.0.0", "::"):
            assert one.news.told == [BrokerUp((Endpoint(bind, one.broker.port),))]
        assert one.news.count("broker_certificate_refused") == 0


async def test_an_interface_that_comes_or_goes_is_told(
    settings: BrokerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    interfaces = [Interface("one", 1, (ipaddress.IPv4Interface("10.9.9.1/24"),), multicast=True)]
    monkeypatch.setattr(broker_module, "PROBE_PERIOD_S", 0.05)
    monkeypatch.setattr(broker_reach, "usable_interfaces", lambda: tuple(interfaces))
    async with running_broker(replace(settings, bind="0.0.0.0")) as one:
        interfaces.append(Interface("two", 2, (ipaddress.IPv4Interface("10.9.9.2/24"),), multicast=True))
        await one.news.up(times=2)
        interfaces.clear()
        await one.news.up(times=3)
        port = one.broker.port
        assert one.news.told == [
            BrokerUp((Endpoint("10.9.9.1", port),)),
            BrokerUp((Endpoint("10.9.9.1", port), Endpoint("10.9.9.2", port))),
            BrokerUp(()),
        ]


async def test_a_home_with_spaces_in_its_name_is_no_trouble(tmp_path: Path) -> None:
    spaced = Site(tmp_path / "a site")
    settings = settings_for(tmp_path / "a home", spaced, spaced.node("owner"))
    async with running_broker(settings) as one:
        assert one.broker.state.up


async def test_its_files_are_for_this_user_only(settings: BrokerSettings) -> None:
    async with running_broker(settings):
        assert stat.S_IMODE(settings.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(settings.run.stat().st_mode) == 0o700
        for file in settings.folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_the_picked_port_is_kept_across_restarts(settings: BrokerSettings) -> None:
    async with running_broker(settings) as first:
        port = first.broker.port
    async with running_broker(settings) as second:
        assert second.broker.port == port


async def test_another_port_is_picked_when_the_kept_one_is_taken(settings: BrokerSettings) -> None:
    with listening() as port:
        settings.folder.mkdir(parents=True)
        (settings.folder / "port").write_text(f"{port}\n")
        async with running_broker(settings) as one:
            assert one.broker.port not in (0, port)


async def test_a_killed_child_is_replaced_and_both_are_told(settings: BrokerSettings) -> None:
    async with running_broker(settings) as one:
        first = one.pid
        os.kill(first, signal.SIGKILL)
        await one.news.up(times=2)
        assert one.news.told[1:] == [
            BrokerDown("killed by SIGKILL"),
            Counted("broker_restarted"),
            BrokerUp((Endpoint("127.0.0.1", one.broker.port),)),
        ]
        assert one.pid != first
        assert one.broker.state.restarts == 1
        assert one.broker.state.last_error == "killed by SIGKILL"


@pytest.mark.parametrize("without_setpriv", ["", "yes"])
async def test_the_child_dies_with_a_parent_that_is_killed(
    tmp_path: Path, site: Site, without_setpriv: str
) -> None:
    owner = site.node("owner")
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path), owner.node, site.site, without_setpriv),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert parent.stdout is not None
        child = int(await asyncio.wait_for(parent.stdout.readline(), DEADLINE_S))
        assert is_alive(child)
    finally:
        parent.kill()
        await parent.wait()
    await until(lambda: not is_alive(child))


async def test_a_broker_that_outlived_an_earlier_node_is_ended_first(settings: BrokerSettings) -> None:
    async with running_broker(settings) as one:
        port = one.broker.port
    orphan = await asyncio.create_subprocess_exec(
        *("mosquitto", "-c", str(settings.folder / "mosquitto.conf")),
        cwd=settings.run,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin"},
    )
    try:
        await until(lambda: is_serving(port))
        async with running_broker(replace(settings, port=port)) as two:
            assert two.broker.state.restarts == 0
        assert await asyncio.wait_for(orphan.wait(), DEADLINE_S) == -signal.SIGKILL
    finally:
        if orphan.returncode is None:
            orphan.kill()
            await orphan.wait()


async def test_a_taken_port_is_said_at_the_first_start(settings: BrokerSettings) -> None:
    with listening() as port:
        error = await refused(replace(settings, port=port))
    assert error.code == "port-taken"
    assert error.message == f"port {port} on 127.0.0.1 is already in use (Address already in use)"
    assert f"ss -ltnp 'sport = :{port}'" in error.cure


async def test_a_missing_binary_is_said_with_the_way_to_get_one(settings: BrokerSettings) -> None:
    error = await refused(replace(settings, binary="/nonexistent"))
    assert error.code == "mosquitto-missing"
    assert error.message == "no mosquitto broker at /nonexistent"
    assert install_hint() in error.cure


async def test_a_binary_that_is_too_old_is_said(settings: BrokerSettings, tmp_path: Path) -> None:
    error = await refused(replace(settings, binary=script(tmp_path, "echo mosquitto version 1.6.9")))
    assert error.code == "mosquitto-too-old"
    assert error.message == f"{tmp_path}/fake is mosquitto 1.6.9; at least 2.0.11 is needed"


@pytest.mark.parametrize("body", ["echo hello", "exit 127"])
async def test_a_binary_that_is_no_mosquitto_is_said(
    settings: BrokerSettings, tmp_path: Path, body: str
) -> None:
    error = await refused(replace(settings, binary=script(tmp_path, body)))
    assert error.code == "mosquitto-broken"
    assert error.message == f"{tmp_path}/fake does not run: it does not say its version"


@pytest.mark.parametrize(
    ("said", "version"),
    [("2.0.11", (2, 0, 11)), ("2.1", (2, 1, 0)), ("2.0.22-rc1", (2, 0, 22)), ("3.0.0", (3, 0, 0))],
)
async def test_new_enough_versions_are_taken(
    tmp_path: Path, said: str, version: tuple[int, int, int]
) -> None:
    found = await find_mosquitto(script(tmp_path, f"echo mosquitto version {said}; exit 3"))
    assert found.version == version


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ('ID=raspbian\nID_LIKE="debian"\n', "sudo apt-get install mosquitto"),
        ('ID="fedora"\n', "sudo dnf install mosquitto"),
        ("ID=alpine\n", "sudo apk add mosquitto"),
        ("ID=plan9\n", "see https://mosquitto.org/download/"),
    ],
)
def test_the_hint_fits_the_system(tmp_path: Path, release: str, command: str) -> None:
    (tmp_path / "os-release").write_text(release)
    assert install_hint(tmp_path / "os-release") == command


async def test_a_damaged_certificate_is_said_at_the_first_start(settings: BrokerSettings) -> None:
    settings.certificate.write_text("not a certificate")
    error = await refused(settings)
    assert error.code == "bad-certificate"
    assert str(settings.certificate) in error.message


async def test_a_certificate_that_peers_would_refuse_is_counted(
    settings: BrokerSettings, tmp_path: Path
) -> None:
    stranger = Site(tmp_path / "elsewhere").node("owner")
    async with running_broker(replace(settings, certificate=stranger.pem)) as one:
        assert one.news.count("broker_certificate_refused") == 1
        assert one.broker.state.up


async def test_a_folder_that_cannot_be_written_is_said(settings: BrokerSettings) -> None:
    settings.folder.write_text("a file where the folder should be")
    error = await refused(settings)
    assert error.code == "disk-failed"


@pytest.mark.root
async def test_a_full_disk_is_said_at_the_first_start(settings: BrokerSettings, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        error = await refused(replace(settings, folder=disk))
    assert error.code == "disk-full"
    assert error.message == f"no space left for the broker's files in {disk}"


@pytest.mark.root
async def test_a_removal_that_the_full_disk_refuses_stops_the_broker(
    settings: BrokerSettings, tmp_path: Path, site: Site
) -> None:
    ann = site.node("ann")
    with small_disk(tmp_path / "disk") as disk:
        async with running_broker(replace(settings, folder=disk), [ann]) as one:
            filler = fill(disk)
            await one.broker.set_access([], [ann.node])
            await one.news.until(lambda told: len(one.news.downs) == 1)
            assert one.news.downs == ["the access list cannot be written: No space left on device"]
            filler.unlink()
            await one.news.up(times=2)
            assert f"user {ann.node}\ntopic deny #\n" in (disk / "mesh.acl").read_text()


async def test_an_unchanged_list_is_not_read_again(
    settings: BrokerSettings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, ben = site.node("ann"), site.node("ben")
    hangups = count_hangups(monkeypatch)
    async with running_broker(settings, [ann]) as one:
        await one.broker.set_access([ann.node], [])
        assert hangups == []
        await one.broker.set_access([ben.node, ann.node], [])
        await one.broker.set_access([ann.node, ben.node], [])
        assert hangups == [one.pid]


async def test_access_set_while_it_starts_is_in_force_when_up_is_told(
    settings: BrokerSettings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = site.node("ann")
    hangups = count_hangups(monkeypatch)
    one = Running(settings)
    task = asyncio.create_task(one.broker.run())
    try:
        await until(lambda: one.broker.state.pid is not None)
        await one.broker.set_access([ann.node], [])
        await one.news.up()
        assert hangups == [one.pid]
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_access_list_that_it_cannot_read_stops_the_broker(settings: BrokerSettings) -> None:
    async with running_broker(settings) as one:
        (settings.folder / "mesh.acl").write_text("bogus line\n")
        os.kill(one.pid, signal.SIGHUP)
        await one.news.up(times=2)
        assert one.news.count("broker_access_refused") >= 1
        assert "lost its access list" in one.news.downs[0]
        assert "bogus" not in (settings.folder / "mesh.acl").read_text()


async def test_a_broker_that_accepts_but_does_not_answer_is_replaced(
    settings: BrokerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "PROBE_PERIOD_S", 0.1)
    monkeypatch.setattr(broker_module, "PROBE_TIMEOUT_S", 0.5)
    async with running_broker(settings) as one:
        first = one.pid
        os.kill(first, signal.SIGSTOP)
        await one.news.up(times=2)
        assert one.news.count("broker_hung") == 1
        assert one.news.downs == ["accepted connections but did not answer"]
        assert not is_alive(first)


async def test_a_stopped_broker_that_misses_a_removal_is_replaced_within_the_bound(
    settings: BrokerSettings, site: Site
) -> None:
    ann = site.node("ann")
    async with running_broker(settings, [ann]) as one:
        os.kill(one.pid, signal.SIGSTOP)
        await one.broker.set_access([], [ann.node])
        await one.news.up(times=2)
        assert one.news.downs == ["did not reread its access list in time"]


async def test_a_new_certificate_is_served_and_a_live_session_goes_on(
    settings: BrokerSettings, site: Site
) -> None:
    ann = site.node("ann")
    owner = Bundle(settings.node, settings.certificate)
    async with running_broker(settings, [ann]) as one:
        old, reader, writer = await session(ann, site, one)
        serial = site.renew(owner)
        await one.broker.reload()
        new, _, other = await session(site.node("ben"), site, one)
        assert old != new == serial
        writer.write(b"\xc0\x00")
        assert await asyncio.wait_for(reader.readexactly(2), DEADLINE_S) == b"\xd0\x00"
        for one_writer in (writer, other):
            one_writer.close()
        assert one.news.count("broker_certificate_refused") == 0


async def test_a_refused_stranger_is_counted(settings: BrokerSettings) -> None:
    async with running_broker(settings) as one:
        with socket.create_connection(("127.0.0.1", one.broker.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await one.news.counted("broker_refused_client")


async def test_more_descriptors_than_connections_are_allowed(settings: BrokerSettings) -> None:
    async with running_broker(settings) as one:
        limits = Path(f"/proc/{one.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(line.split()[3]) >= 1024 + 2 * 128 + 64


async def refused(settings: BrokerSettings) -> BrokerError:
    """The error with which a broker does not start."""
    one = Broker(settings, News())
    with pytest.raises(BrokerError) as raised:
        await asyncio.wait_for(one.run(), DEADLINE_S)
    assert one.state.pid is None
    assert raised.value.cure
    return raised.value


async def session(
    bundle: Bundle, site: Site, one: Running
) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    """A plain MQTT session over TLS, and the serial number of the broker's certificate in it."""
    context = ssl.create_default_context(cafile=str(site.root_pem))
    context.check_hostname = False
    context.load_cert_chain(bundle.pem)
    reader, writer = await asyncio.open_connection("127.0.0.1", one.broker.port, ssl=context)
    writer.write(bytes.fromhex("100d00044d51545404020000000178"))
    assert await asyncio.wait_for(reader.readexactly(4), DEADLINE_S) == b"\x20\x02\x00\x00"
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number, reader, writer


def count_hangups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets every hangup through and lists whom it went to."""
    hangups: list[int] = []
    through = Child.hangup

    def hangup(child: Child) -> None:
        hangups.append(child.pid)
        through(child)

    monkeypatch.setattr(Child, "hangup", hangup)
    return hangups


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def is_serving(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def script(folder: Path, body: str) -> str:
    path = folder / "fake"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler
