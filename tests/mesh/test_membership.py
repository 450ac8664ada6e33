import msgspec

from mesh.events import PeerChanged
from mesh.hearing import Config, Hearing
from mesh.ids import NodeId
from mesh.membership import SETTLE_S, Membership
from mesh.roster import RemovalEntry, Roster, departure, encode_entry
from mesh.rows import Rows, pack
from mesh.wire import Row
from tests.mesh.site import WALL_MS, admitted, days_after, entry_of, make_site

SITE = make_site(4, stewards=2)
ME, B, C, D = SITE.nodes
NEVER = "not heard since this node started"


class World:
    """The machines that membership looks at, moved by hand."""

    def __init__(self) -> None:
        self.roster = Roster(SITE.root)
        self.roster.merge(SITE.entries())
        self.hearing = Hearing(Config())
        self.rows = Rows(ME, self.roster.by_short)
        self.membership = Membership(ME, self.roster, self.hearing, self.rows)
        self._versions: dict[NodeId, int] = {}
        self.look(0.0)

    def row(self, node: NodeId, *heard: NodeId, broker_up: bool = True, incarnation: int = 1) -> None:
        self._versions[node] = self._versions.get(node, 0) + 1
        self.rows.put(Row(node, incarnation, self._versions[node], 1, 0, broker_up, pack(heard)))

    def hear(self, node: NodeId, now: float = 0.0) -> None:
        self.hearing.hear(node, now)
        self.membership.greeted(node, 1, now)

    def look(self, now: float) -> list[tuple[NodeId, str, str]]:
        changes = self.membership.reassess(now, lambda _: "")
        assert all(isinstance(each, PeerChanged) for each in changes)
        return [(each.node, each.state, each.why) for each in changes]

    def state(self, node: NodeId) -> str:
        standing = self.membership.standing(node)
        assert standing is not None
        return standing.state.value

    def why(self, node: NodeId) -> str:
        standing = self.membership.standing(node)
        assert standing is not None
        return standing.why


def test_members_are_unreachable_until_they_are_heard_and_that_is_no_news() -> None:
    world = World()
    assert [world.state(node) for node in (B, C, D)] == ["unreachable"] * 3
    assert world.why(B) == NEVER
    assert world.look(5.0) == []
    assert world.membership.standing(ME) is None


def test_who_is_heard_is_alive_and_that_is_said_once() -> None:
    world = World()
    world.hear(B)
    assert world.look(1.0) == [(B, "alive", "heard directly")]
    assert world.look(1.0) == []
    assert world.membership.here() == [B]
    assert world.membership.is_here(B)


def test_who_is_heard_by_somebody_we_hear_is_alive_too() -> None:
    world = World()
    world.hear(B)
    world.row(B, ME, C)
    world.look(0.1)
    assert world.state(C) == "alive"
    assert world.why(C) == "no direct path; heard through b"
    standing = world.membership.standing(C)
    assert standing is not None
    assert standing.via == B


def test_a_dead_broker_is_told_apart_from_a_dead_node() -> None:
    world = World()
    world.hear(B)
    world.row(B, ME, C, broker_up=False)
    world.row(C, B, broker_up=False)
    assert world.look(0.1) == [
        (B, "broker-down", "its broker is down; heard directly"),
        (C, "broker-down", "its broker is down; no direct path; heard through b"),
    ]
    assert world.membership.here() == [B, C]


def test_silence_past_the_timeout_raises_suspicion_once_and_then_the_verdict_once() -> None:
    world = World()
    world.hear(B)
    world.look(0.0)
    assert world.look(1.4) == []
    assert world.look(1.5) == [(B, "suspect", "silent; probes are unanswered so far")]
    assert world.look(1.9) == []
    assert world.membership.is_here(B)
    world.hearing.forget(B)
    assert world.look(2.0) == [(B, "unreachable", "nobody in reach hears it")]
    assert world.look(9.0) == []
    assert not world.membership.is_here(B)


def test_one_observers_silence_convicts_nobody() -> None:
    """We have stopped hearing B; C, whom we hear, still does."""
    world = World()
    world.hear(B)
    world.hear(C)
    world.row(C, ME, B)
    world.look(0.0)
    world.hear(C, 1.6)
    assert world.look(1.6) == [(B, "suspect", "silent; probes are unanswered so far")]
    world.hearing.forget(B)
    assert world.look(2.0) == []
    assert world.why(B) == "silent to us; c still hears it"
    world.hear(C, 1.6 + SETTLE_S)
    assert world.look(1.6 + SETTLE_S) == [(B, "alive", "no direct path; heard through c")]


def test_after_a_crash_no_peer_is_called_alive_while_the_observers_give_up_one_by_one() -> None:
    world = World()
    for node in (B, C, D):
        world.hear(node)
    world.row(C, ME, B, D)
    world.row(D, ME, B, C)
    world.look(0.0)
    told = []
    for node in (C, D):
        world.hear(node, 1.6)
    told += world.look(1.6)
    world.hearing.forget(B)
    told += world.look(2.0)
    world.row(C, ME, D)
    told += world.look(2.2)
    world.row(D, ME, C)
    told += world.look(2.4)
    assert [(node, state) for node, state, _ in told] == [(B, "suspect"), (B, "unreachable")]


def test_a_row_of_somebody_unreachable_keeps_nobody_alive() -> None:
    world = World()
    world.hear(B)
    world.row(B, ME, C)
    world.row(C, B, D)
    world.look(0.0)
    assert world.state(D) == "alive"
    world.row(B, ME)
    assert world.look(0.1) == [
        (C, "unreachable", "nobody in reach hears it"),
        (D, "unreachable", "nobody in reach hears it"),
    ]


def test_the_last_dial_explains_an_absence() -> None:
    world = World()
    world.membership.reassess(0.0, lambda _: "; last dial: refused")
    assert world.why(B) == f"{NEVER}; last dial: refused"


def test_a_node_that_was_stopped_is_unreachable_for_that_reason_until_it_greets_again() -> None:
    world = World()
    world.hear(B)
    world.look(0.0)
    world.membership.stopped(B)
    world.hearing.forget(B)
    assert world.look(0.1) == [(B, "unreachable", "it was stopped")]
    world.hear(B, 5.0)
    assert world.look(5.0) == [(B, "alive", "heard directly")]
    world.hearing.forget(B)
    assert world.look(9.0) == [(B, "unreachable", "nobody in reach hears it")]


def test_who_has_said_goodbye_has_left_until_a_higher_incarnation_is_seen() -> None:
    world = World()
    world.hear(B)
    world.look(0.0)
    world.roster.merge([encode_entry(departure(SITE.keys[1].identity, 1))])
    assert world.look(0.1) == [(B, "left", "it said goodbye")]
    assert world.membership.here() == []
    world.membership.greeted(B, 2, 5.0)
    world.hearing.hear(B, 5.0)
    assert world.look(5.0) == [(B, "alive", "heard directly")]


def test_a_row_of_a_higher_incarnation_brings_back_who_had_left() -> None:
    world = World()
    world.hear(C)
    world.row(C, ME, B)
    world.roster.merge([encode_entry(departure(SITE.keys[1].identity, 3))])
    world.row(B, C, incarnation=3)
    world.look(0.0)
    assert world.state(B) == "left"
    world.row(B, C, incarnation=4)
    assert world.look(0.1) == [(B, "alive", "no direct path; heard through c")]


def removal_of(node: NodeId, at_ms: int = WALL_MS, steward: int = 0) -> bytes:
    authority = SITE.keys[steward].authority
    assert authority is not None
    return encode_entry(RemovalEntry(authority.remove(node, "x", "stolen", at_ms)))


def test_the_removed_are_removed_whatever_is_heard() -> None:
    world = World()
    world.hear(B)
    world.look(0.0)
    world.roster.merge([removal_of(B)])
    assert world.look(0.1) == [(B, "removed", "removed: stolen")]
    world.membership.greeted(B, 9, 0.2)
    assert world.look(0.2) == []
    assert world.membership.here() == []


def test_who_is_no_longer_a_member_without_being_removed_is_not_here_either() -> None:
    """Its certificate was void, because its steward had been removed before."""
    world = World()
    late = admitted(SITE, "late", "late", days_after(3))
    world.roster.merge([entry_of(late)])
    world.hear(late.identity.node)
    world.look(0.0)
    assert world.membership.is_here(late.identity.node)
    world.roster.merge([removal_of(ME, days_after(2), steward=1)])
    world.look(0.1)
    assert not world.membership.is_here(late.identity.node)
    assert late.identity.node not in world.membership.here()


def test_there_are_doubts_while_somebody_is_suspect() -> None:
    world = World()
    world.hear(B)
    world.look(0.0)
    assert not world.membership.has_doubts(1.0)
    assert world.membership.has_doubts(1.5)
    world.look(1.5)
    world.hearing.forget(B)
    assert world.membership.has_doubts(2.0)
    world.look(2.0)
    assert not world.membership.has_doubts(2.0)


def test_without_new_paths_only_time_is_looked_at() -> None:
    world = World()
    world.hear(B)
    world.look(0.0)
    world.hear(C)
    assert world.membership.reassess(0.1, lambda _: "", repath=False) == []
    assert [each.node for each in world.membership.reassess(0.1, lambda _: "")] == [C]


def test_since_is_when_the_state_began() -> None:
    world = World()
    world.hear(B)
    world.look(3.0)
    world.look(4.0)
    standing = world.membership.standing(B)
    assert standing is not None
    assert standing.since == 3.0


def test_nobody_is_heard_by_a_name_that_is_nobodys() -> None:
    world = World()
    world.hear(B)
    world.rows.put(msgspec.structs.replace(Row(B, 1, 1, 1, 0, True, b"zzzz" * 5)))
    assert world.look(0.0) == [(B, "alive", "heard directly")]
