"""The shared state of whole cores: what is written, lost, hidden, held back, and who is not listened to any more."""

import msgspec
import pytest

from crdt_state.record import Dot, Record, Register, make_record
from crdt_state.world import World
from mesh.events import RecordsChanged, WorldTrouble, WriteDone, WriteRefused, WriteRequested
from mesh.hybrid import time_of
from mesh.wire import Entry, Push, Records, Summaries, Wanted
from node.core import NodeCore
from tests.crdt_state.documents import Writing, full
from tests.crdt_state.yjs import deep_values, item, state_vector, update_of
from tests.mesh.cores import at, core_of, counted, only, sent_to
from tests.mesh.plant import Plant, Process
from tests.mesh.puppet import Puppet, linked
from tests.mesh.site import WALL_MS, make_site

SITE = make_site(5)
A, B, C, D, E = SITE.nodes


def write(
    item_name: str, body: dict[str, object] | None, kind: str = "asset", token: int = 1
) -> WriteRequested:
    return WriteRequested(
        token, ((kind, item_name, "", None if body is None else msgspec.msgpack.encode(body)),)
    )


def tell(process: Process, plant: Plant, item_name: str, number: int, kind: str = "asset") -> None:
    plant.tell(process, write(item_name, {"n": number}, kind))


def value(world: World, item_name: str, kind: str = "asset") -> object:
    found = world.state.view.item(kind, item_name)
    body = found.value() if found else None
    return None if body is None else body.get("n")


def values(plant: Plant, item_name: str) -> list[object]:
    return [value(each.core.world, item_name) for each in plant.processes if each.alive]


def pushed(puppet: Puppet, *updates: bytes, pen: int = 77, start: int = 0, name: str = "asset") -> Push:
    unsigned = Push(name, b"", pen, start, start + len(updates), updates)
    return msgspec.structs.replace(unsigned, signature=puppet.keys.identity.sign(unsigned.content()))


def loose(puppet: Puppet, *records: Record | bytes, name: str = "asset") -> Records:
    blobs = tuple(each if isinstance(each, bytes) else each.blob for each in records)
    unsigned = Records(name, b"", blobs)
    return msgspec.structs.replace(unsigned, signature=puppet.keys.identity.sign(unsigned.content()))


def one_core() -> tuple[NodeCore, Puppet]:
    """A core, linked with a puppet of the second member's."""
    core = core_of(SITE.keys[0], SITE.saved())
    core.start(at(0.0))
    return core, linked(SITE.keys[1], core, 0.1)


def signed(
    place: int, name: str, number: int, seq: int = 1, ms: int = WALL_MS, kind: str = "asset"
) -> Record:
    identity = SITE.keys[place].identity
    return make_record(identity, Register(kind, name), 1, seq, time_of(ms), (), {"n": number})


# -- writing


def test_a_write_is_pushed_at_once_and_durable_before_it_is_acknowledged() -> None:
    core, _ = one_core()
    effects = core.handle(write("pump", {"n": 1}), at(1.0))
    kinds = [type(each).__name__ for each in effects]
    assert (
        kinds.index("SendAll")
        < kinds.index("Persist")
        < kinds.index("WriteDone")
        < kinds.index("RecordsChanged")
    )
    assert only(effects, WriteDone) == [WriteDone(1, (f"{A}.1.1",))]
    assert only(effects, RecordsChanged) == [RecordsChanged("asset", (("asset", "pump", ""),))]


def test_a_write_that_says_nothing_new_is_acknowledged_and_goes_nowhere() -> None:
    core, puppet = one_core()
    core.handle(write("pump", {"n": 1}), at(1.0))
    effects = core.handle(write("pump", {"n": 1}, token=2), at(2.0))
    assert only(effects, WriteDone) == [WriteDone(2, (f"{A}.1.1",))]
    assert not [each for each in sent_to(puppet.node, effects) if isinstance(each, Push)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (WriteRequested(1, (("nonsense", "a", "", None),)), "record-misplaced"),
        (WriteRequested(1, (("asset", "a", "", b"\xc1"),)), "record-malformed"),
        (WriteRequested(1, (("policy", "a", "", b"\x80"),)), ""),
        (WriteRequested(1, (("capability", B, "", b"\x80"),)), "record-not-allowed"),
        (
            WriteRequested(1, (("asset", "a", "", msgspec.msgpack.encode({"x": "y" * 66_000})),)),
            "record-oversized",
        ),
    ],
)
def test_a_write_that_every_node_would_refuse_is_refused_here(request_: WriteRequested, reason: str) -> None:
    core, _ = one_core()
    refused = only(core.handle(request_, at(1.0)), WriteRefused)
    assert [each.reason for each in refused] == ([reason] if reason else [])


def test_all_changes_of_a_request_are_written_or_none() -> None:
    core, _ = one_core()
    request = WriteRequested(1, (("asset", "a", "", b"\x80"), ("capability", B, "", b"\x80")))
    assert len(only(core.handle(request, at(1.0)), WriteRefused)) == 1
    assert core.world.state.view.item("asset", "a") is None


def test_what_was_written_is_there_after_a_restart_and_its_number_is_not_used_again() -> None:
    plant = Plant(SITE, 1)
    tell(plant.processes[0], plant, "pump", 7)
    plant.crash(0)
    again = plant.boot(SITE.keys[0], incarnation=2, place=0)
    assert value(again.core.world, "pump") == 7
    tell(again, plant, "valve", 8)
    versions = again.core.world.state.view.versions(Register("asset", "valve"))
    assert versions.by_author[A].dot == Dot(A, 2, 1)


# -- reaching everybody


def test_a_write_is_everywhere_within_a_tenth_of_a_second() -> None:
    plant = Plant(SITE).form()
    tell(plant.processes[0], plant, "pump", 1)
    assert plant.run_until(lambda: values(plant, "pump") == [1] * 5, within_s=0.1) < 0.1


def test_both_sides_of_a_cut_go_on_writing_and_are_equal_half_a_second_after_they_are_linked_again() -> None:
    plant = Plant(SITE).form()
    plant.is_cut = lambda here, there: (here < 2) != (there < 2)
    plant.run(8)
    for process in plant.processes:
        tell(process, plant, f"side {process.place}", process.place)
        tell(process, plant, "same", process.place)
    plant.run(2)
    plant.is_cut = lambda _, __: False
    plant.run_until(plant.is_full, within_s=20)
    plant.run_until(
        lambda: len({tuple(map(str, _digests(each))) for each in plant.processes}) == 1, within_s=0.5
    )
    assert len(set(values(plant, "same"))) == 1
    assert [values(plant, f"side {place}") for place in range(5)] == [[place] * 5 for place in range(5)]


def _digests(process: Process) -> list[bytes]:
    library = process.core.world.state.library
    return [document.digest for document in library.documents() if document.name == "asset"]


def test_a_lost_push_is_made_good_within_a_few_tellings() -> None:
    plant = Plant(SITE, 3).form()
    plant.is_lost = lambda _: True
    tell(plant.processes[0], plant, "pump", 1)
    plant.run(0.05)
    plant.is_lost = lambda _: False
    plant.run_until(lambda: values(plant, "pump") == [1] * 3, within_s=6.0)


def test_who_joins_later_gets_everything() -> None:
    plant = Plant(SITE, 2).form()
    for number in range(300):
        tell(plant.processes[0], plant, f"item {number}", number)
    plant.run(1)
    late = plant.boot(SITE.keys[2])
    plant.run_until(lambda: value(late.core.world, "item 299") == 299, within_s=3.0)
    assert len(late.core.world.state.view) >= 300


# -- what is held back


def test_a_record_of_the_far_future_waits_until_its_time_has_come() -> None:
    core, puppet = one_core()
    core.handle(write("other", {"n": 0}), at(0.5))
    early = signed(1, "pump", 1, ms=WALL_MS + 400_000)
    puppet.tell(at(1.0), loose(puppet, early))
    assert value(core.world, "pump") is None and core.world.state.waiting == {early.key: early}
    core.world.tick(at(102.0))
    assert value(core.world, "pump") == 1 and core.world.state.waiting == {}


def test_a_clock_that_is_a_year_ahead_wins_nothing_for_a_year() -> None:
    core, puppet = one_core()
    core.handle(write("pump", {"n": 1}), at(0.5))
    puppet.tell(at(1.0), loose(puppet, signed(1, "pump", 2, ms=WALL_MS + 365 * 86_400_000)))
    assert value(core.world, "pump") == 1
    core.handle(write("pump", {"n": 3}), at(2.0))
    assert value(core.world, "pump") == 3
    mine = core.world.state.view.versions(Register("asset", "pump")).by_author[A]
    assert mine.time == time_of(WALL_MS + 2000)


# -- hostile peers


def test_an_update_that_would_overflow_the_native_stack_is_refused_unread() -> None:
    core, puppet = one_core()
    deep = update_of({77: (0, [item("k" * 16, raw=deep_values(50_000))])})
    assert ("delta-foreign", B) in counted(puppet.tell(at(1.0), pushed(puppet, deep)))
    assert core.world.state.library.get("asset") is None


def test_what_a_peer_rubs_out_is_put_back_and_the_peer_counted() -> None:
    core, puppet = one_core()
    core.handle(write("pump", {"n": 1}), at(0.5))
    document = core.world.state.library.get("asset")
    assert document is not None
    pen, stop = document.pen, 1
    effects = puppet.tell(at(1.0), pushed(puppet, update_of({77: (0, [b"\0\1"])}, {pen: [(0, stop)]})))
    assert ("record-rubbed-out", B) in counted(effects)
    assert value(core.world, "pump") == 1 and document.astray
    for second in range(2, 12):
        core.world.tick(at(float(second)))
    assert not document.astray
    fresh = Writing(SITE).document()
    fresh.merge([full(document)], lambda _: None)
    assert [record.body for record in fresh.records.values()] == [{"n": 1}]


def test_whoever_draws_with_our_pen_makes_us_take_another() -> None:
    core, puppet = one_core()
    core.handle(write("pump", {"n": 1}), at(0.5))
    document = core.world.state.library.get("asset")
    assert document is not None
    pen, theirs = document.pen, signed(1, "valve", 2)
    effects = puppet.tell(
        at(1.0), pushed(puppet, update_of({pen: (1, [item(theirs.key, theirs.blob)])}), pen=pen, start=1)
    )
    assert ("delta-pen-taken", B) in counted(effects)
    assert document.pen != pen
    assert (value(core.world, "pump"), value(core.world, "valve")) == (1, 2)
    core.handle(write("pump", {"n": 3}), at(2.0))
    assert value(core.world, "pump") == 3


def test_a_peer_that_only_sends_rubbish_is_ignored_after_twenty_messages_and_heard_again_later() -> None:
    core, puppet = one_core()
    core.handle(write("own", {"n": 0}), at(0.5))
    said = [puppet.tell(at(1.0 + place / 100), loose(puppet, b"rubbish")) for place in range(20)]
    assert ("record-malformed", B) in counted(said[0]) and ("sender-ignored", B) not in counted(said[18])
    assert ("sender-ignored", B) in counted(said[19])
    assert core.world.ignored(at(2.0)) == [B]
    puppet.tell(at(2.0), loose(puppet, signed(1, "pump", 1)))
    assert value(core.world, "pump") is None
    puppet.tell(at(11.3), loose(puppet, signed(1, "pump", 1)))
    assert value(core.world, "pump") == 1 and core.world.ignored(at(11.3)) == []


def test_a_peer_that_lags_is_never_ignored() -> None:
    core, puppet = one_core()
    core.handle(write("own", {"n": 0}), at(0.5))
    puppet.tell(at(0.6), loose(puppet, signed(1, "pump", 2, seq=2)))
    stranger = make_record(
        Writing(make_site(2, label="elsewhere")).identity(0),
        Register("asset", "x"),
        1,
        1,
        time_of(WALL_MS),
        (),
        {},
    )
    for place in range(40):
        puppet.tell(at(1.0 + place / 100), loose(puppet, signed(1, "pump", 1), stranger))
    assert core.world.ignored(at(2.0)) == []


def test_documents_that_a_peer_only_speaks_of_are_not_opened() -> None:
    core, puppet = one_core()
    entries = tuple(Entry(f"nonsense:{place}", b"", b"x" * 16) for place in range(50))
    wanted = [
        each
        for each in sent_to(B, puppet.tell(at(1.0), Summaries(entries, "tick")))
        if isinstance(each, Wanted)
    ]
    assert [each.have for each in wanted] == [b"\0"]
    for place in range(50):
        puppet.tell(at(1.0 + place), pushed(puppet, b"\0\0", name=f"other:{place}"))
        puppet.tell(
            at(1.0 + place),
            pushed(puppet, update_of({77: (0, [item("k" * 16, b"x")])}), name=f"third:{place}"),
        )
    assert [
        each.name for each in core.world.state.library.documents() if ":" in each.name and not each.records
    ] == []


@pytest.mark.parametrize("have", [b"", b"\xff" * 40, state_vector({2**60: 1}), state_vector({1: 2**40})])
def test_a_question_with_a_broken_summary_is_not_answered_with_content(have: bytes) -> None:
    core, puppet = one_core()
    core.handle(write("pump", {"n": 1}), at(0.5))
    answers = sent_to(B, puppet.tell(at(1.0), Wanted("asset", b"", have, b"x" * 16, 0, "tick")))
    assert [type(each).__name__ for each in answers] == ["Busy"]


# -- equivocation


def test_two_contents_under_one_dot_are_published_and_their_author_named_by_everybody() -> None:
    plant = Plant(SITE, 4).form()
    for place, number in ((0, 1), (1, 2)):
        core = plant.processes[place].core
        plant.tell(plant.processes[place], write(f"opened {place}", {"n": 0}))
        blobs = [signed(4, "pump", number).blob]
        core.world.take_loose(E, "asset", b"", blobs, at(plant.now))
    plant.run(4)
    for process in plant.processes:
        assert list(process.core.world.equivocators()) == [E]
        accused = [
            each.node for each in plant.news(process.place, WorldTrouble) if each.code == "author-equivocates"
        ]
        assert accused == [E]
    assert len(set(values(plant, "pump"))) == 1 and values(plant, "pump")[0] in (1, 2)


def test_one_dot_in_two_registers_is_equivocation_too() -> None:
    core, puppet = one_core()
    core.handle(write("own", {"n": 0}), at(0.5))
    effects = puppet.tell(at(1.0), loose(puppet, signed(2, "pump", 1), signed(2, "valve", 1)))
    assert ("author-equivocates", C) in counted(effects)
    assert list(core.world.equivocators()) == [C]
    (item_,) = core.world.state.view.items("evidence")
    assert item_.name.startswith(f"{C}-") and len(item_.name) == len(C) + 13


def test_an_equivocator_is_named_again_after_a_restart_from_the_evidence_that_was_kept() -> None:
    plant = Plant(SITE, 1)
    process = plant.processes[0]
    plant.tell(process, write("own", {"n": 0}))
    process.core.world.take_loose(
        B, "asset", b"", [signed(2, "pump", 1).blob, signed(2, "pump", 2).blob], at(0.1)
    )
    plant.run(1)
    plant.crash(0)
    again = plant.boot(SITE.keys[0], incarnation=2, place=0)
    assert list(again.core.world.equivocators()) == [C]


def evidence(first: Record | bytes, second: Record | bytes, accused: str = C, seq: int = 9) -> Record:
    blobs = [each if isinstance(each, bytes) else each.blob for each in (first, second)]
    body = {"first": blobs[0], "second": blobs[1]}
    register = Register("evidence", f"{accused}-0123456789ab")
    return make_record(SITE.keys[1].identity, register, 1, seq, time_of(WALL_MS), (), body)


@pytest.mark.parametrize(
    "false",
    [
        evidence(signed(2, "pump", 1), signed(2, "pump", 1)),
        evidence(signed(2, "pump", 1), signed(2, "pump", 2, seq=2)),
        evidence(signed(2, "pump", 1), signed(3, "pump", 2)),
        evidence(signed(3, "pump", 1), signed(3, "pump", 2)),
        evidence(signed(2, "pump", 1), signed(2, "pump", 2).blob[:-1] + b"x"),
        evidence(b"", b"rubbish"),
    ],
    ids=["one content", "two dots", "two authors", "another's", "a forged one", "nothing"],
)
def test_evidence_that_proves_nothing_names_its_own_author(false: Record) -> None:
    core, puppet = one_core()
    push = pushed(puppet, update_of({77: (0, [item(false.key, false.blob)])}), name="evidence")
    effects = puppet.tell(at(1.0), push)
    assert only(effects, WorldTrouble) == [
        WorldTrouble("evidence-false", "evidence", B, "proves nothing against c")
    ]
    assert core.world.equivocators() == {}


def test_evidence_from_a_peer_is_believed_after_both_signatures_were_checked() -> None:
    _, puppet = one_core()
    true = evidence(signed(2, "pump", 1), signed(2, "valve", 2))
    push = pushed(puppet, update_of({77: (0, [item(true.key, true.blob)])}), name="evidence")
    assert ("author-equivocates", C) in counted(puppet.tell(at(1.0), push))
    assert ("author-equivocates", C) not in counted(puppet.tell(at(2.0), push))


def test_an_honest_node_that_writes_a_lot_is_not_accused() -> None:
    core, _ = one_core()
    for number in range(2000):
        core.handle(write(f"item {number % 7}", {"n": number}), at(1.0 + number / 1000))
    assert core.world.equivocators() == {}
    assert len(core.world._evidence._by_dot) < 1100
