import hashlib

import pytest

from mesh.ids import NodeId, is_node_id, is_node_name, node_id_of, short_of, site_id_of
from tests.mesh.site import make_site


def test_a_node_id_is_the_start_of_the_base32_of_the_hash_of_its_key() -> None:
    assert node_id_of(b"\x01" * 32) == "olgw5bbcyqd7w3ijq2ipceylpx"


def test_a_site_id_is_the_start_of_the_base32_of_the_hash_of_its_root_certificate() -> None:
    assert site_id_of(b"root") == "jajustitpylddo5d"


def test_a_short_name_is_four_bytes_of_the_hash_of_the_id() -> None:
    node = NodeId("a" * 26)
    assert short_of(node) == hashlib.sha256(b"a" * 26).digest()[:4]


def test_different_keys_give_different_ids() -> None:
    nodes = make_site(26).nodes
    assert len(set(nodes)) == 26
    assert len({short_of(node) for node in nodes}) == 26


@pytest.mark.parametrize("text", ["a" * 26, "abcdefghijklmnopqrstuvwxyz", "234567" + "a" * 20])
def test_an_id_is_26_base32_characters(text: str) -> None:
    assert is_node_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 25,
        "a" * 27,
        "A" * 26,
        "1" * 26,
        "a" * 25 + "\n",
        "a" * 25 + "/",
        "#" * 26,
        "+" * 26,
        "é" * 26,
    ],
)
def test_anything_else_is_no_id_and_so_never_part_of_a_topic(text: str) -> None:
    assert not is_node_id(text)


@pytest.mark.parametrize("text", ["a", "7", "press-3", "a-b-c", "x" * 40, "0-0"])
def test_host_labels_are_names(text: str) -> None:
    assert is_node_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "-a",
        "a-",
        "x" * 41,
        "Press",
        "press_3",
        "press 3",
        "press.3",
        "a/b",
        "a#",
        "a+",
        "a\n",
        "ä",
        "a\0",
    ],
)
def test_anything_else_is_no_name(text: str) -> None:
    assert not is_node_name(text)
