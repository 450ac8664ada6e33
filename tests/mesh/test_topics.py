"""Topic names of protocol version 1, literally, and what is read back from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import NodeId, SiteId
from mesh.topics import Address, Topics

SITE = SiteId("s" * 16)
ANNA, BORIS = NodeId("a" * 26), NodeId("b" * 26)
TOPICS = Topics(SITE)


def test_the_names_are_those_of_protocol_version_1() -> None:
    assert TOPICS.door(ANNA, BORIS) == f"fm/{SITE}/hello/{ANNA}/{BORIS}"
    assert TOPICS.to(ANNA, BORIS) == f"fm/{SITE}/to/{ANNA}/{BORIS}"
    assert TOPICS.all(BORIS) == f"fm/{SITE}/all/{BORIS}"
    assert TOPICS.here(BORIS) == f"fm/{SITE}/here/{BORIS}"


def test_a_filter_for_everybody_who_writes_to_one_node() -> None:
    assert TOPICS.to(ANNA, "+") == f"fm/{SITE}/to/{ANNA}/+"


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        (TOPICS.door(ANNA, BORIS), Address("hello", ANNA, BORIS)),
        (TOPICS.to(ANNA, BORIS), Address("to", ANNA, BORIS)),
        (TOPICS.all(BORIS), Address("all", None, BORIS)),
        (TOPICS.here(BORIS), Address("here", None, BORIS)),
    ],
)
def test_every_name_reads_back(topic: str, address: Address) -> None:
    assert TOPICS.read(topic) == address


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fm",
        f"fm/{SITE}",
        f"fm/{SITE}/",
        f"fm/{SITE}/to/{ANNA}",
        f"fm/{SITE}/to/{ANNA}/{BORIS}/more",
        f"fm/{SITE}/all/{ANNA}/{BORIS}",
        f"fm/{SITE}/all/",
        f"fm/{SITE}/all",
        f"fm/{SITE}/to/{ANNA}/+",
        f"fm/{SITE}/to/{ANNA.upper()}/{BORIS}",
        f"fm/{SITE}/other/{ANNA}/{BORIS}",
        f"fm/{'t' * 16}/to/{ANNA}/{BORIS}",
        f"/fm/{SITE}/to/{ANNA}/{BORIS}",
        "local/anything",
    ],
)
def test_what_is_no_name_of_this_site_reads_as_none(topic: str) -> None:
    assert TOPICS.read(topic) is None


@given(st.text(max_size=80))
def test_any_text_is_read_without_an_error(text: str) -> None:
    TOPICS.read(text)
    TOPICS.read(f"fm/{SITE}/{text}")
