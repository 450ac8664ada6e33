"""What a node can say of itself and of its peers, as plain values for displays and scripts."""

from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.now import Now
from mesh.probes import Probes
from mesh.state import FabricState


@dataclass(frozen=True, slots=True)
class PeerView:
    """One member as this node sees it."""

    node: NodeId
    name: str
    state: str
    why: str
    since: float  # monotonic
    linked: bool
    link: str  # "dialled", "hosted" or "none"
    path: str  # "direct", "via NAME" or "none"
    rtt_s: float | None
    clock_offset_ms: float | None
    certificate_not_after_ms: int | None
    is_steward: bool
    incarnation: int
    release: str = ""
    is_leaf: bool = False  # as far as we know it hosts no broker


@dataclass(frozen=True, slots=True)
class NodeView:
    """The node itself."""

    node: NodeId
    name: str
    site: str
    site_name: str
    incarnation: int
    is_steward: bool
    broker_up: bool
    endpoints: tuple[str, ...]
    isolated: bool
    halted: str
    clock_doubt: str
    certificate_not_after_ms: int
    members: int
    here: int
    linked: int


def node_view(state: FabricState, isolated: bool, now: Now) -> NodeView:
    member = state.own
    return NodeView(
        node=state.me,
        name=member.name,
        site=state.keys.root.site,
        site_name=state.keys.root.site_name,
        incarnation=state.birth.incarnation,
        is_steward=member.is_steward,
        broker_up=state.broker_up,
        endpoints=tuple(str(each) for each in state.endpoints),
        isolated=isolated,
        halted=state.halted,
        clock_doubt=state.clock.doubt(now.wall_ms) or "",
        certificate_not_after_ms=member.not_after_ms,
        members=len(state.roster.members()),
        here=len(state.membership.here()) + 1,
        linked=len(state.links.peers()),
    )


def peer_views(state: FabricState, probes: Probes, now: Now) -> list[PeerView]:
    views = []
    for node, standing in state.membership.standings().items():
        member = state.roster.member(node)
        row = state.rows.get(node)
        views.append(
            PeerView(
                node=node,
                name=state.roster.name(node),
                state=standing.state.value,
                why=standing.why,
                since=standing.since,
                linked=state.links.is_linked(node),
                link=_link(state, node),
                path=_path(state, node, standing.via),
                rtt_s=probes.rtt_s(node),
                clock_offset_ms=probes.offset_ms(node),
                certificate_not_after_ms=member.not_after_ms if member else None,
                is_steward=bool(member and member.is_steward),
                incarnation=max(standing.incarnation, row.incarnation if row else -1),
                release=state.releases.get(node, ""),
                is_leaf=not state.book.endpoints(node),
            )
        )
    return sorted(views, key=lambda view: (view.name, view.node))


def _link(state: FabricState, node: NodeId) -> str:
    best = state.links.best(node)
    return "none" if best is None else "dialled" if best else "hosted"


def _path(state: FabricState, node: NodeId, via: NodeId | None) -> str:
    if via is None:
        return "none"
    return "direct" if via == node else f"via {state.roster.name(via)}"
