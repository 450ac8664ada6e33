"""A process that runs Discovery and tells what it delivers; and the handle by which a test drives it.

Run as a module, it takes its settings as JSON in its first argument, writes one JSON object per event, obeys
one JSON object per line (`{"advertise": {...}}`, `{"seen": true}`, `{"cpu": true}`), and ends when its input
does.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mesh.events import Counted, EndpointFound, EndpointLost
from mesh.ids import NodeId, SiteId
from mesh.io.discovery import Advertisement, Discovery, find_stewards
from mesh.io.interfaces import Interface, usable_interfaces

PLANT, OTHER_PLANT = SiteId("a" * 16), SiteId("b" * 16)
_ROOT = Path(__file__).parents[2]
_START_S_MAX = 10.0


def advertisement(letter: str, **changes: Any) -> Advertisement:
    """An advertisement of the node whose id is 26 times this letter."""
    values: dict[str, Any] = {
        "node": NodeId(letter * 26),
        "site": PLANT,
        "name": f"node-{letter}",
        "port": 8883,
        "join_port": 0,
        "boot": 100 + ord(letter),
        "fingerprint": f"{ord(letter):x}" * 32,
    }
    return Advertisement(**(values | changes))


class Station:
    """A running process; events come in as dictionaries with the moment (`at`) of their delivery."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, within_s: float = 5.0, after: float = 0.0, **wanted: Any) -> dict[str, Any]:
        """The first event, delivered after that moment, that has all these values."""
        deadline = time.monotonic() + within_s
        with self._arrived:
            while True:
                for event in self.events:
                    if event["at"] >= after and wanted.items() <= event.items():
                        return event
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise AssertionError(f"no {wanted} within {within_s} s; got {self.events}")
                self._arrived.wait(left_s)

    def has(self, **wanted: Any) -> bool:
        with self._arrived:
            return any(wanted.items() <= event.items() for event in self.events)

    def tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def seen(self) -> dict[str, Any]:
        asked = time.time()
        self.tell(seen=True)
        answer: dict[str, Any] = self.wait_for(kind="seen", after=asked)["nodes"]
        return answer

    def stop(self) -> float:
        """Ends it in order; how long that took."""
        began = time.monotonic()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        assert self.process.wait(10.0) == 0
        self._reader.join(5.0)
        return time.monotonic() - began

    def crash(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._arrived:
                self.events.append(json.loads(line))
                self._arrived.notify_all()


@contextlib.contextmanager
def station(
    mine: Advertisement | None, wrap: Callable[[list[str]], list[str]] = list, **more: Any
) -> Iterator[Station]:
    """A process that runs Discovery with this advertisement, its command wrapped (say, into a namespace)."""
    settings = {"mine": asdict(mine) if mine else None, **more}
    words = [sys.executable, "-m", "tests.mesh_io.stations", json.dumps(settings)]
    process = subprocess.Popen(
        wrap(words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )
    made = Station(process)
    try:
        made.wait_for(_START_S_MAX, kind="started")
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


async def main(settings: dict[str, Any]) -> None:
    if "stewards_of" in settings:
        await _print_stewards(settings["stewards_of"], settings["timeout_s"])
        return
    mine = Advertisement(**settings["mine"]) if settings["mine"] else None
    site = SiteId(settings.get("site", PLANT))
    discovery = Discovery(mine, site, _print_event, _interfaces)
    running = asyncio.create_task(discovery.run(), name="discovery")
    _print(kind="started")
    await _obey(discovery)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    _print(kind="stopped", cpu_s=time.process_time())


async def _obey(discovery: Discovery) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        if "advertise" in command:
            discovery.advertise(Advertisement(**command["advertise"]))
        if "cpu" in command:
            _print(kind="cpu", cpu_s=time.process_time())
        if "seen" in command:
            _print(kind="seen", nodes={node: asdict(each) for node, each in discovery.seen.items()})


async def _print_stewards(site: str | None, timeout_s: float) -> None:
    _print(kind="started")
    async for door in find_stewards(SiteId(site) if site else None, timeout_s):
        _print(kind="steward", **asdict(door))
    _print(kind="stopped")


def _interfaces() -> tuple[Interface, ...]:
    found = usable_interfaces()
    _print(kind="interfaces", names=[interface.name for interface in found])
    return found


def _print_event(event: EndpointFound | EndpointLost | Counted) -> None:
    match event:
        case EndpointFound(endpoint, node, source):
            _print(kind="found", endpoint=str(endpoint), node=node, source=source)
        case EndpointLost(node, source):
            _print(kind="lost", node=node, source=source)
        case Counted(name, peer):
            _print(kind="counted", name=name, peer=peer)


def _print(**event: Any) -> None:
    print(json.dumps({"at": time.time(), **event}, default=str), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
