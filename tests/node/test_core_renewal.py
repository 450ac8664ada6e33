"""Certificates renewed in time without a link lost, expired ones shut out, and no dates by a clock that is wrong."""

from collections.abc import Sequence

import pytest

from mesh.clock import BUILT_MS
from mesh.events import (
    CertificateInstalled,
    ClockDistrusted,
    Effect,
    Hangup,
    InstallCertificate,
    LinkOpened,
    PeerChanged,
    Persist,
    RenewalRequested,
    Send,
    SetAccess,
    Woke,
    Write,
)
from mesh.ids import NodeId
from mesh.roster import MemberEntry, encode_entry
from mesh.state import Keys
from mesh.trust import DAY_MS
from mesh.wire import Probe, ProbeReply, Renew, Renewed, RenewRefused, RosterEntries
from node.core import NodeCore
from tests.mesh.cores import at, core_of, counted, messages, none_of, only, sent_to
from tests.mesh.plant import Plant
from tests.mesh.puppet import Puppet, welcome_in
from tests.mesh.site import WALL_MS, Site, days_after, entry_of, make_site, reissued

SITE = make_site(4, stewards=2)
KEYS = SITE.keys
A, B, C, D = SITE.nodes
STEP_S = 0.25


def puppets_of(core: NodeCore, *keys: Keys, days: float = 0.0) -> list[Puppet]:
    puppets = [Puppet(each, core, boot=700 + place) for place, each in enumerate(keys)]
    for each in puppets:
        each.greet(at(0, days_after(days)))
    return puppets


def live(
    core: NodeCore, puppets: Sequence[Puppet], since: float, until: float, days: float, skew_ms: int = 0
) -> list[Effect]:
    """Everybody beats and answers probes, on this day of the core's clock; the peers' clocks are `skew_ms` ahead."""
    effects: list[Effect] = []
    now = since
    while now < until:
        now = round(now + STEP_S, 3)
        moment = at(now, days_after(days) + int(now * 1000))
        said = core.handle(Woke(), moment)
        for puppet in puppets:
            said += puppet.tell(moment, puppet.beat(moment))
        for puppet in puppets:
            for probe in [each for each in sent_to(puppet.node, said) if isinstance(each, Probe)]:
                said += puppet.tell(moment, ProbeReply(probe.token, moment.wall_ms + skew_ms))
        effects += said
    return effects


def started(place: int, site: Site = SITE, days: float = 0.0) -> NodeCore:
    core = core_of(site.keys[place], site.saved())
    core.start(at(0, days_after(days)))
    return core


def asked(effects: Sequence[Effect]) -> list[NodeId]:
    """Who was asked for a certificate, in order."""
    return [
        each.peer
        for each in only(effects, Send)
        if any(isinstance(message, Renew) for message in messages([each]))
    ]


# ---------------------------------------------------------------- the member


def test_before_two_thirds_of_its_life_a_certificate_is_left_alone() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0], KEYS[1])
    assert asked(live(core, stewards, 0, 65, days=18.0)) == []


def test_at_two_thirds_of_its_life_a_steward_is_asked_once_and_given_time() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0], KEYS[1])
    effects = live(core, stewards, 0, 10, days=20.1)
    assert len(asked(effects)) == 1
    assert asked(effects)[0] in (A, B)
    assert Renew(KEYS[2].tls_public) in sent_to(asked(effects)[0], effects)


def test_a_steward_that_stays_silent_is_followed_by_the_other() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0], KEYS[1])
    first, second = asked(live(core, stewards, 0, 25, days=20.1))[:2]
    assert {first, second} == {A, B}


def test_a_steward_that_refuses_is_followed_by_the_other_soon() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0], KEYS[1])
    (first,) = asked(live(core, stewards, 0, 3, days=20.1))
    refusing = next(each for each in stewards if each.node == first)
    refused = refusing.tell(at(3, days_after(20.1)), RenewRefused("the clock is before a time"))
    assert counted(refused) == [("renewal-refused", first)]
    assert messages(refused) == []  # a reply causes no reply
    (second,) = asked(live(core, stewards, 3, 6, days=20.1))
    assert {first, second} == {A, B}


def test_stewards_that_all_refuse_are_not_asked_without_end() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0], KEYS[1])
    asked_in_all, now = 0, 0.0
    while now < 60:
        for node in asked(live(core, stewards, now, now + 0.5, days=20.1)):
            asked_in_all += 1
            refusing = next(each for each in stewards if each.node == node)
            refusing.tell(at(now + 0.5, days_after(20.1)), RenewRefused("no"))
        now += 0.5
    assert 4 <= asked_in_all <= 20


def test_a_new_certificate_is_installed_and_told_and_no_link_is_dropped() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0], KEYS[1])
    (first,) = asked(live(core, stewards, 0, 3, days=20.1))
    steward = next(each for each in stewards if each.node == first)
    new = reissued(KEYS[0], KEYS[2], "c", days_after(20.1))
    effects = steward.tell(at(3, days_after(20.1)), Renewed(new.chain))
    assert effects == [InstallCertificate(new.chain)]
    installed = core.handle(CertificateInstalled(new.chain), at(3.1, days_after(20.1)))
    assert installed[0] == Persist((Write("roster", f"m:{C}", entry_of(new)),))
    assert RosterEntries((entry_of(new),)) in sent_to(A, installed)
    assert core.view(at(4)).certificate_not_after_ms == days_after(50.1) // 1000 * 1000
    later = live(core, stewards, 3.1, 70, days=20.2)
    assert asked(later) == []
    assert none_of(installed + later, Hangup, PeerChanged)
    assert core.state.links.peers() == [A, B]


def test_no_steward_is_asked_while_none_is_linked_and_one_is_as_soon_as_it_is() -> None:
    core = started(2)
    others = puppets_of(core, KEYS[3])
    assert asked(live(core, others, 0, 40, days=20.1)) == []
    steward = Puppet(KEYS[0], core, boot=1)
    steward.greet(at(40, days_after(20.1)))
    assert asked(live(core, [*others, steward], 40, 42, days=20.1)) == [A]


def test_by_hand_it_is_renewed_at_once() -> None:
    core = started(2)
    stewards = puppets_of(core, KEYS[0])
    live(core, stewards, 0, 2, days=1.0)
    core.handle(RenewalRequested(), at(2, days_after(1.0)))
    assert asked(live(core, stewards, 2, 3, days=1.0)) == [A]


def test_a_steward_renews_its_own() -> None:
    core = started(0)
    effects = live(core, [], 0, 3, days=20.1)
    (install,) = only(effects, InstallCertificate)
    member = SITE.root.verify_chain(install.chain, days_after(20.2))
    assert (member.node, member.name, member.not_after_ms // 1000) == (A, "a", days_after(50.1) // 1000)
    core.handle(CertificateInstalled(install.chain), at(3, days_after(20.1)))
    assert only(live(core, [], 3, 70, days=20.1), InstallCertificate) == []


def test_any_steward_renews_and_no_link_is_dropped_in_a_whole_plant() -> None:
    short = make_site(3, stewards=1, label="short", days=0.01)  # a life of 864 s, so 576 s until the renewal
    plant = Plant(short).form()
    formed = plant.now
    plant.run(700)
    for process in plant.processes:
        assert plant.news(process.place, InstallCertificate) != []
        assert plant.news(process.place, Hangup, formed) == []
        assert plant.news(process.place, PeerChanged, formed) == []
    assert plant.is_full()
    for process in plant.processes:
        for node in short.nodes:
            member = process.core.state.roster.member(node)
            assert member is not None
            assert member.not_after_ms > WALL_MS + 20 * DAY_MS


# ---------------------------------------------------------------- the steward


def test_a_steward_saves_tells_and_gives_the_new_certificate() -> None:
    core = started(0, days=20.0)
    member, other = puppets_of(core, KEYS[2], KEYS[3], days=20.0)
    effects = member.tell(at(1, days_after(20.0)), Renew(KEYS[2].tls_public))
    (renewed,) = [each for each in sent_to(C, effects) if isinstance(each, Renewed)]
    proven = SITE.root.verify_chain(renewed.chain, days_after(20.0))
    assert (proven.node, proven.name, proven.steward) == (C, "c", A)
    assert proven.not_after_ms // 1000 == days_after(50.0) // 1000
    entry = encode_entry(MemberEntry(renewed.chain, KEYS[2].identity.public))
    assert effects[0] == Persist((Write("roster", f"m:{C}", entry),))
    assert RosterEntries((entry,)) in sent_to(other.node, effects)
    assert counted(effects) == [("certificate-renewed", C)]


def test_a_member_that_is_no_steward_refuses() -> None:
    core = started(3)
    (member,) = puppets_of(core, KEYS[2])
    effects = member.tell(at(0.05), Renew(KEYS[2].tls_public))
    assert sent_to(C, effects) == [RenewRefused("not a steward")]
    assert only(effects, Persist) == []


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32])
def test_a_key_that_is_no_point_of_the_curve_harms_nobody(key: bytes) -> None:
    core = started(0)
    (member,) = puppets_of(core, KEYS[2])
    member.tell(at(1), Renew(key))
    assert sent_to(C, member.tell(at(2), Probe(1)))


def test_a_member_that_asks_without_end_does_not_flood_the_site() -> None:
    """Every certificate issued is saved by everybody and told to everybody."""
    core = started(0, days=20.0)
    member, _ = puppets_of(core, KEYS[2], KEYS[3], days=20.0)
    told = []
    for step in range(500):
        told += member.tell(at(1 + step / 100, days_after(20.0)), Renew(KEYS[2].tls_public))
    assert len(only(told, Persist)) == 1
    assert len({each for each in sent_to(C, told) if isinstance(each, Renewed)}) == 1


def test_another_key_so_soon_is_refused_and_taken_a_minute_later() -> None:
    core = started(0, days=20.0)
    (member,) = puppets_of(core, KEYS[2], days=20.0)
    member.tell(at(1, days_after(20.0)), Renew(KEYS[2].tls_public))
    soon = member.tell(at(50, days_after(20.0) + 50_000), Renew(KEYS[3].tls_public))
    assert sent_to(C, soon) == [RenewRefused("too soon")]
    later = member.tell(at(61.1, days_after(20.0) + 61_100), Renew(KEYS[3].tls_public))
    assert counted(later) == [("certificate-renewed", C)]


# ---------------------------------------------------------------- expiry


def test_a_peer_whose_certificate_ends_is_cut() -> None:
    site = make_site(3, stewards=1, label="brief", days=1.0)
    core = started(1, site)
    (peer,) = puppets_of(core, site.keys[2])
    effects = live(core, [peer], 0, 5, days=1.001)
    assert ("certificate-expired", site.nodes[2]) in counted(effects)
    assert not core.state.links.is_linked(site.nodes[2])
    assert site.nodes[2] not in only(effects, SetAccess)[-1].members


def test_a_member_that_expires_unlinked_is_shut_out_of_the_broker_at_its_date() -> None:
    site = make_site(3, stewards=1, label="brief", days=1.0)
    long = reissued(site.keys[0], site.keys[1], "b", WALL_MS, days=30.0)
    core = core_of(long, site.saved())
    started_with = only(core.start(at(0)), SetAccess)[-1]
    assert started_with.members == (site.nodes[0], site.nodes[2])
    before = days_after(1.0) - 10_000
    core.handle(Woke(), at(1, before))
    assert core.wake_at <= 31.0
    core.handle(Woke(), at(2, before))
    effects = [each for step in range(3, 40) for each in core.handle(Woke(), at(step, before + step * 1000))]
    assert [each.members for each in only(effects, SetAccess)] == [()]


def test_who_expired_is_shut_out_again_when_a_doubt_about_our_clock_ends() -> None:
    site = make_site(4, stewards=1, label="brief", days=1.0)
    long = [reissued(site.keys[0], each, "x", WALL_MS, days=30.0) for each in site.keys[:3]]
    saved = {f"m:{each.identity.node}": entry_of(each) for each in (*long, site.keys[3])}
    core = core_of(long[1], {"roster": saved})
    core.start(at(0, days_after(2)))
    peers = puppets_of(core, long[0], long[2], days=2.0)
    live(core, peers, 0, 40, days=2.0)
    live(core, peers, 40, 80, days=2.0, skew_ms=3_600_000)
    core.state.set_access(at(80, days_after(2)))  # as a merge would
    assert site.nodes[3] in only(core.handle(Woke(), at(80, days_after(2))), SetAccess)[-1].members
    ended = live(core, peers, 80, 120, days=2.0)
    assert [each.members for each in only(ended, SetAccess)] == [(site.nodes[0], site.nodes[2])]


def test_an_expired_peer_is_refused_at_the_door() -> None:
    site = make_site(3, stewards=1, label="brief", days=1.0)
    core = started(1, site, days=1.5)
    peer = Puppet(site.keys[2], core)
    assert counted(peer.knock(at(1, days_after(1.5)), peer.hello(at(1)))) == [
        ("certificate-expired", site.nodes[2])
    ]


def test_a_peer_that_renewed_in_time_is_not_cut() -> None:
    site = make_site(3, stewards=1, label="brief", days=1.0)
    core = started(1, site)
    (peer,) = puppets_of(core, site.keys[2])
    renewed = reissued(site.keys[0], site.keys[2], "c", days_after(0.8))
    peer.tell(at(0, days_after(0.9)), RosterEntries((entry_of(renewed),)))
    assert ("certificate-expired", site.nodes[2]) not in counted(live(core, [peer], 0, 40, days=1.2))
    assert core.state.links.is_linked(site.nodes[2])


# ---------------------------------------------------------------- clocks


def test_a_steward_whose_clock_is_far_off_issues_nothing_and_says_so_once() -> None:
    core = started(0)
    peers = puppets_of(core, KEYS[2], KEYS[3])
    effects = live(core, peers, 0, 65, days=0.0, skew_ms=3_600_000)
    distrusted = only(effects, ClockDistrusted)
    assert [(each.why, abs(each.offset_ms - 3_600_000) < 300) for each in distrusted] == [
        ("the clock is far off most peers' clocks", True)
    ]
    refused = peers[0].tell(at(66), Renew(KEYS[2].tls_public))
    assert RenewRefused("the clock is far off most peers' clocks") in sent_to(C, refused)
    assert core.view(at(66)).clock_doubt == "the clock is far off most peers' clocks"


def test_a_node_whose_clock_is_far_ahead_renews_and_expires_nothing() -> None:
    core = started(2)
    peers = puppets_of(core, KEYS[0], KEYS[3])
    live(core, peers, 0, 5, days=0.0, skew_ms=-40 * DAY_MS)
    effects = live(core, peers, 5, 70, days=0.0, skew_ms=-40 * DAY_MS)
    assert asked(effects) == []
    assert only(effects, InstallCertificate) == []
    ahead = started(2, days=0.0)
    peers = puppets_of(ahead, KEYS[0], KEYS[3])
    live(ahead, peers, 0, 5, days=0.0, skew_ms=0)
    effects = live(ahead, peers, 5, 70, days=40.0, skew_ms=-40 * DAY_MS)
    assert [name for name, _ in counted(effects) if name == "certificate-expired"] == []
    assert ahead.state.links.peers() == [A, D]
    assert asked(effects) == []


def test_a_clock_before_the_floor_issues_renews_and_expires_nothing() -> None:
    saved = SITE.saved() | {"clock": {"floor": str(days_after(25)).encode()}}
    core = core_of(KEYS[0], saved)
    core.start(at(0))
    peers = puppets_of(core, KEYS[2])
    effects = live(core, peers, 0, 65, days=0.0)
    assert [each.why for each in only(effects, ClockDistrusted)] == [
        "the clock is before a time that this node has already seen signed"
    ]
    assert only(effects, InstallCertificate) == []
    assert sent_to(C, peers[0].tell(at(66), Renew(KEYS[2].tls_public))) == [
        RenewRefused("the clock is before a time that this node has already seen signed")
    ]
    assert core.state.links.peers() == [C]


def test_a_clock_that_is_put_right_is_trusted_again_and_a_second_fault_told_again() -> None:
    core = started(0)
    peers = puppets_of(core, KEYS[2], KEYS[3])
    told = live(core, peers, 0, 40, days=0.0, skew_ms=3_600_000)
    told += live(core, peers, 40, 120, days=0.0, skew_ms=0)
    told += live(core, peers, 120, 200, days=0.0, skew_ms=3_600_000)
    assert len(only(told, ClockDistrusted)) == 2


def test_the_floor_rises_with_the_time_and_is_saved_by_the_hour() -> None:
    core = started(2)
    peers = puppets_of(core, KEYS[0])
    effects = live(core, peers, 0, 100, days=0.0)
    floors = [write for each in only(effects, Persist) for write in each.writes if write.table == "clock"]
    assert len(floors) == 1
    assert floors[0].value is not None
    assert BUILT_MS < int(floors[0].value) <= WALL_MS + 100_000


def test_alone_a_node_believes_no_time_but_what_was_signed() -> None:
    core = started(2)
    live(core, [], 0, 65, days=3000.0)
    assert core.state.clock.floor_ms <= days_after(1)


def test_a_steward_whose_clock_runs_years_ahead_does_not_take_the_site_with_it() -> None:
    """Its new certificate is from the far future; those whose clocks agree with each other do not believe it."""
    core = started(2)
    peers = puppets_of(core, KEYS[1], KEYS[3])
    live(core, peers, 0, 5, days=0.0)
    future = reissued(KEYS[0], KEYS[0], "a", days_after(3000))
    peers[0].tell(at(5), RosterEntries((entry_of(future),)))
    effects = live(core, peers, 5, 70, days=0.0)
    assert core.state.clock.floor_ms < days_after(2)
    assert core.state.links.peers() == [B, D]
    assert only(effects, ClockDistrusted) == []


def test_links_that_open_later_are_judged_by_the_meshs_date_when_ours_is_wrong() -> None:
    """A year ahead by our own clock, everybody would have expired; most peers say otherwise."""
    core = started(2)
    peers = puppets_of(core, KEYS[0], KEYS[1])
    live(core, peers, 0, 5, days=0.0)
    live(core, peers, 5, 40, days=365.0, skew_ms=-365 * DAY_MS)
    late = Puppet(KEYS[3], core)
    hello = late.hello(at(40))
    welcome = welcome_in(sent_to(D, late.knock(at(40, days_after(365.0)), hello)))
    late.knock(at(40, days_after(365.0)), late.confirmation(hello, welcome, at(40)))
    assert core.state.links.is_linked(D)
    assert only(core.handle(LinkOpened(99, D), at(41)), Hangup) == [Hangup(99)]


def test_a_node_whose_clock_is_twenty_days_behind_links_learns_it_and_dates_nothing() -> None:
    """A steward's battery died on day ten; it is day thirty, and the other three renewed yesterday."""
    site = make_site(4, stewards=2, label="battery", days=60.0)
    plant = Plant(site, 0)
    for keys in site.keys[1:]:
        plant.boot(reissued(site.keys[1], keys, "x", days_after(29), days=60.0), clock_ms=30 * DAY_MS)
    plant.run(3)
    behind = plant.boot(site.keys[0], incarnation=2, clock_ms=10 * DAY_MS)
    plant.form()
    plant.run(60)
    told = plant.news(3, ClockDistrusted)
    assert [each.why for each in told] == [
        "the clock is far off most peers' clocks",
        "the clock is before a time that this node has already seen signed",  # the floor has risen
    ]
    assert abs(told[-1].offset_ms - 20 * DAY_MS) < 1000
    plant.tell(plant.processes[1], RenewalRequested())
    plant.tell(behind, RenewalRequested())
    plant.run(60)
    assert plant.is_full()
    assert plant.news(3, InstallCertificate) == []
    assert not {"certificate-renewed", "certificate-expired", "certificate-early"} & set(plant.counters(3))
    assert [plant.news(place, ClockDistrusted) for place in range(3)] == [[], [], []]


def test_a_certificate_from_the_future_is_refused_once_two_clocks_agree_with_ours() -> None:
    core = started(2)
    live(core, puppets_of(core, KEYS[0], KEYS[1]), 0, 5, days=0.0)
    early = Puppet(reissued(KEYS[0], KEYS[3], "d", days_after(5)), core)
    assert ("certificate-early", D) in counted(early.knock(at(5), early.hello(at(5))))


def test_an_expired_peer_is_refused_even_by_a_node_that_knows_no_other_clock() -> None:
    core = started(2)
    late = Puppet(reissued(KEYS[0], KEYS[3], "d", days_after(-5), days=1.0), core)
    assert ("certificate-expired", D) in counted(late.knock(at(1), late.hello(at(1))))
