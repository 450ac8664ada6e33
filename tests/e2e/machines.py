"""Computers of a plant, all on this one: each with a home of its own, the command line, and a real node process."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from node.control import call
from node.errors import FieldmeshError
from node.run_folder import run_folder

DEADLINE_S = 40.0  # for what takes a second or two on a machine that is not busy
SOON_S = 8.0  # for what the product promises within two or three seconds
LOOK_EVERY_S = 0.05
COMMAND_S_MAX = 30.0
STOP_S_MAX = 10.0
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below those that the kernel lends to outgoing connections

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """Standard output, which must be exactly one JSON object on one line."""
        assert self.out.count("\n") == 1, f"not one line: {self.out!r} {self.err!r}"
        found = json.loads(self.out)
        assert isinstance(found, dict), self.out
        return found


class Machine:
    """One computer. Whatever it runs is ended by `end`."""

    def __init__(self, folder: Path, name: str, port: int, join_port: int, **settings: str) -> None:
        self.name = name
        self.folder = folder
        self.home = folder / name
        self.port = port
        self.join_port = join_port
        self.settings = {"DISCOVERY_MDNS": "false", "FABRIC_BIND": HOST, **settings}
        self.prefix: Sequence[str] = ()  # of every command: to run inside a network namespace, say
        self._process: subprocess.Popen[bytes] | None = None

    # -- the command line

    def fieldmesh(self, *words: str, code: int = 0) -> Said:
        """What `fieldmesh WORDS` says here; it must end with this exit code."""
        command = [*self.prefix, str(BIN / "fieldmesh"), *words]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            env=self.environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        assert said.code == code, (
            f"fieldmesh {' '.join(words)} -> {said.code}\n{said.out}{said.err}\n{self.log}"
        )
        assert "Traceback" not in said.err, said.err
        return said

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The one JSON object that `fieldmesh WORDS --json` prints."""
        return self.fieldmesh(*words, "--json", code=code).object

    def found(self, site: str = "lyon") -> dict[str, Any]:
        ports = ("--port", str(self.port), "--join-port", str(self.join_port))
        return self.json("site", "init", "--site", site, "--name", self.name, *ports)

    def token(self, *options: str) -> str:
        return str(self.json("token", "create", *options)["token"])

    def join(self, token: str, steward: "Machine", code: int = 0) -> dict[str, Any]:
        ports = ("--port", str(self.port), "--join-port", str(self.join_port))
        where = ("--seed", f"{HOST}:{steward.join_port}")
        return self.json("join", token, "--name", self.name, *ports, *where, code=code)

    def environment(self) -> dict[str, str]:
        """A clean one: only this machine's settings decide."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("FIELDMESH_")}
        ours = {f"FIELDMESH_{name}": value for name, value in self.settings.items()}
        path = f"{BIN}:{plain.get('PATH', '')}:/usr/sbin:/sbin"
        return {**plain, **ours, "FIELDMESH_HOME": str(self.home), "HOME": str(self.folder), "PATH": path}

    # -- the node

    def start(self) -> "Machine":
        """`fieldmesh run`, which may take a moment: `wait_until_up`."""
        assert not self.is_running
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.prefix, str(BIN / "fieldmesh"), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        return self

    def wait_until_up(self) -> "Machine":
        mode = self.settings.get("FABRIC_MODE", "own")
        self.until(lambda: self.ask("status")["broker_up"] or mode == "leaf", "up")
        return self

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def broker_pid(self) -> int:
        """0 while there is none."""
        return int(self.ask("status")["broker"]["pid"] or 0)

    def exit_code(self, within_s: float = STOP_S_MAX) -> int:
        """How the node ended; it must end by itself."""
        assert self._process is not None
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {within_s:g} s\n{self.log}") from None

    def exits_soon(self, within_s: float = 3.0) -> bool:
        """Whether it ends by itself instead of coming up."""
        deadline = time.monotonic() + within_s
        while self.is_running and time.monotonic() < deadline:
            if self.control_socket.exists():
                return False
            time.sleep(LOOK_EVERY_S)
        return not self.is_running

    def kill(self) -> None:
        """Power off."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """What systemd does to stop it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        self.terminate()
        return self.exit_code()

    def end(self) -> None:
        """Whatever state it is in, it does not run any more."""
        if self.is_running:
            assert self._process is not None
            self._process.terminate()
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(
                    f"{self.name} did not stop within {STOP_S_MAX:g} s\n{self.log}"
                ) from None

    # -- what it says

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The control socket's answer: what the commands print, without a new process for each look."""
        return call(self.home, verb, **arguments)

    def peers(self) -> dict[str, dict[str, Any]]:
        return {peer["name"]: peer for peer in self.ask("peers")["peers"]}

    def states(self) -> dict[str, str]:
        return {name: peer["state"] for name, peer in self.peers().items()}

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def count(self, counter: str) -> int:
        return int(self.status()["counters"].get(counter, 0))

    def findings(self) -> list[str]:
        """Their codes, but for the doubts of a home that was copied or restored: these last a minute by design."""
        codes = [finding["code"] for finding in self.ask("check")["findings"]]
        return [code for code in codes if code != "own-writes-forgotten"]

    def until(self, holds: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
        """Looks again and again; what made it hold. A node that does not answer yet does not count as failed."""
        return until(holds, f"{self.name}: {what}", within_s, lambda: f"{self._shown()}\n{self.log}")

    def until_states(self, within_s: float = DEADLINE_S, **wanted: str) -> None:
        """Until its peers, by name with `_` for `-`, are in these states."""
        want = {name.replace("_", "-"): state for name, state in wanted.items()}
        self.until(lambda: want.items() <= self.states().items(), f"peers {want}", within_s)

    @property
    def log(self) -> str:
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    @property
    def control_socket(self) -> Path:
        return run_folder(self.home) / "control.sock"

    @property
    def _log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def _shown(self) -> str:
        try:
            return f"{self.states()} {self.status()}"
        except FieldmeshError as error:
            return error.message


def until(
    holds: Callable[[], T], what: str, within_s: float = DEADLINE_S, explain: Callable[[], str] = lambda: ""
) -> T:
    """Looks again and again until it holds; AssertionError, with an explanation, when time is up."""
    deadline = time.monotonic() + within_s
    while True:
        found: T | None
        try:
            found = holds()
        except FieldmeshError:  # the node is not up yet, or has just gone
            found = None
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}\n{explain()}")
        time.sleep(LOOK_EVERY_S)


def all_alive(machines: Sequence[Machine], within_s: float = DEADLINE_S) -> None:
    """Until each sees all the others alive."""
    for machine in machines:
        wanted = {other.name: "alive" for other in machines if other is not machine}
        machine.until(lambda: wanted.items() <= machine.states().items(), f"peers {wanted}", within_s)  # noqa: B023 - called before the loop goes on


def all_linked(machines: Sequence[Machine], within_s: float = DEADLINE_S) -> None:
    """Until each has a link of its own with all the others."""
    for machine in machines:
        others = [other.name for other in machines if other is not machine]
        machine.until(lambda: _hears(machine.peers(), others), f"links with {others}", within_s)  # noqa: B023 - called before the loop goes on


def _hears(peers: Mapping[str, Any], others: Sequence[str]) -> bool:
    return all(
        other in peers
        and (peers[other]["state"], peers[other]["path"], peers[other]["linked"]) == ("alive", "direct", True)
        for other in others
    )


def free_ports(count: int) -> list[int]:
    """As many TCP ports that nobody listens on, and that no outgoing connection is given."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def is_alive(pid: int) -> bool:
    """Whether this process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def brokers_under(folder: Path) -> list[int]:
    """The brokers that run with a configuration in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"mosquitto") and any(word.startswith(os.fsencode(folder)) for word in words):
            found.append(int(path.parent.name))
    return [pid for pid in found if is_alive(pid)]


def names(peers: Mapping[str, Any]) -> list[str]:
    return sorted(peers)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
