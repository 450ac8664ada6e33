"""Asking a running node: one JSON object a line over the Unix socket in its run folder.

Request `{"verb": ..., argument: value}`. Answer `{"ok": true, "result": {...}}`, with `"more": true` while further
results follow, or `{"ok": false, "error": {"code", "message", "cure"}}`.
"""

import socket
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


def socket_of(home: Path) -> Path:
    """Where the node of this home listens."""
    if not home.is_dir():  # asking must not make a home
        raise FieldmeshError(
            f"there is no node in {home}: no such folder", "give the right --home", Exit.NOT_RUNNING
        )
    return asked_run_folder(home) / SOCKET_NAME


def call(home: Path, verb: str, timeout_s: float = 10, **args: Any) -> dict[str, Any]:
    """The running node's answer to one question, or the FieldmeshError that it gave."""
    with closing(stream(home, verb, timeout_s, **args)) as results:
        return next(results, {})


def stream(
    home: Path, verb: str, timeout_s: float = 10, **args: Any
) -> Generator[dict[str, Any], None, None]:
    """The results of a verb that goes on, until it ends. `timeout_s` bounds the wait for each."""
    request = msgspec.json.encode({**args, "verb": verb}) + b"\n"
    if len(request) > REQUEST_BYTES_MAX:
        raise FieldmeshError(
            f"the request is larger than {REQUEST_BYTES_MAX} bytes", "send less at a time", Exit.USAGE
        )
    try:
        with _connected(socket_of(home), home, timeout_s) as connection:
            connection.sendall(request)
            yield from _results(connection, timeout_s)
    except TimeoutError:
        raise FieldmeshError(
            f"the node did not answer within {timeout_s:g} s", "try again, or look at its log", Exit.TEMPORARY
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


def _results(connection: socket.socket, timeout_s: float) -> Iterator[dict[str, Any]]:
    buffer = bytearray()
    while True:
        answer = _answer(_line(connection, buffer, timeout_s))
        if not answer.get("ok"):
            raise FieldmeshError.from_json(answer.get("error") or {})
        if "result" in answer:
            yield answer["result"]
        if not answer.get("more"):
            return


def _line(connection: socket.socket, buffer: bytearray, timeout_s: float) -> bytes:
    deadline = time.monotonic() + timeout_s
    while (end := buffer.find(b"\n")) < 0:
        if len(buffer) > ANSWER_BYTES_MAX:
            raise FieldmeshError("the node's answer is too large", "please report this", Exit.INTERNAL)
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = connection.recv(CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError
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
