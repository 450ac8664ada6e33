"""The picture of the peers, on terminals of several widths."""

import io
from typing import Any

import pytest
from rich.console import Console

from node.cli.peers import picture


def peer(name: str, state: str = "alive", **other: Any) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "why": "heard directly",
        "since_s": 4000.0,
        "path": "direct",
        "rtt_ms": 1.23,
        "clock_offset_ms": 30.0,
        "certificate_expires_ms": 1_800_000_000_000,
        "steward": False,
        **other,
    }


PEERS = [
    peer("press-1", steward=True),
    peer("palletiser-north-hall-17", "broker-down", path="via conveyor-12", why="its broker does not answer"),
    peer("saw-3", "unreachable", path="none", why="silent for 40 s, and nobody else hears it either"),
]


def shown(peers: list[dict[str, Any]], width: int) -> list[str]:
    result = {"node": {"name": "press-9", "site": "plant", "isolated": False}, "peers": peers}
    console = Console(file=io.StringIO(), width=width)
    console.print(picture(result, width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_eighty_columns_have_the_reason_below_each_peer() -> None:
    assert shown(PEERS, 80) == [
        "press-9 of site plant",
        "peer                      state        since      path             rtt",
        "press-1 *                 alive        1 h 6 min  direct           1.2 ms",
        "  heard directly",
        "palletiser-north-hall-17  broker-down  1 h 6 min  via conveyor-12  1.2 ms",
        "  its broker does not answer",
        "saw-3                     unreachable  1 h 6 min  none",
        "  silent for 40 s, and nobody else hears it either",
        "* steward",
    ]


@pytest.mark.parametrize("width", [60, 80, 110, 150])
def test_every_width_is_kept_and_states_are_whole(width: int) -> None:
    lines = shown(PEERS, width)
    assert max(map(len, lines)) <= width
    assert all(any(f" {each['state']} " in line for line in lines) for each in PEERS)


def test_a_wide_terminal_gets_a_table_of_everything() -> None:
    heading = shown(PEERS, 150)[2]
    assert heading.replace("┃", " ").split() == [
        "peer",
        "state",
        "since",
        "path",
        "rtt",
        "clock",
        "certificate",
        "why",
    ]


def test_narrow_terminals_cut_names_only() -> None:
    assert shown(PEERS[1:2], 60)[2] == "palletiser-nort…  broker-down  1 h 6 min  via con…  1.2 ms"


@pytest.mark.parametrize("width", [80, 150])
@pytest.mark.parametrize("state", ["removed", "left", "unreachable"])
def test_who_is_gone_has_no_round_trip_time(state: str, width: int) -> None:
    assert not any("1.2 ms" in line for line in shown([peer("saw-3", state)], width))


def test_there_is_no_legend_without_a_steward() -> None:
    assert "* steward" not in shown([peer("saw-3")], 80)


def test_a_site_of_one_says_so() -> None:
    assert shown([], 80)[1].startswith("no other members yet")


def test_brackets_in_a_reason_are_shown_as_they_are() -> None:
    assert "  removed: [bold]x" in shown([peer("saw-3", "removed", why="removed: [bold]x")], 80)
