"""What is written into multicast DNS can be read back; what others write there is checked."""

from typing import Any

import pytest

from mesh.io.advert import SERVICE_TYPE, AdvertError, label_of, read_advert, write_advert
from mesh.wire import Endpoint
from tests.mesh_io.stations import PLANT, advertisement

LABEL = "0123456789abcdef" * 2
GOOD = {"v": "1", "site": PLANT, "id": "k" * 26, "name": "press-7", "boot": "42", "join": "0"}


def info_with(properties: dict[Any, Any], hosts: list[str] | None = None, port: int = 8883) -> Any:
    info = write_advert(advertisement("k", port=port), LABEL, hosts or ["192.0.2.1"])
    return type(info)(
        SERVICE_TYPE, info.name, port=port, properties=properties, parsed_addresses=info.parsed_addresses()
    )


def test_an_advertisement_survives_the_round_trip() -> None:
    mine = advertisement("k", join_port=9000, boot=2**62, name="press-7")
    heard = read_advert(LABEL, write_advert(mine, LABEL, ["192.0.2.1", "fd00::1"]), set(), False)
    assert (heard.node, heard.site, heard.name, heard.boot) == ("k" * 26, PLANT, "press-7", 2**62)
    assert heard.endpoints == (Endpoint("192.0.2.1", 8883), Endpoint("fd00::1", 8883))
    assert heard.join_endpoints == (Endpoint("192.0.2.1", 9000), Endpoint("fd00::1", 9000))


def test_near_addresses_come_first() -> None:
    info = info_with(GOOD, ["198.51.100.1", "192.0.2.1"])
    hosts = [each.host for each in read_advert(LABEL, info, {"192.0.2.1"}, False).endpoints]
    assert hosts == ["192.0.2.1", "198.51.100.1"]


def test_a_node_has_at_most_sixteen_addresses() -> None:
    info = info_with(GOOD)
    info.addresses = [bytes((192, 0, 2, number)) for number in range(1, 100)]
    assert len(read_advert(LABEL, info, set(), False).endpoints) == 16


def test_addresses_that_lead_nowhere_are_left_out() -> None:
    hosts = [
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.251",
        "255.255.255.255",
        "fe80::1",
        "::1",
        "ff02::fb",
        "::ffff:1.2.3.4",
    ]
    assert read_advert(LABEL, info_with(GOOD, hosts), set(), allow_loopback=False).endpoints == ()


def test_loopback_is_an_address_only_for_an_offline_machine() -> None:
    info = info_with(GOOD, ["127.0.0.1"])
    assert read_advert(LABEL, info, set(), allow_loopback=True).endpoints == (Endpoint("127.0.0.1", 8883),)


def test_no_port_means_no_endpoint() -> None:
    assert read_advert(LABEL, info_with(GOOD, port=0), set(), False).endpoints == ()


def test_unknown_keys_of_a_newer_release_are_ignored() -> None:
    assert read_advert(LABEL, info_with(GOOD | {"v": "7", "zone": "hall 2"}), set(), False).name == "press-7"


@pytest.mark.parametrize(
    "change",
    [
        {"v": "one"},
        {"v": ""},
        {"v": None},
        {"site": "A" * 16},
        {"site": "a" * 17},
        {"site": "a" * 15},
        {"id": "k" * 25},
        {"id": "k" * 27},
        {"id": "K" * 26},
        {"id": b"\xff" * 26},
        {"id": "k" * 26 + "\n"},
        {"name": ""},
        {"name": "x" * 41},
        {"name": "Press 7"},
        {"name": "press\x00"},
        {"name": "\u202epress".encode()},
        {"name": "-press"},
        {"boot": "-1"},
        {"boot": "1e3"},
        {"boot": "9" * 19},
        {"boot": "9" * 60},
        {"boot": "\u0663".encode()},
        {"join": "65536"},
        {"join": " 1"},
        {"join": None},
    ],
)
def test_text_that_no_node_writes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AdvertError, match="mdns_malformed"):
        read_advert(LABEL, info_with(GOOD | change), set(), False)


@pytest.mark.parametrize("missing", ["v", "site", "id", "name", "boot", "join"])
def test_no_key_may_be_missing(missing: str) -> None:
    with pytest.raises(AdvertError):
        read_advert(
            LABEL, info_with({key: value for key, value in GOOD.items() if key != missing}), set(), False
        )


@pytest.mark.parametrize(
    ("instance", "label"),
    [
        (f"{LABEL}.{SERVICE_TYPE}", LABEL),
        (f"{LABEL}.{SERVICE_TYPE.upper()}", LABEL),
        (f"{LABEL}-1f.{SERVICE_TYPE}", f"{LABEL}-1f"),
        (f"{LABEL}-.{SERVICE_TYPE}", None),
        (f"{LABEL}-{'f' * 17}.{SERVICE_TYPE}", None),
        (f"{LABEL.upper()}.{SERVICE_TYPE}", None),
        (f"{LABEL[1:]}.{SERVICE_TYPE}", None),
        (f"x.{LABEL}.{SERVICE_TYPE}", None),
        (f"{LABEL}._http._tcp.local.", None),
        ("", None),
        (SERVICE_TYPE, None),
        (f"\u2603.{SERVICE_TYPE}", None),
    ],
)
def test_only_names_that_a_node_makes_are_taken(instance: str, label: str | None) -> None:
    assert label_of(instance) == label
