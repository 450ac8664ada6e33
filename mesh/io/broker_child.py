"""The mosquitto process: started so that it dies with us, listened to, and always awaited."""

import asyncio
import ctypes
import os
import resource
import shutil
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mesh.io.broker_config import CONNECTIONS_MAX, LOCAL_CONNECTIONS_MAX
from mesh.io.broker_log import TAIL_LINES_MAX, Lines

TERM_S = 2.0  # it has nothing to save; longer means that it hangs
DESCRIPTORS_WANTED = (
    CONNECTIONS_MAX + 2 * LOCAL_CONNECTIONS_MAX + 128
)  # short of them it fails to reread its access lists
_PR_SET_PDEATHSIG = 1


class Child:
    """One run of the broker. `on_line` hears each line of its stderr."""

    def __init__(self, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self._process = process
        self._on_line = on_line
        self._verdict = ""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES_MAX)
        self._listening = asyncio.create_task(self._listen(), name=f"broker-stderr-{process.pid}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ended(self) -> str:
        """Waits for the end; why it ended, in words."""
        code = await self._process.wait()
        await asyncio.wait([self._listening], timeout=TERM_S)
        if self._verdict:
            return self._verdict
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"

    def hangup(self) -> None:
        """Tells it to reread certificates and access lists."""
        self._signal(signal.SIGHUP)

    def kill(self, verdict: str) -> None:
        """Ends it at once; `verdict` becomes the reason that `ended` gives."""
        self._verdict = self._verdict or verdict
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ends it within TERM_S and reaps it. If cancelled, it is killed before the cancellation goes on."""
        try:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(TERM_S):
                    await self._process.wait()
        finally:
            self._signal(signal.SIGKILL)
            await self._process.wait()
            self._listening.cancel()
            await asyncio.wait([self._listening])

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _listen(self) -> None:
        stderr, lines = self._process.stderr, Lines()
        assert stderr is not None
        while data := await stderr.read(4096):
            for line in lines.feed(data):
                self.tail.append(line)
                self._on_line(line)


async def start(binary: str, conf: Path, run: Path, on_line: Callable[[str], None]) -> Child:
    """Starts mosquitto in the folder `run`. Call it from the main thread: the kernel kills the child with the
    thread that started it."""
    setpriv = _setpriv()
    command = (binary, "-c", str(conf))
    process = await asyncio.create_subprocess_exec(
        *((setpriv, "--pdeathsig", "KILL", "--", *command) if setpriv else command),
        preexec_fn=None if setpriv else _death_wish(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=run,
        env={"LC_ALL": "C", "PATH": os.defpath},  # its messages are read, and nothing of ours leaks into it
        process_group=0,  # a Ctrl-C at the terminal is for the node, which then stops its broker
    )
    _allow_descriptors(process.pid)
    return Child(process, on_line)


def connections_allowed() -> int:
    """How many mesh connections the descriptor limit leaves room for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    short = 0 if hard == resource.RLIM_INFINITY else max(0, DESCRIPTORS_WANTED - hard)
    return max(16, CONNECTIONS_MAX - short)


async def end_orphans(conf: Path) -> int:
    """Kills brokers of ours that outlived an earlier node (how many); the kernel's promise has rare gaps."""
    orphans = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _runs(pid, conf)]
    for pid in orphans:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(TERM_S):
            while any(_runs(pid, conf) for pid in orphans):  # noqa: ASYNC110 - no child of ours
                await asyncio.sleep(0.02)
    return len(orphans)


def _runs(pid: int, conf: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return arguments[1:3] == [b"-c", os.fsencode(conf)] and arguments[0].endswith(b"mosquitto")


def _setpriv() -> str | None:
    """util-linux's, which asks the kernel for the signal without Python code between fork and exec."""
    path = shutil.which("setpriv")
    return path if path and "busybox" not in os.path.realpath(path) else None


def _death_wish() -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec one must not load libraries
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _allow_descriptors(pid: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (wanted, hard))
