"""One node as a real process inside its namespace: started, killed, ended, and its broker found."""

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from node.errors import FieldmeshError
from simulations.lab.kernel import NAMESPACES

_SOURCES = Path(__file__).resolve().parents[2]
BROKER = "mosquitto"
_LOG_LINES_SHOWN = 15
_LOOK_EVERY_S = 0.02


class NodeProcess:
    """A command that dies with the process that started it; in a network namespace, or (None) in our own."""

    def __init__(self, name: str, namespace: str | None, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command = [
            *("setpriv", "--pdeathsig", "KILL"),
            *(("nsenter", f"--net={NAMESPACES / namespace}") if namespace else ()),
            "--",
            *command,
        ]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid  # both helpers become the command: no process stands between

    def start(self) -> None:
        """From the main thread only: the kernel ties the process's life to the thread that starts it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,  # Ctrl-C is for the lab
            )

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def kill(self) -> None:
        """At once, with no chance to say goodbye; nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """Asks it to stop in good order."""
        if self._process is not None:
            self._process.terminate()

    async def ended(self, within_s: float) -> bool:
        return await _becomes_true(lambda: self.exit_code() is not None, within_s)

    def broker_pid(self) -> int | None:
        """The broker among its descendants."""
        return next((each.pid for each in descendants(self.pid) if each.command == BROKER), None)

    def last_words(self) -> str:
        """The end of its log, for a person to read."""
        try:
            with self._log.open(errors="replace") as log:
                return "".join(deque(log, maxlen=_LOG_LINES_SHOWN)).rstrip()
        except OSError:
            return ""

    def require_running(self) -> None:
        """FieldmeshError with the end of its log when it has ended by itself."""
        code = self.exit_code()
        if code is not None:
            raise FieldmeshError(
                f"the node {self.name} ended by itself with exit code {code}. Its last lines:\n{self.last_words()}",
                "mend what its last lines complain of, or try the same node by hand: fieldmesh run --home DIR",
            )


def environment() -> dict[str, str]:
    """For the lab's own processes: they find this very source, and nobody's settings change a node's."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FIELDMESH_")}
    return {
        **plain,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_SOURCES), plain.get("PYTHONPATH", "")])),
    }


class Running(NamedTuple):
    """A line of the process table."""

    pid: int
    parent: int
    command: str
    is_remains: bool  # ended, and not yet collected by its parent


def descendants(pid: int) -> list[Running]:
    """The processes that a process has started, and theirs."""
    table = [each for path in Path("/proc").glob("[0-9]*") if (each := _read(path)) is not None]
    found: list[Running] = []
    parents = {pid}
    while children := [each for each in table if each.parent in parents and each not in found]:
        found += children
        parents = {each.pid for each in children}
    return [each for each in found if not each.is_remains]


def is_running(pid: int) -> bool:
    """Whether this process exists and is more than its remains."""
    running = _read(Path(f"/proc/{pid}"))
    return running is not None and not running.is_remains


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


async def gone(pid: int, within_s: float) -> bool:
    """Whether a process that is not our child ends in time."""
    return await _becomes_true(lambda: not is_running(pid), within_s)


def processor_seconds(pid: int) -> float:
    """The processor time that a process and its descendants have used so far."""
    ticks = sum(_ticks(each) for each in [pid, *(running.pid for running in descendants(pid))])
    return ticks / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> Running | None:
    fields = _stat(path)
    return Running(int(path.name), int(fields[2]), fields[0], fields[1] in "ZX") if fields else None


def _ticks(pid: int) -> int:
    fields = _stat(Path(f"/proc/{pid}"))
    return int(fields[12]) + int(fields[13]) if fields else 0


def _stat(path: Path) -> list[str]:
    """The command, then the fields behind it; empty when there is no such process."""
    try:
        head, _, tail = (path / "stat").read_text().rpartition(")")
    except OSError:
        return []
    return [head.partition("(")[2], *tail.split()]


async def _becomes_true(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True
