"""The operations page names everything that a node can show: counters, log lines, findings, exit codes."""

import re
from pathlib import Path

from node.exits import Exit

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("mesh", "node", "crdt_state")
    for path in sorted((ROOT / folder).rglob("*.py"))
)


def in_code(pattern: str) -> set[str]:
    """What the pattern's group matches, wherever it is written as a literal."""
    return set(re.findall(pattern, SOURCES))


def missing(names: set[str]) -> list[str]:
    return sorted(name for name in names if f"`{name}`" not in PAGE)


def test_every_counter_is_explained() -> None:
    counted = in_code(r'(?:\bcount|Counted|_count)\(\s*"([a-z_-]+)"')
    raised = in_code(
        r'(?:GreetingError|WireError|MalformedError|AdvertError)\(\s*"([a-z]+[-_][a-z_-]+|removed)"'
    )
    returned = in_code(r'return "((?:frame|cast)-[a-z-]+)"')
    broker = in_code(r'"(broker_[a-z_]+)",\s+re\.compile')
    refused = in_code(r'(?:RecordError|UpdateError|trouble)\(\s*"([a-z]+-[a-z-]+)"')
    parted = in_code(r'PartingError\([^()]*"((?:api|live)-[a-z-]+)"')
    assert len(counted) > 40 and len(raised) > 8 and len(returned) > 4 and len(broker) > 3
    assert len(refused) > 15 and len(parted) > 3
    assert missing(counted | raised | returned | broker | refused | parted) == []


def test_every_reason_to_refuse_a_joiner_is_explained() -> None:
    codes = {f"join-{code}" for code in in_code(r'Refused\(\s*"([a-z-]+)"') if code != "cannot-save"}
    assert len(codes) > 10
    assert missing(codes) == []


def test_every_line_of_the_log_is_explained() -> None:
    lines = in_code(r'log\.(?:info|warning|error|critical)\(\s*"([a-z]+[-_][a-z_-]+)"')
    assert len(lines) > 12
    assert missing(lines) == []


def test_every_finding_is_explained() -> None:
    codes = in_code(r'Finding\(\s*"([a-z-]+)"')
    assert len(codes) > 12
    assert missing(codes) == []


def test_every_exit_code_is_explained() -> None:
    table = PAGE.partition("## Exit codes")[2].partition("## ")[0]
    listed = {
        int(number)
        for row in re.findall(r"^\| ([0-9, ]+) \|", table, re.MULTILINE)
        for number in row.split(",")
    }
    assert listed == {int(code) for code in Exit}


def test_every_state_of_a_peer_is_explained() -> None:
    from mesh.membership import PeerState

    assert [state for state in PeerState if f"| {state.value} |" not in PAGE] == []
