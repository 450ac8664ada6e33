from collections.abc import Mapping
from dataclasses import replace

import pytest

from crdt_state.own_alarms import SEVERITIES
from mesh.ids import NodeId
from mesh.trust import DAY_MS
from mesh.wire import PathNote, Report
from node.doctor import Examined, Finding, examine
from node.views import NodeView, PeerView
from tests.mesh.site import WALL_MS

ME, B, C = NodeId("a" * 26), NodeId("b" * 26), NodeId("c" * 26)

HEALTHY_NODE = NodeView(
    node=ME,
    name="press-1",
    site="site",
    site_name="plant",
    incarnation=1,
    is_steward=False,
    broker_up=True,
    endpoints=("10.0.0.1:8883",),
    isolated=False,
    halted="",
    clock_doubt="",
    certificate_not_after_ms=WALL_MS + 20 * DAY_MS,
    members=3,
    here=3,
    linked=2,
)


def peer(node: NodeId = B, name: str = "press-2", **changes: object) -> PeerView:
    healthy = PeerView(
        node=node,
        name=name,
        state="alive",
        why="heard directly",
        since=0.0,
        linked=True,
        link="dialled",
        path="direct",
        rtt_s=0.001,
        clock_offset_ms=12.0,
        certificate_not_after_ms=WALL_MS + 20 * DAY_MS,
        is_steward=False,
        incarnation=1,
    )
    return replace(healthy, **changes)  # type: ignore[arg-type]  # the tests name real fields


def report(node: NodeId, **sees: PathNote) -> Report:
    return Report(1, node, True, WALL_MS, tuple(sees.values()))


def note(node: NodeId, state: str = "alive", heard: bool = True, seen_by_mdns: bool = True) -> PathNote:
    return PathNote(node, state, heard, seen_by_mdns, "")


HEALTHY = Examined(
    node=HEALTHY_NODE,
    peers=(peer(), peer(C, "press-3")),
    reports={B: report(B, me=note(ME), c=note(C)), C: report(C, me=note(ME), b=note(B))},
    seen_by_mdns=(B, C),
    counters={},
    wall_ms=WALL_MS,
)


def told(seen: Examined) -> list[tuple[str, str, str]]:
    return [(each.level, each.code, each.what) for each in examine(seen)]


def test_a_healthy_site_has_no_findings() -> None:
    assert examine(HEALTHY) == []


def node(**changes: object) -> Examined:
    return replace(HEALTHY, node=replace(HEALTHY_NODE, **changes))  # type: ignore[arg-type]  # real fields


def with_peer(**changes: object) -> Examined:
    return replace(HEALTHY, peers=(peer(**changes), peer(C, "press-3")))  # type: ignore[arg-type]  # real fields


def counting(counters: Mapping[tuple[str, str], int]) -> Examined:
    return replace(HEALTHY, counters=counters)


IDS = f"{ME}, {B}"
FINDINGS: list[tuple[str, Examined, tuple[str, str, str]]] = [
    ("halted", node(halted="it was removed"), ("error", "halted", "this node takes no part: it was removed")),
    ("isolated", node(isolated=True), ("error", "isolated", "this node hears nobody")),
    (
        "no broker",
        replace(node(broker_up=False), broker_error="port 8883 is taken"),
        ("error", "broker-down", "this node's broker is down: port 8883 is taken"),
    ),
    (
        "a wrong clock",
        node(clock_doubt="the clock is far off"),
        ("error", "clock-distrusted", "the clock is far off"),
    ),
    (
        "a peer ahead",
        with_peer(clock_offset_ms=2_500.0),
        ("warning", "clock-skew", "the clock of press-2 is 2.5 s ahead of ours"),
    ),
    (
        "a peer far behind",
        with_peer(clock_offset_ms=-400_000.0),
        ("error", "clock-skew", "the clock of press-2 is 400.0 s behind ours"),
    ),
    (
        "our certificate ends",
        node(certificate_not_after_ms=WALL_MS + DAY_MS),
        ("warning", "certificate-expiring", "the certificate of this node ends in 1.0 days"),
    ),
    (
        "a peer's has ended",
        with_peer(certificate_not_after_ms=WALL_MS - 2 * DAY_MS),
        ("error", "certificate-expired", "the certificate of press-2 expired 2.0 days ago"),
    ),
    (
        "a peer's identity twice",
        counting({("identity-cloned", B): 3}),
        ("error", "identity-twice", "two live processes use the identity of press-2"),
    ),
    (
        "our identity twice",
        counting({("identity-cloned", ME): 1}),
        ("error", "identity-twice", "two live processes use the identity of this node"),
    ),
    (
        "another root",
        replace(HEALTHY, last_errors={B: "wrong-root"}),
        ("error", "wrong-root", "press-2 shows a certificate of another root"),
    ),
    (
        "a blocked port",
        replace(HEALTHY, last_errors={B: "timeout"}),
        ("error", "port-blocked", "press-2 is announced but its port does not answer"),
    ),
    (
        "a closed port",
        replace(HEALTHY, last_errors={B: "refused"}),
        ("warning", "port-refused", "press-2 is announced but refuses connections"),
    ),
    (
        "a blocked port without mDNS",
        replace(
            with_peer(linked=False, link="none"), last_errors={B: "timeout"}, seen_by_mdns=(), mdns_on=False
        ),
        (
            "warning",
            "port-blocked",
            "press-2 is heard by others, and nothing answers where its broker was known to be",
        ),
    ),
    (
        "a name twice",
        with_peer(name="press-1"),
        ("warning", "name-twice", f"2 members are called press-1: {IDS}"),
    ),
    (
        "rotten rows",
        counting({("store-row-damaged", ""): 2}),
        (
            "warning",
            "store-row-damaged",
            "rows of this node's state.db that had rotted when it started, and were left out: 2",
        ),
    ),
    (
        "no direct path",
        with_peer(path="via press-3", linked=False, link="none"),
        ("warning", "path-broken", "no direct path between press-1 and press-2; messages go via press-3"),
    ),
    (
        "a peer gone",
        with_peer(state="unreachable", why="nobody hears it", path="none"),
        ("warning", "unreachable", "press-2 is unreachable: nobody hears it"),
    ),
    (
        "a path between two others",
        replace(
            HEALTHY,
            reports={
                B: report(B, me=note(ME), c=note(C, heard=False)),
                C: report(C, me=note(ME), b=note(B, heard=False)),
            },
        ),
        ("warning", "path-broken", "no direct path between press-2 and press-3"),
    ),
    (
        "a deaf peer",
        replace(
            HEALTHY, reports={**HEALTHY.reports, B: report(B, me=note(ME, seen_by_mdns=False), c=note(C))}
        ),
        (
            "warning",
            "mdns-one-way",
            "mDNS works one way only between press-1 and press-2: press-2 hears nothing",
        ),
    ),
    (
        "we are deaf",
        replace(HEALTHY, seen_by_mdns=(C,)),
        (
            "warning",
            "mdns-one-way",
            "mDNS works one way only between press-1 and press-2: press-1 hears nothing",
        ),
    ),
]


@pytest.mark.parametrize(
    ("seen", "finding"), [each[1:] for each in FINDINGS], ids=[each[0] for each in FINDINGS]
)
def test_what_is_wrong_is_found_and_nothing_else(seen: Examined, finding: tuple[str, str, str]) -> None:
    assert told(seen) == [finding]


@pytest.mark.parametrize("seen", [each[1] for each in FINDINGS], ids=[each[0] for each in FINDINGS])
def test_every_finding_has_a_cure(seen: Examined) -> None:
    for each in examine(seen):
        assert len(each.cure) > 20
        assert each.cure[0].islower() or each.cure[0] in "`"
        assert not each.cure.endswith(".")


@pytest.mark.parametrize(
    "seen",
    [
        with_peer(clock_offset_ms=1_999.0),
        with_peer(clock_offset_ms=None),
        with_peer(certificate_not_after_ms=None),
        with_peer(certificate_not_after_ms=WALL_MS + 4 * DAY_MS),
        with_peer(certificate_not_after_ms=WALL_MS - DAY_MS, state="removed", path="none"),
        with_peer(certificate_not_after_ms=WALL_MS - DAY_MS, state="left", path="none"),
        counting({("identity-cloned", B): 0, ("link-lost", B): 9}),
        replace(HEALTHY, last_errors={B: "timeout"}, seen_by_mdns=(), mdns_on=False),
        replace(HEALTHY, reports={}, seen_by_mdns=()),
        replace(HEALTHY, seen_by_mdns=(), mdns_on=False),
        replace(HEALTHY, broker_error="it died once"),
        replace(HEALTHY, seen_by_mdns=(C,), peers=(peer(is_leaf=True), peer(C, "press-3"))),
        replace(HEALTHY, mode="leaf", reports={B: report(B, me=note(ME, seen_by_mdns=False))}),
        with_peer(name="press-1", state="removed", path="none"),
        replace(with_peer(path="via press-3", linked=False, link="none"), overlay=True),
        replace(HEALTHY, overlay=True, reports={B: report(B, me=note(ME), c=note(C, heard=False))}),
        replace(with_peer(path="via press-3", is_leaf=True), mode="leaf"),
    ],
)
def test_what_is_in_order_is_not_found(seen: Examined) -> None:
    assert examine(seen) == []


def test_the_cure_for_an_expired_certificate_frees_the_name_first() -> None:
    (other,) = examine(with_peer(certificate_not_after_ms=WALL_MS - DAY_MS))
    (own,) = examine(node(certificate_not_after_ms=WALL_MS - DAY_MS))
    assert "fieldmesh member remove press-2" in other.cure
    assert "fieldmesh member remove press-1" in own.cure
    assert "fresh home" in other.cure


def test_errors_stand_before_warnings() -> None:
    seen = replace(
        node(isolated=True),
        peers=(peer(clock_offset_ms=3_000.0), peer(C, "press-3", state="unreachable", path="none")),
    )
    assert [(each.level, each.code) for each in examine(seen)] == [
        ("error", "isolated"),
        ("warning", "clock-skew"),
        ("warning", "unreachable"),
    ]


def test_reports_about_nobody_we_know_are_passed_over() -> None:
    stranger = NodeId("z" * 26)
    seen = replace(
        HEALTHY,
        reports={**HEALTHY.reports, stranger: report(stranger, x=note(NodeId("y" * 26), heard=False))},
    )
    assert examine(seen) == []


def test_a_finding_is_a_plain_value() -> None:
    (finding,) = examine(node(isolated=True))
    assert isinstance(finding, Finding)
    assert finding == Finding("isolated", "error", "this node hears nobody", finding.cure)


@pytest.mark.parametrize(
    ("code", "level", "cure"),
    [
        ("document-diverged", "error", "fieldmesh world verify"),
        ("author-equivocates", "error", "fieldmesh member remove"),
        ("own-writes-forgotten", "warning", "keep it linked"),
        ("records-in-quarantine", "warning", "fieldmesh quarantine show"),
        ("records-from-the-future", "warning", "timedatectl"),
        ("generation-omits", "warning", "fieldmesh version"),
    ],
)
def test_a_standing_alarm_about_the_shared_state_is_a_finding_with_its_cure(
    code: str, level: str, cure: str
) -> None:
    (finding,) = examine(replace(HEALTHY, world_alarms={code: "asset of press-2"}))
    assert (finding.code, finding.level) == (code, level)
    assert finding.what.endswith(" (asset of press-2)")
    assert cure in finding.cure


def test_each_alarm_about_the_shared_state_has_a_finding() -> None:
    found = examine(replace(HEALTHY, world_alarms=dict.fromkeys(SEVERITIES, "so")))
    assert {each.code for each in found} == set(SEVERITIES)
