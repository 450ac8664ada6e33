"""A node that was away: removed meanwhile, or told of too late. What it is told when it is back, and what stays."""

from mesh.events import (
    Dial,
    EndpointFound,
    Hangup,
    InstallCertificate,
    LinkOpened,
    MembershipEnded,
    Send,
    SetAccess,
    Source,
    Woke,
)
from mesh.finding import SEEK_EVERY_S, TELL_EVERY_S
from mesh.roster import RemovalEntry, encode_entry
from mesh.trust import DAY_MS
from mesh.wire import Addresses, Message, Refuse, Renewed, RosterEntries, RosterWanted
from node.core import NodeCore
from tests.mesh.cores import at, core_of, counted, endpoint_of, only, sent_to
from tests.mesh.puppet import Puppet, linked, over
from tests.mesh.site import WALL_MS, days_after, make_site, reissued

SITE = make_site(4)
KEYS = SITE.keys
A, B, C, D = SITE.nodes


def removal_of(place: int) -> bytes:
    authority = KEYS[0].authority
    assert authority is not None
    return encode_entry(RemovalEntry(authority.remove(SITE.nodes[place], "gone", "stolen", WALL_MS)))


def knowing_of_the_removal() -> NodeCore:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    linked(KEYS[0], core).tell(at(0.5), RosterEntries((removal_of(3),)))
    return core


def announced(core: NodeCore, mono: float) -> list[Dial]:
    return only(core.handle(EndpointFound(endpoint_of(3), D, Source.MDNS), at(mono)), Dial)


# ---------------------------------------------------------------- removed while it was away


def test_the_removed_that_is_announced_is_told_at_its_own_door_with_the_proof_and_nothing_else() -> None:
    core = knowing_of_the_removal()
    (dial,) = announced(core, 1)
    effects = core.handle(LinkOpened(dial.link, D), at(1.1))
    assert sent_to(D, effects) == [Refuse("removed", "", (), (removal_of(3),))]
    assert over(effects, D) == [(dial.link, True)]
    assert [type(each) for each in effects if isinstance(each, Send | Hangup)] == [Send, Hangup]
    assert not core.state.links.with_peer(D)


def test_the_removed_is_sought_and_told_at_a_bounded_rate() -> None:
    core = knowing_of_the_removal()
    (dial,) = announced(core, 1)
    assert announced(core, 1 + SEEK_EVERY_S - 0.1) == []
    core.handle(LinkOpened(dial.link, D), at(1.1))
    assert announced(core, 1.1 + TELL_EVERY_S - 0.1) == []
    assert len(announced(core, 1.2 + TELL_EVERY_S)) == 1


def test_who_is_told_at_its_door_that_it_was_removed_takes_no_part_any_more() -> None:
    core = core_of(KEYS[3], SITE.saved())
    core.start(at(0))
    effects = Puppet(KEYS[1], core).knock(at(1), Refuse("removed", "", (), (removal_of(3),)))
    assert MembershipEnded("this node was removed from the site: stolen") in effects
    assert core.state.halted


def test_a_removal_without_a_proof_ends_nothing() -> None:
    core = core_of(KEYS[3], SITE.saved())
    core.start(at(0))
    puppet = Puppet(KEYS[1], core)
    assert counted(puppet.knock(at(1), Refuse("removed", "", (), (b"junk",)))) == [("roster-malformed", B)]
    assert counted(puppet.knock(at(1), Refuse("removed", ""))) == [("door-misused", B)]
    assert core.state.halted == ""


def test_who_was_removed_stays_so_when_it_is_started_again() -> None:
    saved = SITE.saved()
    saved["roster"][f"r:{D}:{A}"] = removal_of(3)
    core = core_of(KEYS[3], saved)
    effects = core.start(at(0))
    assert MembershipEnded("this node was removed from the site: stolen") in effects
    assert only(effects, SetAccess)[-1].members == ()
    core.handle(EndpointFound(endpoint_of(0), A, Source.MDNS), at(1))
    assert only(core.handle(Woke(), at(2)), Dial) == []


# ---------------------------------------------------------------- told too late


def test_who_catches_up_on_the_roster_is_told_where_the_members_are_too() -> None:
    """Addresses that came before the roster knew their nodes were of strangers, and are said once only."""
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    Puppet(KEYS[1], core, boot=7, endpoints=(endpoint_of(1),)).greet(at(0.1))
    late = linked(KEYS[2], core, boot=8)
    said: list[Message] = sent_to(C, late.tell(at(1), RosterWanted(b"")))
    kinds = [type(each) for each in said]
    assert kinds.index(RosterEntries) < said.index(Addresses(((B, (endpoint_of(1),)),)))


def test_a_certificate_that_ends_sooner_is_taken_when_it_is_newer() -> None:
    """The steward's [trust] certificate_days was lowered."""
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0, days_after(1)))
    steward = linked(KEYS[0], core, boot=9)
    shorter = reissued(KEYS[0], KEYS[1], "b", days_after(1), days=2.0).chain
    effects = steward.tell(at(1, days_after(1)), Renewed(shorter))
    assert InstallCertificate(shorter) in effects
    older = reissued(KEYS[0], KEYS[1], "b", WALL_MS - DAY_MS, days=60.0).chain
    assert counted(steward.tell(at(2, days_after(1)), Renewed(older))) == [("renewal-not-ours", A)]
