"""What `fieldmesh world verify` says below its table: how old each member's word is, and what it all comes to."""

from collections.abc import Mapping
from typing import Any

from node.cli.shown import moment
from node.cli.words import ago

Proof = Mapping[str, Any]


def member_lines(proof: Proof) -> list[str]:
    """Of each other member: as of when it has said what it holds, and whether it can be heard."""
    away = _away(proof)
    return [f"  {_member(each, away, proof['at_ms'])}" for each in proof["documents"][0]["members"]]


def verdict_lines(proof: Proof) -> list[str]:
    """The verdict, and the next step where there is one."""
    if not proof["documents"][0]["members"]:
        return ["there is no other member to compare with"]
    away = sorted(each["name"] for each in _away(proof).values())
    diverged, unequal = _documents(proof, {"diverged"}), _unequal(proof)
    if diverged:
        return [
            f"DIVERGED: {', '.join(diverged)}; this repairs itself within seconds",
            "  next: ask again in a minute; if it still says so: fieldmesh check",
        ]
    if unequal:
        return [
            f"not equal yet: {'; '.join(unequal)}",
            "  next: ask again in a minute; if it still says so: fieldmesh check",
            *_absence(away),
        ]
    if away:
        return [f"equal on every member that can be heard; not known of {', '.join(away)}", *_absence(away)]
    return ["equal on every member"]


def _absence(away: list[str]) -> list[str]:
    if not away:
        return []
    return [
        f"  {', '.join(away)} will be made equal once heard again; fieldmesh check says what is in the way"
    ]


def _member(member: Proof, away: Mapping[str, Proof], at_ms: int) -> str:
    name, as_of_ms = member["name"], member["as_of_ms"]
    gone = away.get(member["node"])
    heard = name if gone is None else f"{name} {_since(gone)}"
    if not as_of_ms:
        return f"{heard}: it has not said what it holds"
    return f"{heard}: as of {moment(as_of_ms)}, {ago(max(0, at_ms - as_of_ms) / 1000)} ago"


def _since(gone: Proof) -> str:
    if gone["since_ms"] is None:
        return "not heard since this node started"
    return f"unreachable since {moment(gone['since_ms'])}"


def _unequal(proof: Proof) -> list[str]:
    """`press-2 is behind in asset, task` for each member that can be heard, by name."""
    away = _away(proof)
    found: dict[tuple[str, str], list[str]] = {}
    for document in proof["documents"]:
        for member in document["members"]:
            if member["standing"] != "equal" and member["node"] not in away:
                found.setdefault((member["name"], member["standing"]), []).append(document["document"])
    return [
        f"{name} is {standing} in {', '.join(names)}" for (name, standing), names in sorted(found.items())
    ]


def _documents(proof: Proof, standings: set[str]) -> list[str]:
    return [
        document["document"]
        for document in proof["documents"]
        if any(member["standing"] in standings for member in document["members"])
    ]


def _away(proof: Proof) -> dict[str, Proof]:
    return {each["node"]: each for each in proof["freshness"]["unreachable"]}
