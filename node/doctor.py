"""The doctor: from what this node and its peers see, what is wrong and what cures it. Pure: values in, findings out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mesh.clock import FAR_OFF_MS
from mesh.ids import NodeId
from mesh.trust import DAY_MS
from mesh.wire import Report
from node.views import NodeView, PeerView

SKEW_MS = 2_000  # worth telling: logs and alarms of two nodes no longer line up
EXPIRY_SOON_DAYS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (`error`) or may become so (`warning`), and what to do about it."""

    code: str
    level: str
    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class Examined:
    """All that the doctor looks at."""

    node: NodeView
    peers: Sequence[PeerView]
    reports: Mapping[NodeId, Report]
    seen_by_mdns: Sequence[NodeId]
    counters: Mapping[tuple[str, str], int]
    wall_ms: int
    mdns_on: bool = True
    broker_error: str = ""
    last_errors: Mapping[NodeId, str] = field(default_factory=dict)
    stray_errors: Mapping[str, str] = field(default_factory=dict)  # by the seed's HOST:PORT
    mode: str = "own"
    overlay: bool = False  # most pairs are not meant to be linked
    world_alarms: Mapping[str, str] = field(
        default_factory=dict
    )  # this node's own that stand: a text by code


def examine(seen: Examined) -> list[Finding]:
    """Every finding, the worst first."""
    found = [
        *_own_state(seen),
        *_clocks(seen),
        *_certificates(seen),
        *_duplicates(seen),
        *_names(seen),
        *_store(seen),
        *_dials(seen),
        *_seeds(seen),
        *_paths(seen),
        *_mdns(seen),
        *_shared_state(seen),
    ]
    return sorted(found, key=lambda finding: (finding.level != "error", finding.code))


def _own_state(seen: Examined) -> list[Finding]:
    found = []
    if seen.node.halted:
        cure = "see `fieldmesh status`; a cloned or removed node joins again in a fresh home"
        found.append(Finding("halted", "error", f"this node takes no part: {seen.node.halted}", cure))
    if seen.broker_error and not seen.node.broker_up:
        found.append(_broker_down(seen))
    if seen.node.isolated:
        cure = (
            "check this machine's cable and switch port; `ip link` shows whether the interface has a carrier"
        )
        found.append(Finding("isolated", "error", "this node hears nobody", cure))
    if seen.node.isolated and "greeting unanswered" in seen.last_errors.values():
        what = "brokers take this node's certificate, and no node answers its greeting"
        cure = "a steward may have removed it while it was away: on another node, fieldmesh member list"
        found.append(Finding("greeting-unanswered", "error", what, cure))
    return found


def _broker_down(seen: Examined) -> Finding:
    if seen.mode == "shared":
        what = f"no shared broker can be reached: {seen.broker_error}"
        cure = "start one of [fabric] brokers or mend the network to it; the nodes then find each other again"
        return Finding("broker-down", "error", what, cure)
    what = f"this node's broker is down: {seen.broker_error}"
    cure = "the node goes on as a dial-only leaf; see its log for mosquitto's own words"
    return Finding("broker-down", "error", what, cure)


def _clocks(seen: Examined) -> list[Finding]:
    found = []
    if seen.node.clock_doubt:
        cure = "set this machine's clock (timedatectl set-ntp true, or timedatectl set-time)"
        found.append(Finding("clock-distrusted", "error", seen.node.clock_doubt, cure))
    for peer in seen.peers:
        offset = peer.clock_offset_ms
        if offset is not None and abs(offset) >= SKEW_MS:
            level = "error" if abs(offset) > FAR_OFF_MS else "warning"
            which = "ahead of" if offset > 0 else "behind"
            what = f"the clock of {peer.name} is {abs(offset) / 1000:.1f} s {which} ours"
            found.append(
                Finding("clock-skew", level, what, f"let {peer.name} and this machine use one time source")
            )
    return found


def _certificates(seen: Examined) -> list[Finding]:
    own = _expiry("this node", seen.node.name, seen.node.certificate_not_after_ms, seen.wall_ms)
    others = [
        _expiry(peer.name, peer.name, peer.certificate_not_after_ms, seen.wall_ms)
        for peer in seen.peers
        if peer.certificate_not_after_ms is not None and peer.state not in ("removed", "left")
    ]
    return [finding for finding in (own, *others) if finding is not None]


def _expiry(who: str, name: str, not_after_ms: int | None, wall_ms: int) -> Finding | None:
    if not_after_ms is None or not_after_ms - wall_ms > EXPIRY_SOON_DAYS * DAY_MS:
        return None
    days = (not_after_ms - wall_ms) / DAY_MS
    if days < 0:
        cure = f"on a steward: fieldmesh member remove {name}, which frees the name, and fieldmesh token create; "
        cure += "then join with that token in a fresh home"
        return Finding(
            "certificate-expired", "error", f"the certificate of {who} expired {-days:.1f} days ago", cure
        )
    cure = "it renews by itself while a steward can be reached: start one, or connect it"
    return Finding(
        "certificate-expiring", "warning", f"the certificate of {who} ends in {days:.1f} days", cure
    )


def _duplicates(seen: Examined) -> list[Finding]:
    twice = sorted({peer for (name, peer), n in seen.counters.items() if n and name in _CLONE_COUNTERS})
    names = {peer.node: peer.name for peer in seen.peers} | {seen.node.node: "this node"}
    return [
        Finding(
            "identity-twice",
            "error",
            f"two live processes use the identity of {names.get(NodeId(peer), peer or 'this node')}",
            "its folder was copied or restored: stop one, and let it join again in a fresh home",
        )
        for peer in twice
    ]


_CLONE_COUNTERS = ("identity-cloned", "mdns_identity_twice")


def _names(seen: Examined) -> list[Finding]:
    """Two stewards that did not hear each other may have given one name twice."""
    holders: dict[str, list[NodeId]] = {seen.node.name: [seen.node.node]}
    for peer in seen.peers:
        if peer.state != "removed":
            holders.setdefault(peer.name, []).append(peer.node)
    return [
        Finding(
            "name-twice",
            "warning",
            f"{len(nodes)} members are called {name}: {', '.join(sorted(nodes))}",
            "all work, by their ids; remove all but one by id (on a steward, fieldmesh member remove ID) "
            "and let them join again under names of their own",
        )
        for name, nodes in sorted(holders.items())
        if len(nodes) > 1
    ]


def _store(seen: Examined) -> list[Finding]:
    damaged = seen.counters.get(("store-row-damaged", ""), 0)
    if not damaged:
        return []
    what = f"rows of this node's state.db that had rotted when it started, and were left out: {damaged}"
    cure = "the peers tell it again what they know; look at this machine's disk (smartctl -a, dmesg) before it fails"
    return [Finding("store-row-damaged", "warning", what, cure)]


def _dials(seen: Examined) -> list[Finding]:
    found = []
    names = {peer.node: peer.name for peer in seen.peers}
    here = {peer.node for peer in seen.peers if peer.state in ("alive", "suspect") and not peer.linked}
    for node, error in sorted(seen.last_errors.items()):
        name = names.get(node, node)
        if error == "wrong-root":
            cure = "it belongs to another site, or was set up anew: let it join this site with a fresh token"
            found.append(Finding("wrong-root", "error", f"{name} shows a certificate of another root", cure))
        elif error == "timeout" and node in seen.seen_by_mdns:
            cure = f"mDNS passes and TCP does not: open {name}'s broker port (default 8883) in the firewalls between"
            found.append(
                Finding("port-blocked", "error", f"{name} is announced but its port does not answer", cure)
            )
        elif error == "timeout" and node in here:
            cure = f"open {name}'s broker port (default 8883) in the firewalls between; if it has moved, set seeds"
            what = f"{name} is heard by others, and nothing answers where its broker was known to be"
            found.append(Finding("port-blocked", "warning", what, cure))
        elif error == "refused" and node in seen.seen_by_mdns:
            cure = f"is fieldmesh running on {name}? Look at its log for a broker that does not start"
            found.append(
                Finding("port-refused", "warning", f"{name} is announced but refuses connections", cure)
            )
    return found


def _seeds(seen: Examined) -> list[Finding]:
    """Seeds that lead nowhere."""
    found = []
    for place, error in sorted(seen.stray_errors.items()):
        if error == "wrong-root":
            what = f"the seed {place} shows a certificate of another root"
            cure = "a node of another site listens there: mend [fabric] seeds, or let it join this site"
            found.append(Finding("wrong-root", "error", what, cure))
        elif error == "refused":
            cure = "is fieldmesh running there, and is it the port of its broker (default 8883)?"
            found.append(Finding("seed-refused", "warning", f"nothing listens at the seed {place}", cure))
        elif error in ("timeout", "no-route"):
            cure = (
                "is that machine on? Then open this TCP port in the firewalls between, or mend [fabric] seeds"
            )
            found.append(Finding("seed-silent", "warning", f"the seed {place} does not answer", cure))
        else:
            what = f"what answers at the seed {place} is no node's broker ({error})"
            cure = "a seed is a node's broker port (default 8883), not a steward's join port (8884)"
            found.append(Finding("seed-not-a-node", "warning", what, cure))
    return found


def _paths(seen: Examined) -> list[Finding]:
    """Pairs of nodes that do not hear each other though both take part."""
    found = []
    names = {peer.node: peer.name for peer in seen.peers} | {seen.node.node: seen.node.name}
    for peer in seen.peers:
        if peer.path.startswith("via "):
            if seen.overlay or (peer.is_leaf and seen.mode == "leaf"):
                continue  # not meant to be linked; two leaves have nothing to dial
            what = f"no direct path between {seen.node.name} and {peer.name}; messages go {peer.path}"
            found.append(Finding("path-broken", "warning", what, _PATH_CURE))
        elif peer.state == "unreachable":
            cure = _absence_cure(seen.last_errors.get(peer.node, ""))
            found.append(Finding("unreachable", "warning", f"{peer.name} is unreachable: {peer.why}", cure))
    return found if seen.overlay else [*found, *_paths_of_others(seen, names)]


def _paths_of_others(seen: Examined, names: Mapping[NodeId, str]) -> list[Finding]:
    found, told = [], set()
    leaves = {peer.node for peer in seen.peers if peer.is_leaf}
    for reporter, report in sorted(seen.reports.items()):
        for path in report.paths:
            pair = frozenset((reporter, path.node))
            is_pair_of_others = path.node in names and path.node != seen.node.node and pair not in told
            if is_pair_of_others and path.state == "alive" and not path.heard and not pair <= leaves:
                told.add(pair)
                what = (
                    f"no direct path between {names.get(reporter, reporter)} and {names[NodeId(path.node)]}"
                )
                found.append(Finding("path-broken", "warning", what, _PATH_CURE))
    return found


def _absence_cure(error: str) -> str:
    if error == "refused":
        return "that machine is up and its broker is not: start fieldmesh there, or look at its log"
    if error == "timeout":
        return "is that machine on? Then mend its network, or open its broker's port in the firewalls between"
    return "start it, or mend its network; if it is gone for good: fieldmesh member remove"


_PATH_CURE = "a cable, a VLAN or a firewall stands between these two; traffic goes round meanwhile"


def _mdns(seen: Examined) -> list[Finding]:
    """mDNS that works one way only. A node without a broker has nothing to announce."""
    if not seen.mdns_on or seen.mode != "own":
        return []
    found = []
    ours = set(seen.seen_by_mdns)
    for peer in seen.peers:
        report = seen.reports.get(peer.node)
        if report is None or peer.path != "direct" or peer.is_leaf:
            continue
        they_see_us = any(path.node == seen.node.node and path.seen_by_mdns for path in report.paths)
        we_see_them = peer.node in ours
        if they_see_us != we_see_them:
            deaf = seen.node.name if they_see_us else peer.name
            what = f"mDNS works one way only between {seen.node.name} and {peer.name}: {deaf} hears nothing"
            cure = f"allow UDP 5353 multicast in to {deaf} (firewall, IGMP snooping, Wi-Fi isolation), or set seeds"
            found.append(Finding("mdns-one-way", "warning", what, cure))
    return found


def _shared_state(seen: Examined) -> list[Finding]:
    """What this node itself has raised an alarm about, and what still stands of it."""
    return [
        replace(each, what=f"{each.what} ({seen.world_alarms[each.code]})")
        for each in _SHARED_STATE
        if each.code in seen.world_alarms
    ]


_SHARED_STATE = (
    Finding(
        "document-diverged",
        "error",
        "a peer has the same history of a shared document and other content",
        "it repairs itself within seconds; if it still stands in a minute, a home is in use twice or this is a bug: "
        "fieldmesh world verify names document and member, tell us with both logs",
    ),
    Finding(
        "author-equivocates",
        "error",
        "a member has signed two contents under one number",
        "its home is in use twice, or its key is stolen: stop it, on a steward fieldmesh member remove NAME, "
        "and let it join again in a fresh home",
    ),
    Finding(
        "own-writes-forgotten",
        "warning",
        "this node may have lost what it has written, and does not trust its store yet",
        "it is over after a minute among peers: keep it linked; if nobody restored or moved its home, look at its disk",
    ),
    Finding(
        "records-in-quarantine",
        "warning",
        "old records wait for a person's word",
        "fieldmesh quarantine show; then fieldmesh quarantine merge, or discard",
    ),
    Finding(
        "records-from-the-future",
        "warning",
        "records are dated so far ahead that they do not count yet",
        "set the clocks of the members that are named (timedatectl set-ntp true)",
    ),
    Finding(
        "generation-omits",
        "warning",
        "a member has rebuilt a shared document without things that are open; they were put back",
        "bring the members that are named to the release of the others: fieldmesh version; if it goes on, "
        "fieldmesh member remove NAME",
    ),
)
