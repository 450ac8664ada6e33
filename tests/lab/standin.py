"""A stand-in for a node, for the tests of the lab itself: says and hears `here I am` over UDP, answers `peers`.

Started as `python standin.py HOME NAME NAMES...`; the address of each follows from its place among the names.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from pathlib import Path

PORT = 9999
BEAT_S = 0.1
SILENT_AFTER_S = 0.6


class StandIn:
    def __init__(self, home: Path, name: str, names: list[str]) -> None:
        self.home, self.name, self.names = home, name, names
        self.heard: dict[str, tuple[float, list[str]]] = {}
        self.incarnation = self._boot()

    def _boot(self) -> int:
        counter = self.home / "incarnation"
        incarnation = int(counter.read_text()) + 1 if counter.exists() else 1
        counter.write_text(str(incarnation))
        return incarnation

    def hears(self) -> list[str]:
        return [name for name, (at, _) in self.heard.items() if time.monotonic() - at < SILENT_AFTER_S]

    def is_direct(self, peer: str) -> bool:
        return peer in self.hears() and self.name in self.heard[peer][1]

    def peer(self, peer: str) -> dict[str, object]:
        if self.is_direct(peer):
            return {"name": peer, "state": "alive", "linked": True, "path": "direct", "why": "heard"}
        for other in self.names:
            if other != self.name and self.is_direct(other) and peer in self.heard[other][1]:
                return {
                    "name": peer,
                    "state": "alive",
                    "linked": False,
                    "path": f"via {other}",
                    "why": "relayed",
                }
        return {"name": peer, "state": "unreachable", "linked": False, "path": "none", "why": "silent"}

    def answer(self) -> dict[str, object]:
        peers = [self.peer(name) for name in self.names if name != self.name]
        node = {"name": self.name, "isolated": not self.hears(), "incarnation": self.incarnation}
        return {"ok": True, "result": {"node": node, "peers": peers}}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(json.dumps(self.answer()).encode() + b"\n")

    async def beat(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", PORT))
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self.hear, sock)
        while True:
            beat = json.dumps([self.name, self.hears()]).encode()
            for place, name in enumerate(self.names, start=1):
                if name != self.name:
                    with contextlib.suppress(OSError):  # the cable may be out
                        sock.sendto(beat, (f"10.77.0.{place}", PORT))
            await asyncio.sleep(BEAT_S)

    def hear(self, sock: socket.socket) -> None:
        try:
            name, hears = json.loads(sock.recv(4096))
        except OSError:
            return  # an old beat could not be delivered, says the kernel
        self.heard[name] = (time.monotonic(), hears)

    async def broker(self) -> None:
        """A child that is called like a broker, started again whenever it dies."""
        program = self.home / "mosquitto"
        if not program.exists():
            program.symlink_to("/bin/sleep")
        while True:
            child = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", str(program), "1000"
            )
            await child.wait()
            await asyncio.sleep(0.2)

    async def run(self) -> None:
        (self.home / "run").mkdir(exist_ok=True)
        path = self.home / "run" / "control.sock"
        path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        work = asyncio.gather(self.beat(), self.broker())
        loop.add_signal_handler(signal.SIGTERM, work.cancel)
        async with await asyncio.start_unix_server(self.serve, path):
            await work


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(StandIn(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]).run())
