"""Removal: the steward's word cuts a node off everywhere, at once and for ever."""

import msgspec
import pytest

from mesh.events import (
    CastDelivered,
    CastRequested,
    Dial,
    EndpointFound,
    Hangup,
    LinkOpened,
    MembershipEnded,
    PeerChanged,
    Persist,
    RemovalRequested,
    Send,
    SendAll,
    SetAccess,
    Source,
    Woke,
)
from mesh.roster import RemovalEntry, encode_entry
from mesh.wire import Addresses, Cast, Inquiry, Message, Probe, Refuse, Renew, RosterEntries, Rows
from node.core import NodeCore
from tests.mesh.cores import at, core_of, counted, endpoint_of, messages, none_of, only, sent_to
from tests.mesh.plant import Plant
from tests.mesh.puppet import Puppet, dialled, linked, welcome_in
from tests.mesh.site import WALL_MS, admitted, days_after, entry_of, make_site

SITE = make_site(5, stewards=2)
KEYS = SITE.keys
A, B, C, D, E = SITE.nodes


def removal_of(place: int, steward: int = 0, at_ms: int = WALL_MS) -> bytes:
    authority = KEYS[steward].authority
    assert authority is not None
    return encode_entry(RemovalEntry(authority.remove(SITE.nodes[place], "abcde"[place], "stolen", at_ms)))


def steward_with(*places: int) -> tuple[NodeCore, list[Puppet]]:
    """The core of the steward, with these members linked."""
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    return core, [linked(KEYS[place], core, boot=500 + place) for place in places]


# ---------------------------------------------------------------- at the steward


def test_a_removal_is_saved_then_told_to_everybody_then_acted_upon() -> None:
    core, _ = steward_with(2, 3)
    dial = dialled(core.handle(EndpointFound(endpoint_of(4), E, Source.MDNS), at(0.5)), E)
    Puppet(KEYS[4], core).answer(dial, at(0.6))
    effects = core.handle(RemovalRequested(E, "stolen"), at(1))
    (persist,) = only(effects, Persist)
    (told,) = [each for each in only(effects, SendAll) if isinstance(messages([each])[0], RosterEntries)]
    (access,) = only(effects, SetAccess)
    assert [write.key for write in persist.writes] == [f"r:{E}:{A}"]
    assert [peer for peer, _ in told.links] == [C, D, E]  # the removed one too
    assert access == SetAccess((B, C, D), (E,))
    order = [effects.index(each) for each in (persist, told, Hangup(dial.link), access)]
    assert order == sorted(order)
    assert PeerChanged(E, "e", "removed", "removed: stolen") in effects
    assert core.state.links.peers() == [C, D]


def test_the_endpoints_of_the_removed_are_forgotten_on_disk_too() -> None:
    core, _ = steward_with(2)
    Puppet(KEYS[4], core, boot=9, endpoints=(endpoint_of(4),)).greet(at(1))
    effects = core.handle(RemovalRequested(E, "stolen"), at(2))
    assert [write.key for each in only(effects, Persist) for write in each.writes] == [f"r:{E}:{A}", E]
    assert core.state.book.endpoints(E) == ()


def test_only_a_steward_removes() -> None:
    core = core_of(KEYS[2], SITE.saved())
    core.start(at(0))
    effects = core.handle(RemovalRequested(E, "stolen"), at(1))
    assert counted(effects) == [("removal-not-allowed", "")]
    assert only(effects, Persist) == []
    assert core.state.roster.is_member(E)


def test_a_removal_is_dated_by_the_meshs_time_when_our_clock_is_wrong() -> None:
    """A date years ago would make every certificate void that a removed steward has issued since."""
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0, wall_ms=days_after(-700)))
    core.handle(Woke(), at(0.5, wall_ms=days_after(-700)))
    core.handle(RemovalRequested(B, "stolen"), at(1, wall_ms=days_after(-700)))
    removal = core.state.roster.removal(B)
    assert removal is not None
    assert removal.at_ms >= WALL_MS - 60_000


# ---------------------------------------------------------------- everywhere else


def test_a_removal_cuts_the_node_off_everywhere_at_once() -> None:
    plant = Plant(SITE).form()
    plant.tell(plant.processes[0], RemovalRequested(E, "stolen"))
    plant.run(1)
    for process in plant.processes[:4]:
        assert plant.state_of(process.place, 4) == "removed"
        assert not process.core.state.links.is_linked(E)
        assert plant.news(process.place, SetAccess)[-1].removed == (E,)
        assert E not in plant.news(process.place, SetAccess)[-1].members
    later = plant.now
    plant.run(60)
    for process in plant.processes[:4]:
        assert [each for each in plant.news(process.place, Dial, later) if each.expected == E] == []
        assert [each for each in plant.news(process.place, Send, later) if each.peer == E] == []


def test_the_removed_node_is_told_and_stops() -> None:
    plant = Plant(SITE).form()
    plant.tell(plant.processes[0], RemovalRequested(E, "stolen"))
    plant.run(1)
    removed = plant.processes[4]
    assert plant.news(4, MembershipEnded) == [MembershipEnded("this node was removed from the site: stolen")]
    assert removed.core.state.links.peers() == []
    assert removed.sessions == {}
    assert plant.news(4, SetAccess)[-1].members == ()
    assert counted(plant.tell(removed, CastRequested("t", b"x"))) == [("cast-halted", "")]
    later = plant.now
    plant.run(30)
    assert none_of((each for when, each in removed.effects if when >= later), Dial, SendAll)


def test_a_removed_node_that_was_away_is_told_when_it_knocks() -> None:
    plant = Plant(SITE).form()
    plant.crash(4)
    plant.run(5)
    plant.tell(plant.processes[0], RemovalRequested(E, "stolen"))
    plant.run(1)
    plant.boot(KEYS[4], incarnation=2, place=4)
    plant.run(5)
    assert plant.news(4, MembershipEnded) == [MembershipEnded("this node was removed from the site: stolen")]
    assert [plant.state_of(place, 4) for place in range(4)] == ["removed"] * 4


def test_a_removal_reaches_who_was_away_and_outlives_restarts() -> None:
    plant = Plant(SITE).form()
    plant.crash(3)
    plant.run(5)
    plant.tell(plant.processes[0], RemovalRequested(E, "stolen"))
    plant.run(1)
    plant.boot(KEYS[3], incarnation=2, place=3)
    plant.run(10)
    assert plant.state_of(3, 4) == "removed"
    plant.crash(3)
    again = plant.boot(KEYS[3], incarnation=3, place=3, is_found=False)
    assert again.core.state.roster.is_removed(E)
    assert plant.news(3, SetAccess)[0].removed == (E,)


def test_a_removal_that_arrives_in_roster_entries_cuts_the_link_before_the_rest_of_the_frame_is_read() -> (
    None
):
    core, (_, _, victim) = steward_with(2, 3, 4)
    effects = victim.tell(at(1), RosterEntries((removal_of(4),)), Probe(5), Cast(E, 1, 1, "t", b"x"))
    assert PeerChanged(E, "e", "removed", "removed: stolen") in effects
    assert only(effects, CastDelivered) == []
    assert not core.state.links.is_linked(E)
    (access,) = only(effects, SetAccess)
    assert access.removed == (E,)


def test_a_removal_that_arrives_in_a_refusal_counts_as_well() -> None:
    core = core_of(KEYS[4], SITE.saved())
    core.start(at(0))
    dial = dialled(
        core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(0.3)) + core.handle(Woke(), at(0.6)), B
    )
    core.handle(LinkOpened(dial.link, B), at(0.6))
    puppet = Puppet(KEYS[1], core)
    puppet.link = dial.link
    effects = puppet.tell(at(0.7), Refuse("removed", "stolen", (), (removal_of(4),)))
    assert MembershipEnded("this node was removed from the site: stolen") in effects
    assert Hangup(dial.link) in effects
    assert core.state.halted != ""


# ---------------------------------------------------------------- S9: nothing of it counts any more

SAID: list[tuple[str, Message]] = [
    ("a probe", Probe(1)),
    ("an inquiry", Inquiry(1)),
    ("a request for a certificate", Renew(KEYS[4].tls_public)),
    ("addresses", Addresses(((B, (endpoint_of(77),)),))),
    ("a cast", Cast(E, 1, 1, "t", b"x")),
    ("another node's removal", RosterEntries((removal_of(3),))),
]


@pytest.mark.parametrize("message", [each[1] for each in SAID], ids=[each[0] for each in SAID])
def test_nothing_is_accepted_of_the_removed(message: Message) -> None:
    core, (victim,) = steward_with(4)
    core.handle(RemovalRequested(E, "stolen"), at(1))
    digests = (core.state.roster.digest, core.state.rows.digest)
    effects = victim.tell(at(2), message)
    assert counted(effects) == [("frame-from-removed", E)]
    assert messages(effects) == []
    assert none_of(effects, Persist, CastDelivered, Dial)
    assert (core.state.roster.digest, core.state.rows.digest) == digests
    assert core.state.book.endpoints(B) == ()


def test_the_removed_is_refused_at_the_door_with_the_stewards_record() -> None:
    core, (victim,) = steward_with(4)
    core.handle(RemovalRequested(E, "stolen"), at(1))
    effects = victim.knock(at(2), victim.hello(at(2)))
    assert counted(effects) == [("removed", E)]
    (refuse,) = messages(effects)
    assert isinstance(refuse, Refuse)
    assert (refuse.code, refuse.detail, len(refuse.removals)) == ("removed", "stolen", 1)


def test_a_greeting_that_was_under_way_comes_to_nothing() -> None:
    core, (_,) = steward_with(2)
    victim = Puppet(KEYS[4], core, boot=9)
    hello = victim.hello(at(1))
    welcome = welcome_in(messages(victim.knock(at(1), hello)))
    core.handle(RemovalRequested(E, "stolen"), at(1.1))
    victim.knock(at(1.2), victim.confirmation(hello, welcome, at(1.2)))
    assert not core.state.links.is_linked(E)


def test_a_dial_that_reaches_the_removed_is_hung_up() -> None:
    core, (peer,) = steward_with(2)
    dial = dialled(core.handle(EndpointFound(endpoint_of(4), E, Source.MDNS), at(0.5)), E)
    peer.tell(at(0.6), RosterEntries((removal_of(4),)))
    assert Hangup(dial.link) in core.handle(LinkOpened(dial.link, E), at(0.7))
    assert core.state.links.all_dialled() == []


def test_casts_and_rows_of_the_removed_that_others_pass_on_are_refused() -> None:
    core, (peer, victim) = steward_with(2, 4)
    unsigned = Cast(E, 1, 1, "t", b"x")
    cast = msgspec.structs.replace(unsigned, signature=KEYS[4].identity.sign(unsigned.content()))
    row = victim.row((A, B))
    core.handle(RemovalRequested(E, "stolen"), at(1))
    assert counted(peer.tell(at(2), cast)) == [("cast-stranger", C)]
    peer.tell(at(2), Rows((row,)))
    assert core.state.rows.get(E) is None


def test_the_removed_row_is_no_path_to_anybody() -> None:
    core, (peer, victim) = steward_with(2, 4)
    victim.tell(at(0.5), victim.beat(at(0.5), heard=(A, D)))
    assert core.state.membership.is_here(D)
    peer.tell(at(1), RosterEntries((removal_of(4),)))
    assert not core.state.membership.is_here(D)


def test_the_removed_is_not_dialled_because_somebody_names_it() -> None:
    core, (peer,) = steward_with(2)
    peer.tell(at(1), RosterEntries((removal_of(4),)))
    assert only(peer.tell(at(2), Addresses(((E, (endpoint_of(4),)),))), Dial) == []
    assert core.state.book.endpoints(E) == ()


# ---------------------------------------------------------------- a removed steward


def test_certificates_that_a_steward_issued_after_its_removal_end_with_it() -> None:
    """A stolen steward goes on admitting; whoever it let in is cut off as soon as the removal is known."""
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0, days_after(2)))
    peer = linked(KEYS[2], core, boot=3)
    intruder_keys = admitted(SITE, "intruder", "intruder", days_after(1.5))
    peer.tell(at(0.5, days_after(2)), RosterEntries((entry_of(intruder_keys),)))
    intruder = Puppet(intruder_keys, core, boot=4)
    intruder.greet(at(0.6, days_after(2)))
    assert core.state.links.is_linked(intruder.node)
    effects = peer.tell(at(1, days_after(2)), RosterEntries((removal_of(0, steward=1, at_ms=days_after(1)),)))
    assert intruder.node not in only(effects, SetAccess)[-1].members
    assert not core.state.links.is_linked(intruder.node)
    assert not core.state.membership.is_here(intruder.node)
    assert counted(intruder.tell(at(1.1, days_after(2)), Probe(1))) == [
        ("frame-before-greeting", intruder.node)
    ]
    assert counted(intruder.knock(at(3, days_after(2)), intruder.hello(at(3, days_after(2)))))[-1:] == [
        ("not-a-member", intruder.node)
    ]


def test_a_removal_is_no_news_the_second_time() -> None:
    _, (peer, victim) = steward_with(2, 4)
    peer.tell(at(1), RosterEntries((removal_of(4),)))
    effects = peer.tell(at(2), RosterEntries((removal_of(4),)))
    assert all(isinstance(each, Send | SendAll) for each in effects)
    assert sent_to(victim.node, effects) == []
    assert not any(isinstance(each, RosterEntries) for each in messages(effects))
