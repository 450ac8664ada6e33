"""Asking a running node: one JSON object a line over the Unix socket in its run folder.

Request `{"verb": ..., argument: value}`. Answer `{"ok": true, "result": {...}}`, with `"more": true` while further
results follow, or `{"ok": false, "error": {"code", "message", "cure"}}`. `{"ok": true, "more": true}` alone is a sign
of life: the node works on the answer.
"""

import socket
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from node.access import denied
from node.errors import FieldmeshError
from node.exits import Exit
from node.run_folder import asked_run_folder

SOCKET_NAME = "control.sock"
REQUEST_BYTES_MAX = 262_144  # a cast's payload, which is under one frame, is the largest argument
ANSWER_BYTES_MAX = 16_777_216  # four thousand peers at a kilobyte each, with room
CHUNK_BYTES = 65_536
SILENCE_S = 10.0  # a node that works on an answer says so every two seconds: this one has stopped
NOTICE_S = 2.0  # after which a person wonders
NOTICE = "waiting for the node ..."


def socket_of(home: Path) -> Path:
    """Where the node of this home listens."""
    if not home.is_dir():  # asking must not make a home
        raise FieldmeshError(
            f"there is no node in {home}: no such folder", "give the right --home", Exit.NOT_RUNNING
        )
    return asked_run_folder(home) / SOCKET_NAME


def call(home: Path, verb: str, timeout_s: float = 10, **args: Any) -> dict[str, Any]:
    """The running node's answer to one question, or the FieldmeshError that it gave.

    `timeout_s` bounds the wait for a node that is at work; one that says nothing is given up after SILENCE_S.
    """
    with closing(_asked(home, verb, _Patience(timeout_s, SILENCE_S), args)) as results:
        return next(results, {})


def stream(
    home: Path, verb: str, timeout_s: float = 10, **args: Any
) -> Generator[dict[str, Any], None, None]:
    """The results of a verb that goes on, until it ends. `timeout_s` bounds the wait for each."""
    return _asked(home, verb, _Patience(timeout_s, timeout_s), args)


class _Patience:
    """How long a caller waits: for a result, for any word, and until a person at a terminal is told that it waits."""

    def __init__(self, result_s: float, silence_s: float) -> None:
        self.result_s = result_s
        self.silence_s = min(silence_s, result_s)
        self._is_noticed = not sys.stderr.isatty()
        self._asked_at = time.monotonic()
        self._heard_at = self._asked_at

    def start(self) -> None:
        """The next result is waited for from now on."""
        self._asked_at = self._heard_at = time.monotonic()

    def heard(self) -> None:
        """The node has said something, a sign of life at least."""
        self._heard_at = time.monotonic()

    def answered(self) -> None:
        """A person has seen that it answers, and needs not be told that it is waited for."""
        self._is_noticed = True

    def given_up_s(self) -> float:
        """After how long nothing was waited for any more."""
        is_late = time.monotonic() >= self._asked_at + self.result_s
        return self.result_s if is_late else self.silence_s

    def left_s(self) -> float:
        """Until something is to be done; TimeoutError when nothing is left to wait for."""
        now = time.monotonic()
        given_up_at = min(self._asked_at + self.result_s, self._heard_at + self.silence_s)
        if now >= given_up_at:
            raise TimeoutError
        if self._is_noticed:
            return given_up_at - now
        if now >= self._asked_at + NOTICE_S:
            self._is_noticed = True
            print(NOTICE, file=sys.stderr, flush=True)
            return given_up_at - now
        return min(given_up_at, self._asked_at + NOTICE_S) - now


def _asked(
    home: Path, verb: str, patience: _Patience, args: dict[str, Any]
) -> Generator[dict[str, Any], None, None]:
    request = msgspec.json.encode({**args, "verb": verb}) + b"\n"
    if len(request) > REQUEST_BYTES_MAX:
        raise FieldmeshError(
            f"the request is larger than {REQUEST_BYTES_MAX} bytes", "send less at a time", Exit.USAGE
        )
    try:
        with _connected(socket_of(home), home, patience.silence_s) as connection:
            connection.sendall(request)
            yield from _results(connection, patience)
    except TimeoutError:
        raise FieldmeshError(
            f"the node did not answer within {patience.given_up_s():g} s",
            "try again, or look at its log",
            Exit.TEMPORARY,
        ) from None
    except ConnectionError:
        raise _not_running(home) from None  # it stopped while we asked
    except PermissionError:
        raise denied(home) from None


def _connected(path: Path, home: Path, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except BaseException as error:
        connection.close()
        if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
            raise _not_running(home) from None
        if isinstance(error, BlockingIOError):  # the queue of callers is full
            raise FieldmeshError("the node is busy", "try again", Exit.TEMPORARY) from None
        raise
    return connection


def _results(connection: socket.socket, patience: _Patience) -> Iterator[dict[str, Any]]:
    buffer = bytearray()
    patience.start()
    while True:
        answer = _answer(_line(connection, buffer, patience))
        if not answer.get("ok"):
            raise FieldmeshError.from_json(answer.get("error") or {})
        if "result" in answer:
            patience.answered()
            yield answer["result"]
            patience.start()
        if not answer.get("more"):
            return


def _line(connection: socket.socket, buffer: bytearray, patience: _Patience) -> bytes:
    while (end := buffer.find(b"\n")) < 0:
        if len(buffer) > ANSWER_BYTES_MAX:
            raise FieldmeshError("the node's answer is too large", "please report this", Exit.INTERNAL)
        connection.settimeout(max(0.001, patience.left_s()))
        try:
            chunk = connection.recv(CHUNK_BYTES)
        except TimeoutError:
            continue  # left_s() says what that means
        if not chunk:
            raise ConnectionResetError
        patience.heard()
        buffer += chunk
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line


def _answer(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise FieldmeshError(
            "the node's answer is not understood",
            "are both of the same version? fieldmesh version",
            Exit.INTERNAL,
        ) from None


def _not_running(home: Path) -> FieldmeshError:
    return FieldmeshError(f"no node is running in {home}", f"fieldmesh run --home {home}", Exit.NOT_RUNNING)
