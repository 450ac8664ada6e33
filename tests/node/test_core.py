"""The node's core through its one door: greeting, links, silence, isolation, stopping, leaving."""

from collections import Counter

import msgspec
import pytest

from mesh.events import (
    BrokerDown,
    BrokerUp,
    CastDelivered,
    CastRequested,
    Counted,
    Dial,
    DialFailed,
    EndpointFound,
    ExamRequested,
    Hangup,
    Isolated,
    LeaveRequested,
    LinkClosed,
    LinkOpened,
    MembershipEnded,
    PeerChanged,
    PeerReported,
    Persist,
    Reunited,
    Send,
    SendAll,
    SetAccess,
    Source,
    StopRequested,
    Traffic,
    Woke,
    Write,
)
from mesh.state import CoreConfig
from mesh.wire import (
    Addresses,
    Beat,
    Bye,
    Cast,
    CastsWanted,
    Confirm,
    Endpoint,
    Hello,
    Inquiry,
    Probe,
    Report,
    RosterEntries,
    RosterWanted,
    Row,
    Told,
    Welcome,
    decode,
)
from tests.mesh.cores import at, born, core_of, counted, endpoint_of, messages, none_of, only, sent_to
from tests.mesh.plant import Plant, Process
from tests.mesh.puppet import Puppet, dialled, linked, over, welcome_in
from tests.mesh.site import entry_of, make_site

SITE = make_site(5)
KEYS = SITE.keys
A, B, C, D, E = SITE.nodes


def states(plant: Plant, of: int) -> list[str]:
    return [plant.state_of(each.place, of) for each in plant.processes if each.place != of and each.alive]


def changes_of(plant: Plant, observer: int, peer: int, since: float) -> list[tuple[str, str]]:
    return [
        (each.state, each.why)
        for each in plant.news(observer, PeerChanged, since)
        if each.node == plant.site.nodes[peer]
    ]


# ---------------------------------------------------------------- starting


def test_a_node_that_starts_saves_its_own_entry_and_then_writes_its_access_list() -> None:
    effects = core_of(KEYS[0]).start(at(0))
    assert effects == [
        Persist((Write("roster", f"m:{A}", entry_of(KEYS[0])),)),
        SetAccess((), ()),
        SetAccess((), ()),
    ]


def test_a_node_that_knows_its_site_lets_the_members_in_and_itself_not() -> None:
    effects = core_of(KEYS[0], SITE.saved()).start(at(0))
    assert effects[0] == SetAccess((B, C, D, E), ())
    assert {each.state for each in only(effects, PeerChanged)} == set()


def test_what_is_damaged_in_the_store_is_counted_and_the_rest_is_used() -> None:
    saved = SITE.saved()
    saved["roster"]["m:damaged"] = b"junk"
    saved["endpoint"] = {B: b"junk", C: b"\x91\x92\xa2\xff\xfe\x01"}
    saved["clock"] = {"floor": b"not a number"}
    core = core_of(KEYS[0], saved)
    assert Counted("roster-malformed", "") in core.start(at(0))
    assert list(core.state.roster.members()) == list(SITE.nodes)


def test_a_lone_core_that_is_woken_when_it_asks_does_not_spin() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    now, wakes = 0.0, 0
    while now < 60:
        now = max(core.wake_at, now)
        core.handle(Woke(), at(now))
        wakes += 1
    assert wakes <= 60 * 6


def test_a_linked_core_that_is_woken_when_it_asks_does_not_spin() -> None:
    plant = Plant(SITE, 3).form()
    wakes = Counter[int]()
    plant.on_event = lambda process, event: wakes.update([process.place] if isinstance(event, Woke) else [])
    plant.run(30)
    assert max(wakes.values()) <= 30 * 6


def test_a_stale_or_early_wake_is_a_no_op() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    core.handle(Woke(), at(0.0))
    assert core.handle(Woke(), at(0.001)) == []


# ---------------------------------------------------------------- greeting


def test_an_endpoint_is_dialled_by_the_smaller_id_at_once() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    effects = core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1))
    assert effects == [Dial(1, endpoint_of(1), B)]


def test_the_dialler_greets_at_the_door_and_confirms_what_it_is_answered() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    dial = dialled(core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1)), B)
    opened = core.handle(LinkOpened(dial.link, B), at(1.01))
    (hello,) = [each for each in messages(opened) if isinstance(each, Hello)]
    assert over(opened, B) == [(1, True)]
    assert (hello.version_oldest, hello.version_newest, hello.card.node, hello.card.boot) == (1, 1, A, 1000)

    puppet = Puppet(KEYS[1], core)
    puppet.link = dial.link
    answered = puppet.tell(at(1.02), puppet.welcome(hello, at(1.02)))
    kinds = [type(each) for each in sent_to(B, answered)]
    assert kinds[0] is Confirm
    assert set(kinds[1:]) == {Beat, Probe, Told}
    assert over(answered, B)[0] == (1, True)
    assert PeerChanged(B, "b", "alive", "heard directly") in answered
    assert core.state.links.peers() == [B]


def test_the_host_answers_at_the_inbox_and_is_linked_when_it_is_confirmed() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    puppet = Puppet(KEYS[0], core)
    hello = puppet.hello(at(1))
    answered = puppet.knock(at(1), hello)
    welcome = welcome_in(messages(answered))
    assert over(answered, A) == [(0, False)]
    assert welcome.echo == hello.nonce
    assert core.state.links.peers() == []

    confirmed = puppet.knock(at(1.01), puppet.confirmation(hello, welcome, at(1.01)))
    assert {type(each) for each in sent_to(A, confirmed)} == {Beat, Probe, Told}
    assert PeerChanged(A, "a", "alive", "heard directly") in confirmed
    assert core.state.links.peers() == [A]


def test_a_peers_proven_endpoints_are_saved_before_they_are_passed_on() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    linked(KEYS[2], core)
    puppet = Puppet(KEYS[0], core, endpoints=(endpoint_of(0),))
    effects = puppet.greet(at(1))
    (persist,) = only(effects, Persist)
    assert [write.key for write in persist.writes] == [A]
    passed_on = next(
        each
        for each in effects
        if isinstance(each, Send) and Addresses(((A, (endpoint_of(0),)),)) in decode(each.data)[0].messages
    )
    assert effects.index(persist) < effects.index(passed_on)
    assert passed_on.peer == C


@pytest.mark.parametrize("dialler", [0, 1])
def test_one_link_whichever_side_dials(dialler: int) -> None:
    plant = Plant(SITE, 0)
    for keys in KEYS[:2]:
        plant.boot(keys, is_found=False)
    host = 1 - dialler
    plant.tell(plant.processes[dialler], EndpointFound(endpoint_of(host), SITE.nodes[host], Source.SEED))
    plant.run_until(plant.is_full, within_s=1)
    plant.run(10)
    assert [len(each.core.state.links) for each in plant.processes] == [1, 1]
    assert plant.processes[dialler].core.state.links.best(SITE.nodes[host]) == 1
    assert plant.processes[host].core.state.links.best(SITE.nodes[dialler]) == 0
    assert len(plant.news(dialler, Dial)) == 1
    assert plant.news(host, Dial) == []


def test_when_both_dial_at_once_the_smaller_ids_link_stays() -> None:
    plant = Plant(SITE, 0)
    for keys in KEYS[:2]:
        plant.boot(keys, is_found=False)
    small, large = plant.processes
    plant.tell(large, EndpointFound(endpoint_of(0), A, Source.SEED))
    plant.run(0.2495)  # the larger id yields a quarter of a second
    plant.tell(small, EndpointFound(endpoint_of(1), B, Source.SEED))
    plant.run(5)
    assert len(plant.news(0, Dial)) == len(plant.news(1, Dial)) == 1
    assert small.sessions == {1: 1}
    assert large.sessions == {}
    assert plant.news(0, Hangup) == []
    assert plant.news(1, Hangup) == [Hangup(1)]
    assert small.core.state.links.best(B) == 1
    assert large.core.state.links.best(A) == 0
    assert plant.is_full()


@pytest.mark.parametrize("lost", [Hello, Welcome, Confirm])
def test_a_lost_message_of_the_greeting_is_repaired(lost: type) -> None:
    plant = Plant(SITE, 2)
    drops = iter([True])
    plant.is_lost = lambda data: isinstance(decode(data)[0].messages[0], lost) and next(drops, False)
    plant.run_until(plant.is_full, within_s=2)
    plant.run(5)
    assert next(drops, False) is False
    assert plant.is_full()
    assert [len(each.sessions) for each in plant.processes] in ([1, 0], [0, 1])


@pytest.mark.parametrize("loss", [0.2, 0.5])
def test_a_greeting_gets_through_a_lossy_network(loss: float) -> None:
    plant = Plant(SITE, 3, seed=4)
    plant.loss = loss
    plant.run_until(plant.is_full, within_s=30)


def test_a_host_that_stays_silent_is_given_up_and_dialled_again() -> None:
    plant = Plant(SITE, 2)
    plant.is_lost = lambda _: True
    plant.run(12)
    assert plant.counters(0)["greeting-unanswered"] >= 2
    assert plant.processes[0].core.state.links.peers() == []
    assert len(plant.processes[0].sessions) <= 1
    plant.is_lost = lambda _: False
    plant.run_until(plant.is_full, within_s=5)


def test_a_replayed_hello_opens_no_second_link_and_changes_nothing() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    puppet = Puppet(KEYS[0], core)
    hello = puppet.hello(at(1))
    data = puppet.seal(hello)
    welcome = welcome_in(messages(puppet.deliver(at(1), data, door=True)))
    puppet.knock(at(1), puppet.confirmation(hello, welcome, at(1)))
    before = core.state.links.peers()
    effects = puppet.deliver(at(1.5), data, door=True)
    assert none_of(effects, PeerChanged, Hangup, Persist)
    assert core.state.links.peers() == before
    assert puppet.tell(at(1.6), Probe(1)) != []


def test_a_replayed_welcome_does_nothing() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    puppet = Puppet(KEYS[1], core)
    dial = dialled(core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1)), B)
    puppet.link = dial.link
    (hello,) = [
        each for each in messages(core.handle(LinkOpened(dial.link, B), at(1))) if isinstance(each, Hello)
    ]
    data = puppet.seal(puppet.welcome(hello, at(1)))
    puppet.deliver(at(1), data)
    assert puppet.deliver(at(1.05), data) == []
    puppet.tell(at(1.2), puppet.beat(at(1.2)))
    assert puppet.deliver(at(1.3), data) == []


def test_a_replayed_confirm_does_nothing() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    puppet = Puppet(KEYS[0], core)
    hello = puppet.hello(at(1))
    welcome = welcome_in(messages(puppet.knock(at(1), hello)))
    data = puppet.seal(puppet.confirmation(hello, welcome, at(1)))
    puppet.deliver(at(1), data, door=True)
    assert puppet.deliver(at(1.05), data, door=True) == []


def test_a_welcome_to_an_earlier_hello_does_not_end_the_greeting_under_way() -> None:
    """A slow host's late answer, or a replay: only the answer to this hello decides."""
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    puppet = Puppet(KEYS[1], core)
    dial = dialled(core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1)), B)
    puppet.link = dial.link
    (hello,) = [
        each for each in messages(core.handle(LinkOpened(dial.link, B), at(1))) if isinstance(each, Hello)
    ]
    earlier = msgspec.structs.replace(hello, nonce=b"an earlier nonce")
    late = puppet.tell(at(1.1), puppet.welcome(earlier, at(1.1)))
    assert counted(late) == [("greeting-replayed", B)]
    assert only(late, Hangup) == []
    puppet.tell(at(1.2), puppet.welcome(hello, at(1.2)))
    assert core.state.links.peers() == [B]


def test_a_peer_that_restarts_is_linked_again_at_once_and_its_old_frames_are_refused() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    old = linked(KEYS[0], core, boot=500)
    stale = old.seal(Probe(1))
    new = Puppet(KEYS[0], core, boot=501, incarnation=2)
    new.greet(at(2))
    assert core.state.links.peers() == [A]
    assert counted(new.deliver(at(2.1), stale)) == [("frame-stale-boot", A)]


def test_a_peer_that_does_not_know_of_our_link_any_more_has_us_greet_again() -> None:
    plant = Plant(SITE, 2).form()
    plant.processes[1].core.state.links.unhost(A)
    plant.processes[1].core.state.unhear(A)
    plant.run_until(plant.is_full, within_s=2)
    assert plant.counters(0)["refused-no-session"] == 1


def test_a_dial_that_opens_after_it_was_given_up_is_hung_up() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    assert core.handle(LinkOpened(77, B), at(1)) == [Hangup(77)]


def test_a_dial_that_reaches_somebody_else_greets_whoever_is_there() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    dial = dialled(core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1)), B)
    puppet = Puppet(KEYS[2], core)
    puppet.answer(dial, at(1.1))
    assert core.state.links.peers() == [C]


def test_a_node_that_dials_itself_hangs_up() -> None:
    plant = Plant(SITE, 1)
    plant.tell(plant.processes[0], EndpointFound(endpoint_of(0), None, Source.SEED))
    plant.run(5)
    assert len(plant.news(0, Dial)) == 1
    assert plant.processes[0].sessions == {}
    assert plant.counters(0)["identity-cloned"] == 0


def test_a_seed_without_a_name_is_dialled_and_becomes_a_link() -> None:
    plant = Plant(SITE, 0)
    for keys in KEYS[:2]:
        plant.boot(keys, is_found=False)
    plant.tell(plant.processes[0], EndpointFound(endpoint_of(1), None, Source.SEED))
    plant.run_until(plant.is_full, within_s=1)


@pytest.mark.parametrize("reason", ["wrong-root", "certificate-expired", "not-a-node"])
def test_a_dial_that_meets_the_wrong_certificate_is_counted(reason: str) -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    dial = dialled(core.handle(EndpointFound(endpoint_of(1), B, Source.MDNS), at(1)), B)
    assert counted(core.handle(DialFailed(dial.link, reason), at(1.1))) == [(f"dial-{reason}", B)]


def test_two_that_do_not_know_each_other_yet_are_introduced_by_their_certificates() -> None:
    """Each has only its own entry: the greeting brings the other's."""
    ours = core_of(KEYS[0])
    ours.start(at(0))
    puppet = Puppet(KEYS[1], ours)
    effects = puppet.greet(at(1))
    assert SetAccess((B,), ()) not in effects  # it was written with the hello, before the welcome
    assert list(ours.state.roster.members()) == [A, B]


# ---------------------------------------------------------------- silence


def test_silence_past_the_timeout_gives_suspect_once_and_then_unreachable_once() -> None:
    plant = Plant(SITE, 3).form()
    crashed = plant.now
    plant.crash(2)
    plant.run(30)
    assert [state for state, _ in changes_of(plant, 0, 2, crashed)] == ["suspect", "unreachable"]
    assert [state for state, _ in changes_of(plant, 1, 2, crashed)] == ["suspect", "unreachable"]


def test_a_crash_is_known_to_all_within_three_seconds() -> None:
    plant = Plant(SITE).form()
    plant.crash(2)
    plant.run_until(lambda: states(plant, of=2) == ["unreachable"] * 4, within_s=3)


def test_the_dead_are_dialled_for_ever() -> None:
    plant = Plant(SITE, 3).form()
    plant.crash(2)
    plant.run(3600)
    last = [when for when, each in plant.processes[0].effects if isinstance(each, Dial)][-1]
    assert plant.now - last <= 2
    plant.boot(KEYS[2], incarnation=2, place=2, is_found=False)
    plant.run_until(plant.is_full, within_s=2)


def test_two_observers_disagree_and_the_peer_is_alive_through_the_other() -> None:
    plant = Plant(SITE, 3).form()
    cut = plant.now
    plant.is_cut = lambda here, there: {here, there} == {0, 2}
    plant.run(20)
    states_seen = [state for state, _ in changes_of(plant, 0, 2, cut)]
    assert "unreachable" not in states_seen
    assert plant.state_of(0, 2) == plant.state_of(2, 0) == "alive"
    views = {each.node: each for each in plant.processes[0].core.peers(at(plant.now))}
    assert (views[C].path, views[C].linked) == ("via b", False)
    assert (views[B].path, views[B].linked) == ("direct", True)


def test_a_one_way_cut_is_a_cut_and_heals() -> None:
    plant = Plant(SITE, 3).form()
    plant.is_cut = lambda here, there: (here, there) == (0, 2)
    plant.run(20)
    assert plant.state_of(0, 2) == plant.state_of(2, 0) == "alive"
    plant.is_cut = lambda _, __: False
    plant.run_until(plant.is_full, within_s=3)


def test_a_dead_broker_is_told_apart_from_a_dead_node() -> None:
    plant = Plant(SITE, 3).form()
    killed = plant.now
    plant.kill_broker(0)
    plant.run(10)
    assert states(plant, of=0) == ["broker-down", "broker-down"]
    seen = [state for state, _ in changes_of(plant, 1, 0, killed)]
    assert "unreachable" not in seen
    assert seen[-1] == "broker-down"
    assert plant.is_full()


def test_a_broker_that_comes_back_is_alive_again() -> None:
    plant = Plant(SITE, 3).form()
    plant.kill_broker(0)
    plant.run(5)
    plant.processes[0].broker = True
    plant.tell(plant.processes[0], BrokerUp((endpoint_of(0),)))
    plant.run(2)
    assert states(plant, of=0) == ["alive", "alive"]


def test_a_node_without_a_broker_is_a_leaf_that_dials() -> None:
    plant = Plant(SITE, 3)
    plant.processes[0].broker = False
    plant.tell(plant.processes[0], BrokerDown("none"))
    plant.run_until(plant.is_full, within_s=5)
    assert states(plant, of=0) == ["broker-down", "broker-down"]


def test_our_own_stall_convicts_nobody() -> None:
    plant = Plant(SITE, 4).form()
    stalled = plant.now
    plant.processes[0].asleep_until = plant.now + 8
    plant.run(20)
    assert plant.news(0, PeerChanged, stalled + 8) == []
    assert plant.is_full()


@pytest.mark.parametrize("stall_s", [0.5, 1.0, 1.6, 1.9, 2.5, 60.0])
def test_whatever_comes_first_after_a_stall_nobody_is_even_suspected(stall_s: float) -> None:
    """A frame with news may be handled before the wake that was due."""
    core = core_of(KEYS[2], SITE.saved())
    core.start(at(0))
    one, two = linked(KEYS[0], core), linked(KEYS[1], core)
    for step in range(1, 11):
        core.handle(Woke(), at(step / 10))
        one.tell(at(step / 10), one.beat(at(step / 10)))
        two.tell(at(step / 10), two.beat(at(step / 10)))
    after = 1.0 + stall_s
    effects = one.tell(at(after), one.beat(at(after), heard=(C, B, D)))
    effects += core.handle(Woke(), at(after))
    assert [each for each in only(effects, PeerChanged) if each.state != "alive"] == []


def test_a_reset_link_is_dialled_again_at_once_and_nobody_is_suspected() -> None:
    plant = Plant(SITE, 2).form()
    plant.run(5)
    reset = plant.now
    (link,) = plant.processes[0].sessions
    plant.processes[0].sessions.clear()
    plant.tell(plant.processes[0], LinkClosed(link, "reset"))
    plant.run(1)
    assert plant.is_full()
    assert plant.news(0, PeerChanged, reset) == plant.news(1, PeerChanged, reset) == []
    assert plant.counters(0)["link-lost"] == 1


# ---------------------------------------------------------------- isolation


def test_a_node_that_hears_nobody_knows_within_three_seconds_and_says_so_once() -> None:
    plant = Plant(SITE, 4).form()
    cut = plant.now
    plant.is_cut = lambda here, there: 0 in (here, there)
    plant.run(60)
    told = [when - cut for when, each in plant.processes[0].effects if isinstance(each, Isolated)]
    assert len(told) == 1
    assert told[0] <= 3
    assert plant.processes[0].core.view(at(plant.now)).isolated
    healed = plant.now
    plant.is_cut = lambda _, __: False
    plant.run(5)
    again = [when - healed for when, each in plant.processes[0].effects if isinstance(each, Reunited)]
    assert len(again) == 1
    assert again[0] <= 2


def test_a_node_that_starts_alone_knows_within_three_seconds() -> None:
    plant = Plant(SITE, 1)
    plant.run(10)
    told = [when for when, each in plant.processes[0].effects if isinstance(each, Isolated)]
    assert len(told) == 1
    assert 2 <= told[0] <= 3


def test_the_only_member_of_a_site_is_not_isolated() -> None:
    core = core_of(KEYS[0])
    core.start(at(0))
    for step in range(200):
        assert only(core.handle(Woke(), at(step / 10)), Isolated) == []


def test_who_is_isolated_still_casts_and_persists() -> None:
    plant = Plant(SITE, 1)
    plant.run(10)
    effects = plant.tell(plant.processes[0], CastRequested("t", b"x"))
    assert only(effects, Counted) == []


# ---------------------------------------------------------------- halves


def test_two_halves_heal_within_two_seconds() -> None:
    plant = Plant(SITE, 5).form()
    plant.is_cut = lambda here, there: (here < 2) != (there < 2)
    plant.run(60)
    assert plant.state_of(0, 1) == "alive"
    assert plant.state_of(0, 4) == "unreachable"
    plant.is_cut = lambda _, __: False
    plant.run_until(plant.is_full, within_s=2)


# ---------------------------------------------------------------- stopping and leaving


def test_a_node_that_stops_says_goodbye_over_every_link_and_hangs_up() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    linked(KEYS[0], core)
    dial = dialled(core.handle(EndpointFound(endpoint_of(2), C, Source.MDNS), at(1)), C)
    Puppet(KEYS[2], core).answer(dial, at(1))
    effects = core.handle(StopRequested(), at(2))
    (goodbye,) = [
        each for each in only(effects, SendAll) if decode(each.data)[0].messages == (Bye("stopping"),)
    ]
    assert goodbye.links == tuple(sorted([(A, 0), (C, dial.link)]))
    assert effects.index(goodbye) < effects.index(Hangup(dial.link))
    assert only(core.handle(Woke(), at(3)), Send) == []


def test_a_stopped_node_is_unreachable_at_once_because_it_was_stopped() -> None:
    plant = Plant(SITE, 3).form()
    stopped = plant.now
    plant.tell(plant.processes[2], StopRequested())
    plant.run(0.1)
    plant.crash(2)
    plant.run(10)
    for observer in (0, 1):
        assert [state for state, _ in changes_of(plant, observer, 2, stopped)][-1] == "unreachable"
        standing = plant.processes[observer].core.state.membership.standing(C)
        assert standing is not None
        assert standing.why == "it was stopped"


def test_a_node_that_leaves_has_left_for_everybody_and_is_not_dialled() -> None:
    plant = Plant(SITE, 4).form()
    effects = plant.tell(plant.processes[3], LeaveRequested())
    assert [type(each) for each in effects[:1]] == [Persist]
    assert MembershipEnded("this node has left the site") in effects
    plant.run(1)
    plant.crash(3)
    left = plant.now
    plant.run(20)
    assert states(plant, of=3) == ["left"] * 3
    assert [each for each in plant.news(0, Dial, left) if each.expected == D] == []


def test_who_has_left_comes_back_with_a_higher_incarnation() -> None:
    plant = Plant(SITE, 3).form()
    plant.tell(plant.processes[2], LeaveRequested())
    plant.run(1)
    plant.crash(2)
    plant.run(5)
    plant.boot(KEYS[2], incarnation=2, place=2)
    plant.run_until(plant.is_full, within_s=3)
    assert states(plant, of=2) == ["alive", "alive"]


def test_two_that_have_both_left_and_come_back_find_each_other_again() -> None:
    """Each has seen the other leave, and neither knows that the other is back."""
    plant = Plant(SITE, 3).form()
    for place in (1, 2):
        plant.tell(plant.processes[place], LeaveRequested())
    plant.run(1)
    for place in (0, 1, 2):
        plant.crash(place)
    for place, keys in ((1, KEYS[1]), (2, KEYS[2])):
        plant.processes[place].store["roster"] = dict(plant.processes[0].store["roster"])
        plant.boot(keys, incarnation=2, place=place)
    plant.run_until(plant.is_full, within_s=5)


# ---------------------------------------------------------------- casts and the doctor


def test_a_cast_goes_to_every_link_at_once_and_is_delivered_once() -> None:
    plant = Plant(SITE, 4).form()
    effects = plant.tell(plant.processes[0], CastRequested("topic", b"payload", Traffic.ALARM))
    (send,) = only(effects, SendAll)
    assert [peer for peer, _ in send.links] == [B, C, D]
    assert send.traffic is Traffic.ALARM
    plant.run(5)
    for place in (1, 2, 3):
        assert plant.news(place, CastDelivered) == [CastDelivered(A, 1, 1, "topic", b"payload")]


def test_a_cast_that_was_lost_is_repaired() -> None:
    plant = Plant(SITE, 4).form()
    plant.is_lost = lambda _: True
    plant.tell(plant.processes[0], CastRequested("topic", b"payload"))
    plant.run(0.1)
    plant.is_lost = lambda _: False
    plant.run_until(lambda: all(plant.news(place, CastDelivered) for place in (1, 2, 3)), within_s=20)


def test_a_cast_that_is_too_large_is_refused_by_name() -> None:
    core = core_of(KEYS[0], SITE.saved())
    core.start(at(0))
    assert counted(core.handle(CastRequested("t", bytes(100_001)), at(1))) == [("cast-oversized", "")]


def test_the_doctor_hears_from_every_linked_peer() -> None:
    plant = Plant(SITE, 3).form()
    plant.tell(plant.processes[0], ExamRequested(7))
    plant.run(0.1)
    reports = plant.news(0, PeerReported)
    assert sorted(each.report.node for each in reports) == [B, C]
    assert {each.report.token for each in reports} == {7}
    about_c = [
        path for each in reports if each.report.node == B for path in each.report.paths if path.node == C
    ]
    assert [(path.state, path.heard, path.seen_by_mdns) for path in about_c] == [("alive", True, True)]


def test_an_inquiry_is_answered_over_the_link_it_came_by() -> None:
    core = core_of(KEYS[1], SITE.saved())
    core.start(at(0))
    puppet = linked(KEYS[0], core)
    effects = puppet.tell(at(1), Inquiry(3))
    assert over(effects, A) == [(0, False)]
    (report,) = [each for each in messages(effects) if isinstance(each, Report)]
    assert (report.token, report.node, report.broker_up) == (3, B, False)


# ---------------------------------------------------------------- views


def test_a_peers_view_says_how_it_is_linked_how_far_and_until_when() -> None:
    plant = Plant(SITE, 2).form()
    plant.run(5)
    (view,) = [each for each in plant.processes[0].core.peers(at(plant.now)) if each.node == B]
    assert (view.name, view.state, view.link, view.path, view.is_steward) == (
        "b",
        "alive",
        "dialled",
        "direct",
        False,
    )
    assert view.rtt_s == pytest.approx(0.002)
    assert view.clock_offset_ms == pytest.approx(0, abs=2)
    assert view.incarnation == 1
    node = plant.processes[0].core.view(at(plant.now))
    assert (node.name, node.members, node.here, node.linked) == ("a", 5, 2, 1)
    assert (node.is_steward, node.isolated, node.halted, node.clock_doubt) == (True, False, "", "")
    assert node.endpoints == ("host-0:8883",)


def test_a_peers_clock_offset_is_measured() -> None:
    plant = Plant(SITE, 1)
    plant.boot(KEYS[1], clock_ms=4_000)
    plant.form()
    plant.run(5)
    (view,) = [each for each in plant.processes[0].core.peers(at(plant.now)) if each.node == B]
    assert view.clock_offset_ms == pytest.approx(4_000, abs=2)


# ---------------------------------------------------------------- a large site


def overlay() -> Plant:
    """Fourteen nodes where six would be a full mesh, settled."""
    plant = Plant(make_site(14), config=CoreConfig(full_mesh_max=6, overlay_degree=4))
    plant.run_until(lambda: all(sees_all(each) for each in plant.processes), within_s=10)
    plant.run(20)
    return plant


def sees_all(process: Process) -> bool:
    return len(process.core.state.membership.here()) == 13


def test_beyond_the_full_mesh_each_has_a_few_links_and_sees_everybody() -> None:
    plant = overlay()
    assert max(len(each.core.state.links.peers()) for each in plant.processes) <= 8
    assert all(sees_all(each) for each in plant.processes)


def test_beyond_the_full_mesh_a_cast_reaches_everybody_once() -> None:
    plant = overlay()
    plant.tell(plant.processes[0], CastRequested("topic", b"payload"))
    plant.run(5)
    assert [len(plant.news(place, CastDelivered)) for place in range(1, 14)] == [1] * 13


def test_beyond_the_full_mesh_gossip_about_addresses_dies_down() -> None:
    """Forty made-up addresses of one node: more than any book holds of it."""
    plant = overlay()
    liar = plant.processes[0]
    victim = plant.processes[7].node
    for peer in liar.core.state.links.peers():
        for some in range(0, 40, 10):
            made_up = tuple(Endpoint(f"host-{place}", 1) for place in range(some, some + 10))
            liar.core.state.send(peer, Addresses(((victim, made_up),)))
    liar.core.state.paths_changed = True
    plant.run(30)
    quiet = plant.now
    plant.run(5)
    later = [each for process in plant.processes for each in plant.news(process.place, Send, quiet)]
    assert [each for each in messages(later) if isinstance(each, Addresses)] == []


def test_rows_say_whom_each_node_hears() -> None:
    plant = Plant(SITE, 3).form()
    row = plant.processes[0].core.state.rows.get(B)
    assert isinstance(row, Row)
    assert plant.processes[0].core.state.rows.hears(B, C)
    assert len({each.core.state.rows.digest for each in plant.processes}) == 1
    assert born().incarnation == 1


def test_where_a_peer_says_that_it_is_itself_is_kept_and_what_others_said_is_forgotten() -> None:
    core = core_of(SITE.keys[0], SITE.saved())
    core.start(at(0))
    one, other = linked(SITE.keys[1], core), linked(SITE.keys[2], core, boot=501)
    other.tell(at(1), Addresses(((B, (endpoint_of(7),)),)))
    assert core.state.book.endpoints(B) == (endpoint_of(7),)
    moved = one.tell(at(2), Addresses(((B, (endpoint_of(8),)),)))
    assert [write.key for each in only(moved, Persist) for write in each.writes] == [B]
    assert core.state.book.proven(B) == core.state.book.endpoints(B) == (endpoint_of(8),)
    assert only(one.tell(at(3), Addresses(((B, (endpoint_of(8),)),))), Persist) == []


def test_a_badly_signed_cast_of_a_linked_peer_is_delivered_but_told_to_nobody() -> None:
    core = core_of(SITE.keys[0], SITE.saved())
    core.start(at(0))
    one, other = linked(SITE.keys[1], core), linked(SITE.keys[2], core, boot=501)
    effects = one.tell(at(0.1), Cast(B, 1, 1, "topic", b"payload", signature=bytes(64)))
    assert [each.origin for each in only(effects, CastDelivered)] == [B]
    given = other.tell(at(0.2), CastsWanted(((B, 1, 1, 1),)))
    assert [each for each in messages(given) if isinstance(each, Cast)] == []
    assert counted(given) == [("cast-forged", B)]


def test_a_roster_that_is_being_repaired_is_asked_for_again_with_the_next_beat() -> None:
    core = core_of(
        SITE.keys[0], {"roster": {f"m:{each.identity.node}": entry_of(each) for each in SITE.keys[:2]}}
    )
    core.start(at(0))
    peer = linked(SITE.keys[1], core)
    other_digest = msgspec.structs.replace(peer.beat(at(0)), roster_digest=b"x" * 8)

    def asked(now: float) -> int:
        told = peer.tell(at(now), other_digest)
        return len([each for each in sent_to(B, told) if isinstance(each, RosterWanted)])

    assert [asked(now) for now in (0.1, 0.7, 0.8)] == [1, 1, 0]
    peer.tell(at(0.9), RosterEntries((entry_of(SITE.keys[2]),)))
    assert asked(1.0) == 1
