"""Two programs on one host talk through their node's broker: no certificate, no open port, nothing leaves the host.

    python examples/local_apps.py --home HOME    # with your node, which must be running
    python examples/local_apps.py                # with a node that lives only as long as this takes

Everything below `local/` is free for applications. The same with plain tools, for programs in any language:

    mosquitto_sub -V 5 --unix HOME/run/apps.sock -t 'local/#' -v
"""

import argparse
import asyncio
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiomqtt

from node.home import Home

STROKES = 5


def door(home: Path) -> Path:
    """The Unix socket for applications, which only the node's own user can open."""
    socket = Home(home).run_dir() / "apps.sock" if Home(home).is_settled else home
    if not socket.is_socket():
        raise SystemExit(f"no node runs in {home}; start it: fieldmesh run --home {home}")
    return socket


def broker(socket: Path, name: str) -> aiomqtt.Client:
    return aiomqtt.Client(
        str(socket), port=1, transport="unix", identifier=name, protocol=aiomqtt.ProtocolVersion.V5
    )


async def press(socket: Path) -> None:
    """Stands for a machine: tells its strokes."""
    async with broker(socket, "press") as client:
        for number in range(1, STROKES + 1):
            stroke = {"number": number, "force_kn": round(random.gauss(250, 5))}
            await client.publish("local/press/stroke", json.dumps(stroke), qos=1)


async def counter(socket: Path, ready: asyncio.Event) -> int:
    """Listens to the machine; returns how many strokes it has heard."""
    heard = 0
    async with broker(socket, "counter") as client:
        await client.subscribe("local/press/stroke", qos=1)
        ready.set()
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            stroke = json.loads(message.payload)
            print(f"stroke {stroke['number']}: {stroke['force_kn']} kN")
            heard += 1
            if heard == STROKES:
                break
    return heard


async def main(home: Path) -> None:
    socket = door(home)
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as programs:  # real ones are two processes
        counting = programs.create_task(counter(socket, ready))
        await ready.wait()
        programs.create_task(press(socket))
    print(f"{counting.result()} strokes counted")


@contextmanager
def node_for_a_moment() -> Iterator[Path]:
    """The home of a running node that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "node"
        port = str(random.randrange(20_000, 32_000))
        words = ["--site", "trial", "--name", "press-1", "--port", port, "--join-port", "0"]
        subprocess.run(["fieldmesh", "site", "init", "--home", home, *words], check=True, capture_output=True)
        with subprocess.Popen(["fieldmesh", "run", "--home", home], stderr=subprocess.DEVNULL) as node:
            try:
                wait_for_its_broker(home)
                yield home
            finally:
                node.terminate()


def wait_for_its_broker(home: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["fieldmesh", "status", "--json", "--home", home], capture_output=True, check=False
        )
        if asked.returncode == 0 and json.loads(asked.stdout)["broker_up"]:
            return
        time.sleep(0.2)
    raise SystemExit("the node did not start within 30 s; try: fieldmesh demo")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, help="the folder of a node that runs here")
    if given := parser.parse_args().home:
        asyncio.run(main(given))
    else:
        with node_for_a_moment() as made:
            asyncio.run(main(made))
