"""The demo as a person, a log and a script meet it; and however it ends, nothing of it is left."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from node.control import call
from simulations.demo.folder import PREFIX
from tests.lab.leftovers import await_that

pytestmark = [pytest.mark.io, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "node.cli.main", "demo", "--quick"]
TERMINAL_VARIABLES = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
END_WITHIN_S = 20.0  # it takes a tenth of a second; the machine may be busy


@contextmanager
def playing(*options: str, screen: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
    """A demo in a process of its own; killed if the test fails, and nothing of it may be left."""
    environment = {name: value for name, value in os.environ.items() if name not in TERMINAL_VARIABLES}
    with subprocess.Popen(
        [*COMMAND, *options],
        cwd=ROOT,
        text=True,
        stdout=screen,
        stderr=screen,
        env={**environment, "TERM": "xterm-256color"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            await_that(lambda: leftovers(process.pid) == [], within_s=END_WITHIN_S)


def leftovers(pid: int) -> list[str]:
    """Folders, and processes that have one on their command line, of the demo with this process id."""
    name = f"{PREFIX}{pid}-"
    folders = [str(path) for path in Path(tempfile.gettempdir()).glob(f"{name}*")]
    return folders + [line for line in _command_lines() if name in line]


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            yield path.read_text().replace("\0", " ")


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    pytest.fail(f"it ended without saying {words!r}:\n{said}")


def test_without_a_terminal_each_act_and_change_is_a_line() -> None:
    with playing() as process:
        said, errors = process.communicate()
        assert leftovers(process.pid) == []
    assert process.returncode == 0, said + errors
    assert errors == ""
    assert "\x1b" not in said
    assert re.findall(r"^ +[\d.]+ s  (\d/8)", said, re.MULTILINE) == [
        "1/8",
        "2/8",
        "3/8",
        "4/8",
        "5/8",
        "6/8",
        "7/8",
        "8/8",
    ]
    for change in (
        r"press-2 found press-1 by ",
        r"press-1 and press-2 are linked",
        r"press-3 calls press-2 unreachable",
        r"press-3 shows it as unacknowledged, \d+ ms later",
        r"press-1 shows it as acknowledged, \d+ ms later",
        r"everybody is linked again after \d",
        r"press-2 shows it as acknowledged, \d+ ms later",
        r"has a new broker, every pair is linked after \d",
        r"  +\d+\.\d s   to notice: press-2 killed",
        r"At no time was a node that lives called unreachable",
        r"fieldmesh demo --keep",
    ):
        assert re.search(change, said), f"{change} is not in:\n{said}"


def test_for_a_script_there_is_one_object_with_the_figures() -> None:
    with playing("--json") as process:
        said, errors = process.communicate()
        assert leftovers(process.pid) == []
    assert process.returncode == 0, said + errors
    report = json.loads(said)
    assert list(report) == ["mesh_formed_s", "detect_all_s", "heal_s", "violations"]
    assert report["violations"] == []
    assert all(0 < report[figure] < 45 for figure in ("mesh_formed_s", "detect_all_s", "heal_s"))


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("1/8", signal.SIGINT),
        ("2/8", signal.SIGTERM),
        ("3/8", signal.SIGINT),
        ("kill -9", signal.SIGHUP),
    ],
)
def test_a_signal_ends_everything_at_once(moment: str, number: signal.Signals) -> None:
    with playing() as process:
        read_until(process, moment)
        process.send_signal(number)
        said, errors = process.communicate(timeout=END_WITHIN_S)
        assert leftovers(process.pid) == []
    assert (process.returncode, errors) == (130, "")
    assert said.endswith("Stopped. Nothing is left behind.\n")


def test_a_demo_that_is_killed_takes_nodes_brokers_and_folder_along() -> None:
    with playing() as process:
        read_until(process, "every pair is linked")
        assert sum("mosquitto" in line for line in leftovers(process.pid)) >= 2
        process.kill()  # `playing` looks for what is left


def test_a_reader_that_has_gone_ends_the_demo() -> None:
    with playing() as process:
        read_until(process, "1/8")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(END_WITHIN_S) != 0
        assert leftovers(process.pid) == []


def test_nodes_that_are_kept_can_be_asked_until_ctrl_c() -> None:
    with playing("--keep") as process:
        said = read_until(process, "Ctrl-C here ends them")
        homes = sorted(set(re.findall(r"--home (\S+)", said)))
        assert [Path(home).name for home in homes] == ["press-1", "press-2", "press-3"]
        for home in homes:
            assert {peer["state"] for peer in call(Path(home), "peers")["peers"]} == {"alive"}
        process.send_signal(signal.SIGINT)
        assert process.wait(END_WITHIN_S) == 0
        assert leftovers(process.pid) == []


def test_on_a_terminal_the_picture_is_live_and_the_terminal_is_given_back() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with playing(screen=theirs) as process:
        os.close(theirs)
        screen = b""
        while b"unreachable" not in screen:
            screen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 65536):
                screen += piece
        process.wait(END_WITHIN_S)
    os.close(ours)
    text = screen.decode()
    assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "sees press-2" in text
    assert text.endswith("Stopped. Nothing is left behind.\r\n")
