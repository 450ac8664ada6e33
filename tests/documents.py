"""The shell blocks of a document that promise to work, and a place to run them in."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

BLOCK_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0  # between being asked to end and being ended

_BLOCK = re.compile(r"^<!-- test -->\n+```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^<!-- test -->", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    line: int
    script: str


def blocks_in(text: str) -> list[Block]:
    """The blocks marked `<!-- test -->`, in order; a mark without a ```sh block is an error."""
    found = [Block(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in _BLOCK.finditer(text)]
    assert len(found) == len(_FENCE.findall(text)), "a <!-- test --> mark is not followed by a ```sh block"
    return found


@dataclass
class Place:
    """A folder of one document: its blocks run there one after the other, what they start ends with the place."""

    folder: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)  # each leads its own process group

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        for leader in self._started:
            _end_group(leader)

    def run(self, words: list[str], timeout_s: float = BLOCK_TIMEOUT_S) -> str:
        """What the command printed; AssertionError, with that, unless it ends well in time."""
        output = self.folder / "output.txt"
        with output.open("w+") as file:  # no pipe: what runs on in the background would hold it open
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            self._started.append(process)
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise AssertionError(
                    f"not done after {timeout_s:g} s; so far:\n{output.read_text()}"
                ) from None
        assert code == 0, f"exit code {code} after:\n{output.read_text()}"
        return output.read_text()

    def run_block(self, block: Block) -> str:
        return self.run(["bash", "-euo", "pipefail", "-c", block.script])

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        return {**os.environ, "PATH": path, "HOME": str(self.folder)}


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + END_TIMEOUT_S
        while _is_alive(leader) and time.monotonic() < deadline:
            time.sleep(0.02)  # nobody tells us when a grandchild ends


def _is_alive(leader: subprocess.Popen[bytes]) -> bool:
    """Whether anybody of the group still runs; those that only wait to be reaped do not."""
    leader.poll()
    states = (_state_and_group(path) for path in Path("/proc").glob("[0-9]*/stat"))
    return any(group == leader.pid and state != "Z" for state, group in states)


def _state_and_group(path: Path) -> tuple[str, int]:
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return "Z", 0
    return fields[0], int(fields[2])
