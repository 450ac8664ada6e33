"""The running node's end of the control socket: bounded requests, bounded connections, one answer each."""

import asyncio
import contextlib
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog

from node.control import REQUEST_BYTES_MAX
from node.errors import FieldmeshError
from node.exits import Exit

Result = Mapping[str, Any]
Handler = Callable[..., Awaitable[Result] | AsyncIterator[Result]]
"""Answers one verb: a coroutine function for one result, an async generator for a verb that goes on."""

CONNECTIONS_MAX = 16  # people and scripts on one host, not a public service
REQUEST_TIMEOUT_S = 30.0  # longer than any exam of all peers
IDLE_TIMEOUT_S = 60.0  # a caller that says nothing gives its place to another
DISMISS_TIMEOUT_S = 1.0  # for a caller who is sent away to read why
WRITE_TIMEOUT_S = 10.0  # a caller that does not read is cut off
PULSE_S = 2.0  # a caller waits ten seconds for a sign of life

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def serve_control(path: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answers callers while the body runs; `path` lies in a private folder (Home.run_dir).

    Leaving it, also by cancelling, ends every connection and removes the socket.
    """
    _claim(path)
    server = _Server(handlers)
    listener = await asyncio.start_unix_server(server.connection, path, limit=REQUEST_BYTES_MAX)
    try:
        path.chmod(0o600)  # the folder has kept others out until here
        yield
    finally:
        listener.close()
        await server.close()
        path.unlink(missing_ok=True)


def _claim(path: Path) -> None:
    """Removes a dead node's socket; a live one is an error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # somebody holds it, busy or not ours: the same answer
    raise FieldmeshError(
        f"a node is already running here ({path} answers)",
        "fieldmesh status; stop that one first",
        Exit.ALREADY_MEMBER,
    )


class _Server:
    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()  # bounded by CONNECTIONS_MAX

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        task.set_name("control-connection")
        try:
            if len(self._tasks) >= CONNECTIONS_MAX:
                await _dismiss(
                    reader, writer, FieldmeshError("the node is busy", "try again", Exit.TEMPORARY)
                )
                return
            self._tasks.add(task)
            while await self._exchange(reader, writer):
                pass
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # an idle or vanished caller, or our own close(): either way this connection is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the caller has gone or cannot be followed any more."""
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                line = await reader.readline()
        except ValueError:
            message = f"the request is larger than {REQUEST_BYTES_MAX} bytes"
            await _dismiss(reader, writer, FieldmeshError(message, "send less at a time", Exit.USAGE))
            return False
        if not line.endswith(b"\n"):
            return False
        try:
            await self._answer(line, reader, writer)
        except FieldmeshError as error:
            await _write(writer, _error(error))
        return True

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        verb, answering = self._started(line)
        try:
            if isinstance(answering, AsyncIterator):
                await _stream(answering, reader, writer)
                return
            async with asyncio.timeout(REQUEST_TIMEOUT_S), _pulse(writer):
                result = await answering
            await _write(writer, {"ok": True, "result": result})
        except (FieldmeshError, ConnectionError):
            raise
        except TimeoutError:
            raise FieldmeshError(
                f"{verb} took too long", "try again, or look at the log", Exit.TEMPORARY
            ) from None
        except Exception as error:  # a handler's mistake is answered and logged; the node goes on
            log.exception("control-failed", verb=verb)
            raise FieldmeshError(
                f"{verb} failed inside the node: {error!r}", "look at the node's log", Exit.INTERNAL
            ) from error

    def _started(self, line: bytes) -> tuple[str, Awaitable[Result] | AsyncIterator[Result]]:
        request = _request(line)
        verb = request.pop("verb", None)
        handler = self._handlers.get(verb) if isinstance(verb, str) else None
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise FieldmeshError(
                f"this node knows no verb {str(verb)[:80]!r}", f"one of: {known}", Exit.USAGE
            )
        try:
            inspect.signature(handler).bind(**request)
        except TypeError as error:
            raise FieldmeshError(
                f"{verb}: {error}"[:400], "are both of the same version?", Exit.USAGE
            ) from None
        return str(verb), handler(**request)


async def _stream(
    results: AsyncIterator[Result], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Writes each result as it comes; ends the handler when the caller goes away."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    gone = asyncio.create_task(reader.read(1), name="control-gone")

    def end(_: asyncio.Task[bytes]) -> None:
        task.cancel()

    gone.add_done_callback(end)
    try:
        async for result in results:
            await _write(writer, {"ok": True, "result": result, "more": True})
        await _write(writer, {"ok": True})
    finally:
        gone.remove_done_callback(end)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)  # only one may wait for the caller's next word
        close = getattr(results, "aclose", None)
        if close is not None:
            await close()


@contextlib.asynccontextmanager
async def _pulse(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """While the body works on an answer the caller is told, again and again, that it is worked on."""

    async def beat() -> None:
        while not writer.is_closing():
            await asyncio.sleep(PULSE_S)
            writer.write(_PULSE)  # a few dozen bytes before REQUEST_TIMEOUT_S: nothing to drain

    task = asyncio.create_task(beat(), name="control-pulse")
    try:
        yield
    finally:
        task.cancel()  # not waited for: a node that is told to stop must get its answer out first


_PULSE = msgspec.json.encode({"ok": True, "more": True}) + b"\n"


async def _dismiss(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, error: FieldmeshError) -> None:
    """A last word. Closing before the caller's bytes are read would reset the connection, and lose it."""
    await _write(writer, _error(error))
    writer.write_eof()
    async with asyncio.timeout(DISMISS_TIMEOUT_S):
        while await reader.read(REQUEST_BYTES_MAX):
            pass


def _request(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise FieldmeshError("the request is no JSON object", 'send {"verb": "status"}', Exit.USAGE) from None


def _error(error: FieldmeshError) -> dict[str, Any]:
    return {"ok": False, "error": error.as_json()}


async def _write(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    async with asyncio.timeout(WRITE_TIMEOUT_S):
        await writer.drain()
