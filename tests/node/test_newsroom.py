import asyncio
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from mesh.events import (
    CastDelivered,
    ClockDistrusted,
    Counted,
    IdentityCloned,
    Isolated,
    MembershipEnded,
    News,
    PeerChanged,
    PeerReported,
    Reunited,
)
from mesh.ids import NodeId
from mesh.wire import Report
from node.newsroom import WATCHER_BACKLOG_MAX, Newsroom, as_plain

B = NodeId("b" * 26)
ALIVE = PeerChanged(B, "press-2", "alive", "heard directly")


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


def test_listeners_hear_all_news_while_they_listen_and_no_longer(logs: list[EventDict]) -> None:
    newsroom, heard = Newsroom(), list[News]()
    newsroom.tell(Isolated())
    with newsroom.listening(heard.append):
        newsroom.tell(ALIVE)
        newsroom.tell(Counted("frame-replayed", B))
    newsroom.tell(Reunited(1))
    assert heard == [ALIVE, Counted("frame-replayed", B)]


def test_a_listener_that_fails_inside_is_still_let_go(logs: list[EventDict]) -> None:
    newsroom, heard = Newsroom(), list[News]()
    with pytest.raises(RuntimeError), newsroom.listening(heard.append):
        raise RuntimeError
    newsroom.tell(ALIVE)
    assert heard == []


LOGGED: list[tuple[News, str, str]] = [
    (ALIVE, "info", "peer-changed"),
    (Isolated(), "warning", "isolated"),
    (Reunited(3), "info", "reunited"),
    (IdentityCloned(B, ours=False, halted=False), "error", "identity-cloned"),
    (IdentityCloned(B, ours=True, halted=True), "critical", "identity-cloned"),
    (MembershipEnded("removed"), "error", "membership-ended"),
    (MembershipEnded("this node has left the site"), "info", "left"),
    (ClockDistrusted(4_000, "far off"), "error", "clock-distrusted"),
]


@pytest.mark.parametrize(
    ("news", "level", "event"), LOGGED, ids=[type(each[0]).__name__ + str(i) for i, each in enumerate(LOGGED)]
)
def test_news_for_people_is_logged_once(news: News, level: str, event: str, logs: list[EventDict]) -> None:
    Newsroom().tell(news)
    assert [(each["log_level"], each["event"]) for each in logs] == [(level, event)]


@pytest.mark.parametrize(
    "end",
    [
        MembershipEnded("removed"),
        MembershipEnded("this node has left the site"),
        IdentityCloned(B, ours=True, halted=True),
    ],
)
def test_a_node_that_takes_no_part_is_not_called_isolated(end: News, logs: list[EventDict]) -> None:
    newsroom, heard = Newsroom(), list[News]()
    newsroom.tell(end)
    with newsroom.listening(heard.append):
        newsroom.tell(Isolated())
    assert [each["event"] for each in logs][1:] == []
    assert heard == [Isolated()]


@pytest.mark.parametrize(
    "news",
    [Counted("x", B), CastDelivered(B, 1, 1, "t", b"p"), PeerReported(Report(1, B, True, 0, ()))],
    ids=lambda each: type(each).__name__,
)
def test_what_is_no_news_for_people_is_not_logged(news: News, logs: list[EventDict]) -> None:
    Newsroom().tell(news)
    assert logs == []


def test_a_clone_of_ours_is_logged_with_its_cure(logs: list[EventDict]) -> None:
    Newsroom().tell(IdentityCloned(B, ours=True, halted=True))
    assert logs[0]["halted"] is True
    assert logs[0]["cure"].startswith("stop one of the two")


@pytest.mark.parametrize(
    ("news", "plain"),
    [
        (
            ALIVE,
            {"news": "PeerChanged", "node": B, "name": "press-2", "state": "alive", "why": "heard directly"},
        ),
        (Isolated(), {"news": "Isolated"}),
        (Reunited(2), {"news": "Reunited", "peers": 2}),
        (
            IdentityCloned(B, ours=True, halted=False),
            {"news": "IdentityCloned", "node": B, "ours": True, "halted": False},
        ),
    ],
)
def test_news_can_be_given_as_plain_values(news: News, plain: dict[str, object]) -> None:
    assert as_plain(news) == plain


async def test_a_watcher_gets_news_from_then_on_in_order_without_counters(logs: list[EventDict]) -> None:
    newsroom = Newsroom()
    newsroom.tell(Isolated())
    watching = newsroom.watch()
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    for news in (Counted("x", B), Reunited(1), CastDelivered(B, 1, 1, "t", b"p"), ALIVE):
        newsroom.tell(news)
    assert (await first)["news"] == "Reunited"
    assert (await anext(watching))["news"] == "PeerChanged"
    await watching.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_watcher_that_goes_is_forgotten(logs: list[EventDict]) -> None:
    newsroom = Newsroom()
    watching = newsroom.watch()
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    newsroom.tell(ALIVE)
    await first
    assert len(newsroom._listeners) == 1
    await watching.aclose()  # type: ignore[attr-defined]  # an async generator
    assert newsroom._listeners == []


async def test_a_watcher_that_does_not_keep_up_loses_the_oldest(logs: list[EventDict]) -> None:
    newsroom = Newsroom()
    watching = newsroom.watch()
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    for peers in range(WATCHER_BACKLOG_MAX + 10):
        newsroom.tell(Reunited(peers))
    assert (await first)["peers"] == 10
    await watching.aclose()  # type: ignore[attr-defined]  # an async generator
