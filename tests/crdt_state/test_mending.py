"""Mending: forms agree with the records, also after removals and damage."""

from mesh.events import MemberAdmitted, RemovalRequested
from mesh.state import Keys
from mesh.trust import Identity
from tests.crdt_state.worlds import Worlds
from tests.mesh.site import WALL_MS, key_of, public_bytes, reissued


def formed(count: int) -> Worlds:
    worlds = Worlds(count)
    worlds.form()
    worlds.run(6)
    return worlds


def test_what_a_removed_member_wrote_before_stays_and_what_it_wrote_after_goes() -> None:
    worlds = formed(3)
    worlds.asset(2, "site/before", type="before")
    worlds.become_equal()
    worlds.cut(0)
    worlds.run(1)
    worlds.tell(worlds.processes[0], RemovalRequested(worlds.processes[2].node, "stolen"))
    worlds.run(1)
    worlds.asset(2, "site/after", type="after")
    worlds.asset(2, "site/before", type="after")
    worlds.run(1)
    assert worlds.value(1, "asset", "site/after") == {"type": "after"}
    worlds.crash(2)
    worlds.heal()
    worlds.become_equal()
    assert worlds.values("asset", "site/after") == [None, None]
    worlds.run(10)
    assert worlds.are_equal()
    worlds.restart(1, 2)
    worlds.become_equal()
    assert worlds.values("asset", "site/after") == [None, None]


def test_a_lost_form_is_made_anew_when_nobody_has_it() -> None:
    worlds = formed(2)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    for place in (0, 1):
        worlds.crash(place)
        worlds.processes[place].store["document"] = {"asset": b"damaged"}
    for place in (0, 1):
        document = worlds.processes[place].store["record:asset"]
        assert document
        worlds.restart(place, 2)
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 2


def test_two_nodes_that_both_wait_for_a_form_do_not_wait_for_ever() -> None:
    worlds = formed(2)
    worlds.asset(0, "site/tank", type="tank")
    worlds.become_equal()
    for place in (0, 1):
        document = worlds.document(place, "asset")
        assert document is not None
        document.restart(document.mark, worlds.state(place).library.new_pen())
        document.is_whole = False
        worlds.state(place).library.changed()
    worlds.become_equal()
    assert worlds.counters(0)["form-made-anew"] == 1
    worlds.asset(1, "site/tank", type="silo")
    worlds.become_equal()
    assert worlds.values("asset", "site/tank") == [{"type": "silo"}] * 2


def test_what_a_member_wrote_whom_only_a_removed_steward_had_let_in_goes_everywhere() -> None:
    worlds = Worlds(4, stewards=2)
    worlds.form()
    worlds.run(6)
    worlds.cut(1, 3)  # with the steward who is removed on the other side
    worlds.run(1)
    worlds.tell(worlds.processes[0], RemovalRequested(worlds.processes[1].node, "stolen"))
    late = Keys(Identity(key_of("late")), worlds.site.root, (), public_bytes(key_of("late tls")))
    late = reissued(worlds.site.keys[1], late, "late", WALL_MS + 300_000)
    worlds.tell(worlds.processes[1], MemberAdmitted(late.chain, late.identity.public))
    worlds.cut(1, 3, 4)
    worlds.boot(late)
    worlds.run(5)
    worlds.asset(4, "site/late", type="late")
    worlds.asset(3, "site/tank", type="tank")
    worlds.run(2)
    assert worlds.value(3, "asset", "site/late") == {"type": "late"}
    for place in (1, 4):
        worlds.crash(place)
    worlds.heal()
    worlds.become_equal()
    assert worlds.values("asset", "site/late") == [None] * 3
    assert worlds.values("asset", "site/tank") == [{"type": "tank"}] * 3
