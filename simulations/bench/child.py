"""A process of the bench: started, asked, and gone when the bench is gone."""

import asyncio
import os
import shutil
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from node.errors import FieldmeshError
from simulations.lab.process import environment

ANSWER_WITHIN_S = 30.0  # after what the order itself takes; a node starts on a busy machine in a few
STOP_WITHIN_S = 10.0
LOG_LINES_SHOWN = 15


class Child:
    """A command with pipes for orders and answers, and a log. Its standard input ends when the bench does."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """From the main thread only: the kernel ties the process's life to the thread that starts it."""
        setpriv = _setpriv()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *((setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()),
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(),
                process_group=0,  # Ctrl-C is for the bench, which then ends its children in order
            )

    async def ask(self, verb: str, *, takes_s: float = 0.0, **arguments: Any) -> Any:
        """The answer to an order that takes so long, or FieldmeshError when the process ends or says nothing."""
        assert self._process is not None
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            async with asyncio.timeout(takes_s + ANSWER_WITHIN_S):
                stdin.write(msgspec.json.encode({"verb": verb, **arguments}) + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except (ConnectionError, TimeoutError):
            line = b""
        if not line:
            raise self._failed(f"did not carry out {verb}")
        return msgspec.json.decode(line)

    def require_running(self) -> None:
        """FieldmeshError with the end of its log when it has ended by itself."""
        assert self._process is not None
        if self._process.returncode is not None:
            raise self._failed(f"ended by itself with exit code {self._process.returncode}")

    async def stop(self) -> None:
        """Asks it to end, and kills it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _failed(self, what: str) -> FieldmeshError:
        return FieldmeshError(
            f"the node {self.name} {what}. Its last lines:\n{self._last_words()}",
            "mend what its last lines complain of, and run the bench again",
        )

    def _last_words(self) -> str:
        with self._log.open(errors="replace") as log:
            return "".join(deque(log, maxlen=LOG_LINES_SHOWN)).rstrip()


def _setpriv() -> str | None:
    """util-linux's, which ties a process's life to ours; busybox's cannot, and then an end of input must do."""
    path = shutil.which("setpriv")
    return path if path and "busybox" not in os.path.realpath(path) else None
