"""The live view on a real socket: what a follower sees, and what a client can and cannot do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Map
from websockets.exceptions import ConnectionClosed, InvalidStatus

from node import live_follower, live_view
from node.live_protocol import HEARTBEAT, Offered, read_message, write_number
from node.live_view import ApiConfig
from tests.node.live_memory import MemoryDocuments
from tests.node.live_views import SOON_S, Copy, View, farewell, viewing

pytestmark = pytest.mark.io


@pytest.fixture
def documents() -> MemoryDocuments:
    documents = MemoryDocuments("alarm", "task:20261121")
    documents.put("alarm", "k", b"one")
    return documents


@pytest.fixture
async def view(tmp_path: Path, documents: MemoryDocuments) -> AsyncIterator[View]:
    async with viewing(tmp_path, documents) as view:
        yield view


def update_in_full(documents: MemoryDocuments) -> bytes:
    update = documents.state("alarm", b"\0")
    return write_number(len(update)) + update


# ---------------------------------------------------------------- following


async def test_a_follower_gets_what_is_there_and_then_each_change(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        assert copy.content == {"k": b"one"}
        view.documents.put("alarm", "l", b"two")
        await copy.hear_until({"k": b"one", "l": b"two"})
        view.documents.delete("alarm", "k")
        await copy.hear_until({"l": b"two"})


async def test_an_answer_comes_even_when_there_is_nothing_to_tell(view: View) -> None:
    async with view.client("task:20261121") as client:
        await client.send(b"\0\0\1\0")
        assert await client.recv() == b"\0\1\2\0\0"


async def test_a_client_that_has_not_asked_is_told_nothing(view: View) -> None:
    async with view.client("alarm") as client:
        view.documents.put("alarm", "l", b"two")
        await asyncio.sleep(3 * live_follower.COALESCE_S)
        await Copy(client).ask()
        assert await client.recv() == b"\0\1" + update_in_full(view.documents)


async def test_a_follower_that_comes_again_gets_only_what_it_lacks(view: View) -> None:
    view.documents.put("alarm", "large", b"x" * 100_000)
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
    view.documents.put("alarm", "l", b"two")
    async with view.client("alarm") as client:
        copy.client = client
        await copy.ask()
        answer = await client.recv(decode=False)
        assert len(answer) < 100
        message = read_message(answer)
        assert isinstance(message, Offered)
        copy.doc.apply_update(message.update)
        assert copy.content == {"k": b"one", "l": b"two", "large": b"x" * 100_000}


async def test_many_changes_at_once_are_one_message(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        for number in range(200):
            view.documents.put("alarm", "k", b"%d" % number)
        await copy.hear_until({"k": b"199"})
        assert copy.updates == 2


async def test_news_of_no_change_are_not_sent(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        for _ in range(3):
            view.documents.touch("alarm")
            await asyncio.sleep(2 * live_follower.COALESCE_S)
        view.documents.put("alarm", "k", b"last")
        await copy.hear()
        assert copy.content == {"k": b"last"}


async def test_an_update_of_several_megabytes_arrives(view: View) -> None:
    for number in range(6):
        view.documents.put("alarm", f"large-{number}", bytes([number]) * 1_000_000)
    async with view.client("alarm", max_size=None) as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        assert copy.content == view.documents.content("alarm")


async def test_followers_of_one_document_hear_nothing_of_another(view: View) -> None:
    async with view.client("alarm") as first, view.client("task:20261121") as second:
        one, two = Copy(first), Copy(second)
        for copy in (one, two):
            await copy.ask()
            await copy.hear()
        view.documents.put("task:20261121", "t", b"task")
        await two.hear_until({"t": b"task"})
        view.documents.put("alarm", "k", b"later")
        await one.hear()
        assert one.content == {"k": b"later"}


async def test_a_silent_view_gives_a_sign_of_life(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_follower, "HEARTBEAT_S", 0.1)
    async with view.client("alarm") as client, asyncio.timeout(SOON_S):
        assert [await client.recv(), await client.recv()] == [HEARTBEAT, HEARTBEAT]


async def test_awareness_and_other_messages_are_taken_without_a_word(view: View) -> None:
    async with view.client("alarm") as client:
        for message in (b"\1\5\1\7\1\2{}", b"\3", b"\2\0\2no", b"\0\1\2\0\0", b"\0\2\2\0\0"):
            await client.send(message)
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        assert copy.content == {"k": b"one"}


# ---------------------------------------------------------------- reading only


@pytest.mark.parametrize("step", [b"\0\1", b"\0\2"])
async def test_a_client_that_writes_is_sent_away_and_changes_nothing(view: View, step: bytes) -> None:
    before = view.documents.state("alarm", b"\0")
    mine: Doc[Any] = Doc(client_id=77)
    mine.get("records", type=Map)["k"] = b"forged"
    update = mine.get_update()
    async with view.client("alarm") as client:
        await client.send(step + write_number(len(update)) + update)
        assert await farewell(client) == (4403, "documents can only be read here")
    assert view.documents.state("alarm", b"\0") == before
    assert view.counted == {"live-write-refused": 1}


@pytest.mark.parametrize("message", [b"", b"\0", b"\0\0\5\0", b"\0\0\1\1", b"\0\7\0", "text", b"\0\0\0"])
async def test_a_client_that_talks_rubbish_is_sent_away(view: View, message: str | bytes) -> None:
    async with view.client("alarm") as client:
        await client.send(message)
        assert (await farewell(client))[0] == 1007
    assert view.counted == {"live-malformed": 1}


async def test_a_client_that_talks_too_long_is_sent_away(view: View) -> None:
    async with view.client("alarm") as client:
        with contextlib.suppress(ConnectionClosed):
            await client.send(bytes(live_view.MESSAGE_IN_BYTES_MAX + 1))
        assert (await farewell(client))[0] == 1009


# ---------------------------------------------------------------- generations


async def test_a_new_generation_ends_its_followers(view: View) -> None:
    async with view.client("alarm") as client, view.client("task:20261121") as other:
        copy = Copy(other)
        await copy.ask()
        view.documents.renew("alarm", b"\x02")
        assert await farewell(client) == (4410, "another generation: follow again with a new Y.Doc")
        await copy.hear()  # the other document goes on


async def test_a_client_that_comes_with_the_old_generation_is_sent_away_and_with_nothing_let_in(
    view: View,
) -> None:
    async with view.client("alarm") as client:
        old = Copy(client)
        await old.ask()
        await old.hear()
    view.documents.renew("alarm", b"\x02")
    async with view.client("alarm") as client:
        old.client = client
        await old.ask()
        assert (await farewell(client))[0] == 4410
    async with view.client("alarm") as client:
        new = Copy(client)
        await new.ask()
        await new.hear()
        assert new.content == {"k": b"one"}


async def test_a_client_that_names_its_mark_is_told_before_anything_is_mixed(view: View) -> None:
    view.documents.renew("alarm", b"\x02")
    async with view.client("alarm", f"token={view.token}&mark=01") as client:
        assert (await farewell(client))[0] == 4410
    async with view.client("alarm", f"token={view.token}&mark=02") as client:
        await Copy(client).ask()
        assert read_message(await client.recv(decode=False)) != Offered(b"\0\0")


async def test_a_form_that_was_begun_anew_under_the_same_mark_ends_its_followers(view: View) -> None:
    async with view.client("alarm") as client:
        copy = Copy(client)
        await copy.ask()
        await copy.hear()
        view.documents.lose("alarm")
        assert (await farewell(client))[0] == 4410


async def test_a_document_that_is_not_there_or_no_more_is_said_to_be_so(view: View) -> None:
    async with view.client("nobody") as client:
        assert await farewell(client) == (4404, "there is no such document")
    async with view.client("alarm") as client:
        await Copy(client).ask()
        await client.recv()
        view.documents.drop("alarm")
        assert await farewell(client) == (4404, "the document is no more")


# ---------------------------------------------------------------- the list and the door


async def test_the_list_names_documents_and_marks(view: View) -> None:
    status, headers, body = await view.get(f"/yjs?token={view.token}")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(body) == [{"name": "alarm", "mark": "01"}, {"name": "task:20261121", "mark": "01"}]
    assert "Access-Control-Allow-Origin" not in headers


async def test_a_page_of_this_machine_may_read_the_list(view: View) -> None:
    origin = "http://localhost:3000"
    bearer = f"Authorization: Bearer {view.token}"
    status, headers, _ = await view.get("/yjs", bearer, f"Origin: {origin}")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/yjs", [], 401),
        ("/yjs?token=wrong", [], 401),
        ("/", [], 404),
        ("/yjsx", [], 404),
        ("/yjs?token=TOKEN", ["Origin: https://evil.example"], 403),
        ("/yjs?token=TOKEN", ["Origin: http://localhost", "Origin: https://evil.example"], 403),
        ("/yjs/alarm?token=TOKEN", [], 426),
        ("//[", [], 404),
    ],
)
async def test_a_plain_request_is_answered_with_its_status(
    view: View, path: str, headers: list[str], status: int
) -> None:
    assert (await view.get(path.replace("TOKEN", view.token), *headers))[0] == status


async def test_a_follower_without_the_token_is_told_so(view: View) -> None:
    for query in ("", "token=wrong"):
        async with view.client("alarm", query) as client:
            assert await farewell(client) == (4401, "the token is missing or wrong")
    assert view.counted == {"api-token-refused": 2}


async def test_the_token_may_come_in_a_header(view: View) -> None:
    headers = {"Authorization": f"Bearer {view.token}"}
    async with view.client("alarm", "", additional_headers=headers) as client:
        await Copy(client).ask()
        assert await client.recv() != b""


async def test_a_foreign_page_gets_no_connection_even_with_the_token(view: View) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await view.client("alarm", origin="https://evil.example")
    assert caught.value.response.status_code == 403
    assert view.counted == {"api-origin-refused": 1}


async def test_a_page_that_the_configuration_lists_may_follow(
    tmp_path: Path, documents: MemoryDocuments
) -> None:
    config = ApiConfig(port=0, origins=("https://hmi.plant.example",))
    async with (
        viewing(tmp_path, documents, config) as view,
        view.client("alarm", origin="https://hmi.plant.example") as client,
    ):
        await Copy(client).ask()
        assert await client.recv() != b""


async def test_a_name_may_be_written_with_percent_signs(view: View) -> None:
    async with view.client("task%3A20261121") as client:
        await client.send(b"\0\0\1\0")
        assert await client.recv() == b"\0\1\2\0\0"
