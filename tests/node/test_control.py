"""The control socket: what callers get, whatever they send, and what is left when either side goes."""

import asyncio
import contextlib
import json
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from node import control, control_server
from node.control import REQUEST_BYTES_MAX, SOCKET_NAME, call, stream
from node.control_server import CONNECTIONS_MAX, Handler, serve_control
from node.errors import FieldmeshError
from node.exits import Exit
from node.run_folder import run_folder

pytestmark = pytest.mark.io


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def place_of(home: Path) -> Path:
    """Where a node of this home would listen; its run folder is made."""
    return run_folder(home) / SOCKET_NAME


@contextlib.asynccontextmanager
async def serving(home: Path, **handlers: Handler) -> AsyncIterator[Path]:
    path = place_of(home)
    async with serve_control(path, handlers):
        yield path


async def ask(home: Path, verb: str, **args: Any) -> dict[str, Any]:
    return await asyncio.to_thread(call, home, verb, **args)


async def refused(home: Path, verb: str, **args: Any) -> FieldmeshError:
    with pytest.raises(FieldmeshError) as caught:
        await ask(home, verb, **args)
    return caught.value


async def raw(path: Path, data: bytes) -> dict[str, Any]:
    """The answer to bytes that `call` would never send."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    answer: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return answer


async def echo(**args: Any) -> dict[str, Any]:
    return args


async def broken() -> dict[str, Any]:
    raise ZeroDivisionError("oh")


async def picky(*, name: str) -> dict[str, Any]:
    raise FieldmeshError(f"{name} is taken", "choose another", Exit.NAME_TAKEN)


async def count(upto: int) -> AsyncIterator[dict[str, Any]]:
    for number in range(upto):
        yield {"number": number}
        await asyncio.sleep(0)  # as those do that let the node do its other work


async def test_a_question_is_answered_with_its_arguments(home: Path) -> None:
    async with serving(home, echo=echo):
        assert await ask(home, "echo", name="ä", peers=[1, None]) == {"name": "ä", "peers": [1, None]}


async def test_a_refusal_keeps_its_words_its_cure_and_its_exit_code(home: Path) -> None:
    async with serving(home, picky=picky):
        error = await refused(home, "picky", name="press-1")
    assert (error.message, error.cure, error.exit_code) == (
        "press-1 is taken",
        "choose another",
        Exit.NAME_TAKEN,
    )


async def test_a_handlers_mistake_is_answered_and_logged_and_the_next_question_too(home: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        async with serving(home, broken=broken, echo=echo):
            error = await refused(home, "broken")
            assert await ask(home, "echo", a=1) == {"a": 1}
    assert error.exit_code is Exit.INTERNAL
    assert "ZeroDivisionError" in error.message
    assert [(entry["event"], entry["verb"]) for entry in logged] == [("control-failed", "broken")]


async def test_a_verb_that_goes_on_gives_every_result(home: Path) -> None:
    async with serving(home, count=count):
        assert await asyncio.to_thread(lambda: list(stream(home, "count", upto=3))) == [
            {"number": 0},
            {"number": 1},
            {"number": 2},
        ]
        assert await asyncio.to_thread(lambda: list(stream(home, "count", upto=0))) == []


async def test_a_stream_ends_its_handler_when_the_caller_goes(home: Path) -> None:
    ended = asyncio.Event()

    async def ticks() -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"tick": 1}
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(home, ticks=ticks), asyncio.timeout(5):
        results = stream(home, "ticks")
        assert await asyncio.to_thread(next, results) == {"tick": 1}
        results.close()
        await ended.wait()


async def test_several_questions_go_over_one_connection(home: Path) -> None:
    async with serving(home, echo=echo) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"verb":"echo","a":1}\n{"verb":"none"}\n{"verb":"echo","a":2}\n')
        answers = [json.loads(await reader.readline()) for _ in range(3)]
        writer.close()
    assert [answer.get("result", answer.get("error", {}).get("code")) for answer in answers] == [
        {"a": 1},
        "usage",
        {"a": 2},
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\n", "no JSON object"),
        (b"hello\n", "no JSON object"),
        (b"[1, 2]\n", "no JSON object"),
        (b'"status"\n', "no JSON object"),
        (b'{"verb": "echo"\n', "no JSON object"),
        (b"\xff\xfe\x00\n", "no JSON object"),
        (b"[" * 100_000 + b"\n", "no JSON object"),
        (b"{}\n", "no verb 'None'"),
        (b'{"verb": 7}\n', "no verb '7'"),
        (b'{"verb": "__init__"}\n', "no verb '__init__'"),
        (b'{"verb": "' + b"x" * 5000 + b'"}\n', "no verb 'xxx"),
        (b'{"verb": "picky"}\n', "missing a required argument: 'name'"),
        (b'{"verb": "picky", "name": "x", "more": 1}\n', "unexpected keyword argument 'more'"),
        (b'{"verb": "echo", "x": "' + b"x" * REQUEST_BYTES_MAX + b'"}\n', "larger than 262144 bytes"),
        (b"x" * (REQUEST_BYTES_MAX * 2), "larger than 262144 bytes"),
    ],
)
async def test_a_bad_request_is_answered_and_the_node_goes_on(home: Path, data: bytes, words: str) -> None:
    async with serving(home, picky=picky, echo=echo) as path:
        answer = await raw(path, data)
        assert await ask(home, "echo") == {}
    assert answer["ok"] is False
    assert answer["error"]["code"] == "usage"
    assert words in answer["error"]["message"]
    assert len(answer["error"]["message"]) < 500


async def test_a_caller_who_leaves_half_way_does_no_harm(home: Path) -> None:
    async with serving(home, echo=echo) as path:
        for data in (b"", b'{"verb":', b'{"verb":"echo"}\n'):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(data)
            writer.transport.abort()
        assert await ask(home, "echo") == {}


async def test_one_connection_too_many_is_told_that_the_node_is_busy(home: Path) -> None:
    async with serving(home, echo=echo) as path:
        held = [await asyncio.open_unix_connection(path) for _ in range(CONNECTIONS_MAX)]
        for reader, writer in held:  # once each has had an answer, each has its place
            writer.write(b'{"verb":"echo"}\n')
            await reader.readline()
        error = await refused(home, "echo")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
    assert (error.message, error.exit_code) == ("the node is busy", Exit.TEMPORARY)


async def test_a_silent_caller_loses_its_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "IDLE_TIMEOUT_S", 0.05)
    async with serving(home, echo=echo) as path, asyncio.timeout(5):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()


async def test_a_slow_handler_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "REQUEST_TIMEOUT_S", 0.05)
    gone = asyncio.Event()

    async def slow() -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return {}

    async with serving(home, slow=slow):
        error = await refused(home, "slow")
    assert (error.message, error.exit_code, gone.is_set()) == ("slow took too long", Exit.TEMPORARY, True)


async def test_a_node_that_does_not_answer_is_not_waited_for_for_ever(home: Path) -> None:
    async def slow() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async with serving(home, slow=slow):
        error = await refused(home, "slow", timeout_s=0.1)
    assert (error.message, error.exit_code) == ("the node did not answer within 0.1 s", Exit.TEMPORARY)


async def test_the_socket_is_private_and_gone_afterwards(home: Path) -> None:
    async with serving(home) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_stopping_ends_open_connections(home: Path) -> None:
    async with serving(home, echo=echo) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"verb":"echo"}\n')
        await reader.readline()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_dead_nodes_socket_is_replaced(home: Path) -> None:
    path = place_of(home)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    assert path.exists()
    async with serving(home, echo=echo):
        assert await ask(home, "echo") == {}


async def test_a_second_node_in_one_home_is_refused_and_the_first_goes_on(home: Path) -> None:
    async with serving(home, echo=echo):
        with pytest.raises(FieldmeshError, match="already running") as caught:
            async with serving(home):
                pass
        assert caught.value.exit_code is Exit.ALREADY_MEMBER
        assert await ask(home, "echo") == {}


def listens_no_more(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("leave", [lambda _: None, listens_no_more])
def test_a_node_that_does_not_run_is_said_so_with_the_command_that_starts_it(
    home: Path, leave: Callable[[Path], None]
) -> None:
    leave(place_of(home))
    with pytest.raises(FieldmeshError) as caught:
        call(home, "status")
    assert (caught.value.message, caught.value.cure, caught.value.exit_code) == (
        f"no node is running in {home}",
        f"fieldmesh run --home {home}",
        Exit.NOT_RUNNING,
    )


def test_asking_in_a_folder_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(FieldmeshError, match="no such folder") as caught:
        call(tmp_path / "typo", "status")
    assert caught.value.exit_code is Exit.NOT_RUNNING
    assert not (tmp_path / "typo").exists()


def test_a_request_too_large_is_not_sent(home: Path) -> None:
    with pytest.raises(FieldmeshError, match="larger than 262144 bytes") as caught:
        call(home, "cast", payload="x" * REQUEST_BYTES_MAX)
    assert caught.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("answer", [b"nonsense\n", b"[]\n"])
async def test_an_answer_that_is_not_understood_is_said_so(home: Path, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, place_of(home))
    async with server:
        error = await refused(home, "status")
    assert (error.message, error.exit_code) == ("the node's answer is not understood", Exit.INTERNAL)


async def test_streams_one_after_the_other_leave_no_error_behind(home: Path) -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with serving(home, count=count, echo=echo) as path:
        for _ in range(3):
            found = await asyncio.to_thread(lambda: list(stream(home, "count", upto=2)))
            assert found == [{"number": 0}, {"number": 1}]
        reader, writer = await asyncio.open_unix_connection(path)
        for _ in range(3):
            writer.write(b'{"verb":"count","upto":2}\n')
            answers = [json.loads(await reader.readline()) for _ in range(3)]
            assert [answer.get("more", False) for answer in answers] == [True, True, False]
        writer.write(b'{"verb":"echo"}\n')
        assert json.loads(await reader.readline()) == {"ok": True, "result": {}}
        writer.close()
        await writer.wait_closed()
    assert errors == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SILENCE_S", 0.3)
    monkeypatch.setattr(control, "NOTICE_S", 0.05)
    monkeypatch.setattr(control_server, "PULSE_S", 0.02)


async def test_a_node_that_says_that_it_works_on_it_is_waited_for_longer(home: Path, impatient: None) -> None:
    async def slow() -> dict[str, Any]:
        await asyncio.sleep(1.0)  # the time itself is the point: three times the silence that is borne
        return {"done": True}

    async with serving(home, slow=slow):
        assert await ask(home, "slow", timeout_s=20) == {"done": True}


async def test_a_stopped_node_is_given_up_long_before_the_time_that_a_long_list_may_take(
    home: Path, impatient: None
) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(place_of(home)))
        stopped.listen()  # the kernel takes the call, and nobody reads it
        error = await refused(home, "tasks_list", timeout_s=60)
    assert (error.message, error.exit_code) == ("the node did not answer within 0.3 s", Exit.TEMPORARY)


@pytest.mark.parametrize(("is_terminal", "said"), [(True, "waiting for the node ...\n"), (False, "")])
async def test_a_person_at_a_terminal_is_told_once_that_the_node_is_waited_for(
    is_terminal: bool,
    said: str,
    home: Path,
    impatient: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(place_of(home)))
        stopped.listen()
        await refused(home, "tasks_list")
    assert capsys.readouterr() == ("", said)
