"""Two live processes with one identity: both say so, the later one stops, and nobody can accuse a node falsely."""

import msgspec
import pytest

from mesh.events import (
    HOSTED,
    CastDelivered,
    CastRequested,
    Counted,
    Dial,
    Effect,
    EndpointFound,
    FrameReceived,
    IdentityCloned,
    LinkOpened,
    RemovalRequested,
    Send,
    SendAll,
    Source,
)
from mesh.framing import Lanes
from mesh.wire import Confirm, Hello, Refuse, Row, Rows
from node.core import NodeCore
from tests.mesh.cores import at, born, core_of, counted, endpoint_of, messages, none_of, only
from tests.mesh.plant import Plant
from tests.mesh.puppet import Puppet, linked
from tests.mesh.site import WALL_MS, make_site

SITE = make_site(4)
KEYS = SITE.keys
A, B, C, D = SITE.nodes
HALTED = "another process with this node's identity is running and started earlier"


def clone(plant: Plant, of: int, incarnation: int) -> int:
    """Start a second process with the keys of the first, as after copying its folder; its place."""
    place = len(plant.processes)
    plant.boot(KEYS[of], incarnation)
    return place


def announce(plant: Plant, one: int, two: int) -> None:
    """Each finds its own identity announced at the other's address, as mDNS would show it."""
    for here, there in ((one, two), (two, one)):
        plant.tell(
            plant.processes[here], EndpointFound(endpoint_of(there), KEYS[one].identity.node, Source.MDNS)
        )


def halted(plant: Plant) -> list[bool]:
    return [bool(each.core.state.halted) for each in plant.processes]


# ---------------------------------------------------------------- noticed


@pytest.mark.parametrize("incarnation", [1, 2, 5])
def test_two_that_see_each_others_announcement_both_report_and_the_later_halts(incarnation: int) -> None:
    plant = Plant(SITE, 3).form()
    copy = clone(plant, of=2, incarnation=incarnation)
    plant.run(1)
    announce(plant, 2, copy)
    plant.run(10)
    assert halted(plant) == [False, False, False, True]
    assert IdentityCloned(C, ours=True, halted=False) in plant.news(2, IdentityCloned)
    assert IdentityCloned(C, ours=True, halted=True) in plant.news(copy, IdentityCloned)
    assert plant.processes[copy].core.state.halted == HALTED


@pytest.mark.parametrize("incarnation", [1, 2, 5])
def test_without_mdns_the_peers_notice_and_tell_both(incarnation: int) -> None:
    plant = Plant(SITE, 3).form()
    copy = clone(plant, of=2, incarnation=incarnation)
    plant.run(120)
    assert halted(plant) == [False, False, False, True]
    assert IdentityCloned(C, ours=True, halted=False) in plant.news(2, IdentityCloned)
    assert IdentityCloned(C, ours=True, halted=True) in plant.news(copy, IdentityCloned)
    for observer in (0, 1):
        assert IdentityCloned(C, ours=False, halted=False) in plant.news(observer, IdentityCloned)


def test_the_one_that_started_first_goes_on_working() -> None:
    plant = Plant(SITE, 3).form()
    copy = clone(plant, of=2, incarnation=2)
    plant.run(1)
    announce(plant, 2, copy)
    plant.run(30)
    assert plant.state_of(0, 2) == plant.state_of(1, 2) == "alive"
    sent = plant.now
    plant.tell(plant.processes[2], CastRequested("t", b"still here"))
    plant.run(5)
    for observer in (0, 1):
        delivered = plant.news(observer, CastDelivered, sent)
        assert [each.payload for each in delivered] == [b"still here"]


def test_the_one_that_halted_says_nothing_more_and_refuses_casts_and_removals() -> None:
    plant = Plant(SITE, 3).form()
    copy = clone(plant, of=0, incarnation=2)  # of the steward
    plant.run(1)
    announce(plant, 0, copy)
    plant.run(10)
    quiet = plant.now
    process = plant.processes[copy]
    assert counted(plant.tell(process, CastRequested("t", b"x"))) == [("cast-halted", "")]
    assert counted(plant.tell(process, RemovalRequested(B, "no"))) == [("removal-not-allowed", "")]
    plant.run(30)
    assert plant.news(copy, SendAll, quiet) == []
    assert plant.news(copy, Dial, quiet) == []
    assert [
        each for each in plant.news(copy, Send, quiet) if not isinstance(messages([each])[0], Refuse)
    ] == []
    assert process.core.state.links.peers() == []


def test_a_halted_node_opens_its_door_to_nobody() -> None:
    core = halted_core()
    puppet = Puppet(KEYS[3], core)
    effects = puppet.knock(at(2), puppet.hello(at(2)))
    assert [type(each) for each in messages(effects)] == [Refuse]
    assert core.state.links.peers() == []


def halted_core() -> NodeCore:
    core = core_of(KEYS[2], SITE.saved(), born(2, 20, WALL_MS + 5))
    core.start(at(1))
    greet_by_clone(core, boot=10, started_ms=WALL_MS)
    assert core.state.halted == HALTED
    return core


def greet_by_clone(core: NodeCore, boot: int, started_ms: int, incarnation: int = 1) -> list[Effect]:
    """A process with the core's own keys greets it at its door."""
    return Puppet(KEYS[2], core, boot=boot, incarnation=incarnation, started_ms=started_ms).greet(at(1))


def test_a_clone_that_completes_a_greeting_at_our_door_is_proven_and_gets_no_link() -> None:
    core = core_of(KEYS[2], SITE.saved(), born(1, 10, WALL_MS))
    core.start(at(1))
    effects = greet_by_clone(core, boot=20, started_ms=WALL_MS + 5)
    assert IdentityCloned(C, ours=True, halted=False) in effects
    assert core.state.halted == ""
    assert core.state.links.peers() == []


@pytest.mark.parametrize("card", ["our own", "another's"])
def test_a_hello_in_our_name_proves_nothing_by_itself(card: str) -> None:
    """Anybody has seen our card; only who holds our key can confirm."""
    core = core_of(KEYS[2], SITE.saved(), born(5, 10, WALL_MS))
    core.start(at(1))
    claimed = Puppet(KEYS[2] if card == "our own" else KEYS[3], core, boot=5, started_ms=WALL_MS - 9)
    data = claimed.seal(claimed.hello(at(1)))
    effects = core.handle(FrameReceived(HOSTED, C, True, data), at(1))
    effects += core.handle(FrameReceived(HOSTED, C, True, claimed.seal(Confirm(bytes(16), bytes(64)))), at(1))
    assert only(effects, IdentityCloned) == []
    assert core.state.halted == ""


def test_of_two_that_started_in_the_same_millisecond_exactly_one_halts() -> None:
    results = []
    for mine, other in ((10, 20), (20, 10)):
        core = core_of(KEYS[2], SITE.saved(), born(1, mine, WALL_MS))
        core.start(at(1))
        greet_by_clone(core, boot=other, started_ms=WALL_MS)
        results.append(bool(core.state.halted))
    assert results == [False, True]


# ---------------------------------------------------------------- what is no clone


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_node_that_restarts_is_never_taken_for_a_clone(times: int) -> None:
    plant = Plant(SITE, 3).form()
    for restart in range(times):
        plant.crash(2)
        plant.run(0.3 + 3 * (restart % 2))
        plant.boot(KEYS[2], incarnation=2 + restart, place=2)
        plant.run(10)
    assert plant.is_full()
    for process in plant.processes:
        assert plant.news(process.place, IdentityCloned) == []
        assert plant.counters(process.place)["identity-cloned"] == 0


def test_a_link_that_flaps_is_no_clone() -> None:
    plant = Plant(SITE, 3).form()
    for step in range(20):
        plant.is_cut = (lambda here, there: 2 in (here, there)) if step % 2 else (lambda _, __: False)
        plant.run(2.5)
    for process in plant.processes:
        assert plant.news(process.place, IdentityCloned) == []


def own_row(core: NodeCore, signer: int = 2, **changes: object) -> Row:
    """A row in the core's own name, as another process of it would sign it."""
    unsigned = msgspec.structs.replace(Row(C, 1, 9, 99, WALL_MS - 60_000, True, b""), **changes)
    return msgspec.structs.replace(unsigned, signature=KEYS[signer].identity.sign(unsigned.content()))


@pytest.mark.parametrize("how", ["evidence", "rows"])
@pytest.mark.parametrize(
    "accusation",
    [
        {"incarnation": 9, "started_ms": WALL_MS - 5, "signer": 3},  # not signed by us
        {"incarnation": 4, "started_ms": WALL_MS - 5},  # what our last run signed
        {"incarnation": 1, "started_ms": 0},  # what our first run signed
        {"incarnation": 5, "boot": 1000, "version": 99},  # what this very run signed
    ],
    ids=["another's signature", "the last run", "the first run", "this run"],
)
def test_a_false_accusation_does_nothing(how: str, accusation: dict[str, int]) -> None:
    core = core_of(KEYS[2], SITE.saved(), born(5, 1000, WALL_MS))
    core.start(at(0))
    puppet = linked(KEYS[3], core)
    row = own_row(core, **accusation)
    effects = puppet.tell(at(1), Refuse("identity-cloned", "", (row,)) if how == "evidence" else Rows((row,)))
    assert only(effects, IdentityCloned) == []
    assert core.state.halted == ""
    assert core.state.links.peers() == [D]


def test_the_row_of_a_copy_that_no_longer_runs_halts_nobody() -> None:
    """The copy was stopped; its rows, of the same incarnation as our next start, still go round."""
    plant = Plant(SITE, 3).form()
    copy = clone(plant, of=2, incarnation=2)
    plant.run(3)
    plant.crash(copy)
    plant.crash(2)
    plant.run(5)
    restarted = plant.now
    plant.boot(KEYS[2], incarnation=2, place=2)
    plant.run(30)
    assert plant.processes[2].core.state.halted == ""
    assert [each for each in plant.news(2, IdentityCloned, restarted) if each.halted] == []
    assert plant.state_of(0, 2) == "alive"


def test_a_clone_is_reported_and_not_shouted() -> None:
    """The news is for people: once for each other process, not with every message."""
    core = core_of(KEYS[2], SITE.saved(), born(1, 1000, WALL_MS))
    core.start(at(0))
    puppet = linked(KEYS[3], core)
    row = own_row(core, incarnation=2, started_ms=WALL_MS + 1)
    told = []
    for step in range(50):
        told += only(puppet.tell(at(1 + step / 10), Rows((row,))), IdentityCloned)
    assert len(told) <= 2


def test_our_own_hello_that_comes_back_is_no_clone() -> None:
    core = core_of(KEYS[2], SITE.saved())
    core.start(at(0))
    (dial,) = only(core.handle(EndpointFound(endpoint_of(9), None, Source.SEED), at(0)), Dial)
    opened = core.handle(LinkOpened(dial.link, C), at(0.1))
    (hello,) = [each for each in messages(opened) if isinstance(each, Hello)]
    effects = core.handle(FrameReceived(HOSTED, C, True, Lanes(1000).seal(C, (hello,))), at(0.2))
    assert none_of(effects, IdentityCloned, Counted)
    assert core.state.links.all_dialled() == []


def test_announcements_of_our_own_name_cost_one_dial_a_second_at_most() -> None:
    core = core_of(KEYS[2], SITE.saved())
    core.start(at(0))
    dials = 0
    for step in range(5000):
        found = EndpointFound(endpoint_of(step), C, Source.MDNS)
        dials += len(only(core.handle(found, at(step / 1000)), Dial))
    assert 1 <= dials <= 5
