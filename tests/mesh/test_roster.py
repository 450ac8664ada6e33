import itertools
from collections.abc import Iterable, Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.events import Write
from mesh.ids import NodeId, short_of
from mesh.roster import (
    MEMBERS_MAX,
    MemberEntry,
    RemovalEntry,
    Roster,
    departure,
    encode_entry,
)
from mesh.state import Keys
from mesh.trust import Authority, Root
from tests.mesh.site import COLLIDING, WALL_MS, admitted, days_after, entry_of, make_site, reissued

SITE = make_site(4, stewards=2)
A, B, C, D = SITE.nodes
KEYS = SITE.keys
OTHER = make_site(2, label="elsewhere")


def roster_of(*entries: bytes, root: Root = SITE.root) -> Roster:
    roster = Roster(root)
    roster.merge(entries)
    return roster


def authority_of(steward: Keys) -> Authority:
    assert steward.authority is not None
    return steward.authority


def removal_of(node: NodeId, at_ms: int = WALL_MS, steward: Keys = KEYS[0], reason: str = "stolen") -> bytes:
    return encode_entry(RemovalEntry(authority_of(steward).remove(node, "gone", reason, at_ms)))


def departure_of(keys: Keys, incarnation: int = 1) -> bytes:
    return encode_entry(departure(keys.identity, incarnation))


def renewed_by(steward: Keys, keys: Keys, days: float, name: str = "d") -> bytes:
    return entry_of(reissued(steward, keys, name, days_after(days)))


# ---------------------------------------------------------------- members


def test_an_entry_makes_a_member() -> None:
    roster = Roster(SITE.root)
    merged = roster.merge([entry_of(KEYS[3])])
    assert list(roster.members()) == [D]
    assert roster.is_member(D)
    assert roster.name(D) == "d"
    assert roster.identity(D) == KEYS[3].identity.public
    assert roster.by_short(short_of(D)) == D
    assert roster.find("d") == roster.find(D) == D
    assert roster.stewards() == []
    assert merged.writes == (Write("roster", f"m:{D}", entry_of(KEYS[3])),)
    assert merged.changed == (D,)
    assert merged.fresh == (entry_of(KEYS[3]),)
    assert merged.removed == merged.refused == ()


def test_the_same_entry_again_changes_nothing() -> None:
    roster = roster_of(*SITE.entries())
    digest = roster.digest
    merged = roster.merge(SITE.entries())
    assert (merged.writes, merged.changed, merged.fresh, merged.refused) == ((), (), (), ())
    assert roster.digest == digest


def test_stewards_are_members_with_an_authority() -> None:
    own = entry_of(reissued(KEYS[1], KEYS[1], "b", days_after(1)))
    assert roster_of(entry_of(KEYS[0]), entry_of(KEYS[3]), own).stewards() == [A, B]


def test_of_two_certificates_the_later_counts_in_either_order() -> None:
    older, newer = entry_of(KEYS[3]), renewed_by(KEYS[0], KEYS[3], days=20)
    for entries in itertools.permutations((older, newer)):
        member = roster_of(*entries).member(D)
        assert member is not None
        assert member.not_after_ms == days_after(50)


def test_nobody_is_known_in_an_empty_roster() -> None:
    roster = Roster(SITE.root)
    assert roster.digest == bytes(8)
    assert (list(roster.members()), list(roster.removed()), roster.entries(), roster.have()) == (
        [],
        [],
        (),
        b"",
    )
    reads = (roster.member, roster.identity, roster.find, roster.removal, roster.removal_entry)
    assert [read(A) for read in reads] == [None] * 5
    assert roster.name(A) == A
    assert roster.left_at(A) == -1


# ---------------------------------------------------------------- removals and departures


def test_a_removal_ends_a_membership_and_keeps_the_name() -> None:
    roster = roster_of(*SITE.entries())
    merged = roster.merge([removal_of(D)])
    assert list(roster.members()) == [A, B, C]
    assert list(roster.removed()) == [D]
    assert roster.is_removed(D)
    assert not roster.is_member(D)
    assert roster.name(D) == "d"
    assert roster.find("d") is None
    assert roster.removal_entry(D) == removal_of(D)
    assert merged.removed == (D,)


def test_no_certificate_brings_the_removed_back() -> None:
    roster = roster_of(*SITE.entries(), removal_of(D))
    merged = roster.merge([renewed_by(KEYS[0], KEYS[3], days=9)])
    assert merged.removed == ()
    assert list(roster.members()) == [A, B, C]


def test_a_removal_of_somebody_unknown_holds_when_the_certificate_comes() -> None:
    roster = roster_of(removal_of(D))
    assert roster.name(D) == "gone"
    roster.merge(SITE.entries())
    assert list(roster.members()) == [A, B, C]


def test_the_second_removal_of_a_node_is_no_second_piece_of_news() -> None:
    roster = roster_of(*SITE.entries(), removal_of(D, days_after(2)))
    assert roster.merge([removal_of(D, days_after(1))]).removed == ()


def test_a_departure_is_for_one_incarnation_and_the_highest_counts() -> None:
    roster = roster_of(*SITE.entries(), departure_of(KEYS[3], 5))
    assert roster.left_at(D) == 5
    assert roster.merge([departure_of(KEYS[3], 4)]).changed == ()
    assert roster.left_at(D) == 5
    assert roster.merge([departure_of(KEYS[3], 6)]).changed == (D,)
    assert roster.left_at(D) == 6
    assert roster.is_member(D)


# ---------------------------------------------------------------- refusals


def other_identity(entry: bytes, keys: Keys) -> bytes:
    decoded = msgspec.msgpack.decode(entry, type=MemberEntry)
    return encode_entry(msgspec.structs.replace(decoded, identity=keys.identity.public))


def forged_departure(**changes: object) -> bytes:
    return encode_entry(msgspec.structs.replace(departure(KEYS[3].identity, 3), **changes))


def forged_removal(**changes: object) -> bytes:
    removal = authority_of(KEYS[0]).remove(D, "d", "stolen", WALL_MS)
    return encode_entry(RemovalEntry(msgspec.structs.replace(removal, **changes)))


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "roster-malformed"),
    ("junk", b"\xc1\xff\x00", "roster-malformed"),
    ("a cut entry", entry_of(KEYS[3])[:-1], "roster-malformed"),
    ("an entry of another kind", msgspec.msgpack.encode(["x", 1, 2]), "roster-malformed"),
    ("a number", msgspec.msgpack.encode(5), "roster-malformed"),
    ("deep nesting", b"\x91" * 50_000, "roster-malformed"),
    (
        "a removal whose name is no text",
        b"\x92\xa1r\x96\xa2\xff\xfe\xa1d\xa0\x00\xc4\x00\xc4\x00",
        "roster-malformed",
    ),
    ("no chain", encode_entry(MemberEntry((), bytes(32))), "roster-bad-chain"),
    ("a chain of junk", encode_entry(MemberEntry((b"x", b"y"), bytes(32))), "roster-bad-certificate"),
    ("a member of another site", OTHER.entries()[1], "roster-wrong-root"),
    (
        "a certificate with somebody else's key",
        other_identity(entry_of(KEYS[3]), KEYS[2]),
        "roster-wrong-identity",
    ),
    ("a removal by another site", removal_of(D, steward=OTHER.keys[0]), "roster-wrong-root"),
    ("a removal with a changed node", forged_removal(node=C), "roster-bad-signature"),
    ("a removal with a changed date", forged_removal(at_ms=1), "roster-bad-signature"),
    ("a removal with no signature", forged_removal(signature=b""), "roster-bad-signature"),
    (
        "a removal by a member's own certificate",
        forged_removal(authority=KEYS[3].chain[0]),
        "roster-wrong-root",
    ),
    ("a departure with a changed incarnation", forged_departure(incarnation=9), "roster-bad-signature"),
    ("a departure of somebody else", forged_departure(node=C), "roster-bad-signature"),
    (
        "a departure with another key",
        forged_departure(identity=KEYS[2].identity.public),
        "roster-bad-signature",
    ),
    ("a departure of a stranger", departure_of(OTHER.keys[1]), "roster-not-a-member"),
]


@pytest.mark.parametrize(
    ("entry", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_what_does_not_prove_itself_is_refused_by_name_and_changes_nothing(entry: bytes, reason: str) -> None:
    roster = roster_of(*SITE.entries())
    digest = roster.digest
    merged = roster.merge([entry])
    assert merged.refused == (reason,)
    assert (merged.writes, merged.changed, merged.fresh) == ((), (), ())
    assert roster.digest == digest


def test_a_bad_entry_does_not_spoil_its_neighbours() -> None:
    roster = Roster(SITE.root)
    merged = roster.merge([entry_of(KEYS[0]), b"junk", entry_of(KEYS[1])])
    assert list(roster.members()) == [A, B]
    assert merged.refused == ("roster-malformed",)


def test_a_second_node_with_the_same_short_name_is_refused() -> None:
    first, second = (entry_of(admitted(SITE, label, "press")) for label in COLLIDING)
    roster = roster_of(first)
    assert roster.merge([second]).refused == ("roster-short-name-twice",)
    assert len(roster.members()) == 1


def test_the_number_of_members_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MEMBERS_MAX == 2048
    monkeypatch.setattr("mesh.roster.MEMBERS_MAX", 3)
    roster = Roster(SITE.root)
    assert roster.merge(SITE.entries()).refused == ("roster-full",)
    assert len(roster.members()) == 3
    assert roster.merge([renewed_by(KEYS[0], KEYS[0], days=3, name="a")]).changed == (A,)


def test_the_number_of_removals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.roster.MEMBERS_MAX", 3)
    roster = Roster(SITE.root)
    nodes = [NodeId(letter * 26) for letter in "abcd"]
    assert roster.merge([removal_of(node) for node in nodes]).refused == ("roster-full",)


# ---------------------------------------------------------------- what is saved and exchanged


def test_what_was_written_is_read_again() -> None:
    roster = Roster(SITE.root)
    writes = roster.merge([*SITE.entries(), removal_of(D), departure_of(KEYS[2])]).writes
    again = Roster(SITE.root, {write.key: write.value for write in writes if write.value is not None})
    assert again.digest == roster.digest
    assert again.entries() == roster.entries()
    assert again.damaged == ()


def test_damaged_saved_entries_are_named_and_the_rest_is_used() -> None:
    roster = Roster(SITE.root, {"m:x": b"junk", "m:y": entry_of(KEYS[0])})
    assert roster.damaged == ("roster-malformed",)
    assert list(roster.members()) == [A]


def test_lacking_gives_exactly_what_the_other_does_not_have() -> None:
    full, part = roster_of(*SITE.entries(), removal_of(D)), roster_of(*SITE.entries()[:2])
    lacking = full.lacking(part.have())
    assert sorted(lacking) == sorted([*SITE.entries()[2:], removal_of(D)])
    assert part.lacking(full.have()) == ()
    part.merge(lacking)
    assert part.digest == full.digest
    assert full.lacking(part.have()) == ()


def test_a_have_list_that_is_cut_in_the_middle_of_a_hash_only_costs_bytes() -> None:
    roster = roster_of(*SITE.entries())
    assert len(roster.lacking(roster.have()[:-3])) == 1
    assert len(roster.lacking(b"junk")) == 4


# ---------------------------------------------------------------- the semilattice

POOL = [
    *SITE.entries(),
    renewed_by(KEYS[0], KEYS[3], days=10),
    renewed_by(KEYS[0], KEYS[3], days=20),
    renewed_by(KEYS[1], KEYS[3], days=20),
    removal_of(C, days_after(3)),
    removal_of(C, days_after(2), reason="earlier"),
    removal_of(C, days_after(2), steward=KEYS[1]),
    departure_of(KEYS[3], 1),
    departure_of(KEYS[3], 4),
    b"junk",
    OTHER.entries()[0],
]
MEMBERS_FIRST = SITE.entries()  # a departure proves itself only for a known member: see the next test but two


@given(order=st.permutations(POOL), twice=st.lists(st.sampled_from(POOL)))
def test_the_same_entries_in_any_order_and_number_give_the_same_roster(
    order: list[bytes], twice: list[bytes]
) -> None:
    expected = roster_of(*MEMBERS_FIRST, *POOL)
    one = roster_of(*MEMBERS_FIRST, *order, *twice)
    assert one.digest == expected.digest
    assert one.entries() == expected.entries()
    assert one.have() == expected.have()


@given(split=st.integers(0, len(POOL)), order=st.permutations(POOL))
def test_merging_in_parts_is_merging_at_once(split: int, order: list[bytes]) -> None:
    at_once = roster_of(*MEMBERS_FIRST, *order)
    in_parts = roster_of(*MEMBERS_FIRST)
    in_parts.merge(order[:split])
    in_parts.merge(order[split:])
    assert in_parts.digest == at_once.digest


@given(mine=st.sets(st.sampled_from(POOL)), theirs=st.sets(st.sampled_from(POOL)))
def test_two_rosters_that_give_each_other_what_is_lacking_become_equal(
    mine: set[bytes], theirs: set[bytes]
) -> None:
    one, two = roster_of(*sorted(mine)), roster_of(*sorted(theirs))
    rounds = exchange(one, two)
    assert one.digest == two.digest
    assert rounds <= 2


def test_one_batch_may_name_a_departure_before_its_member() -> None:
    """`lacking` sorts by hash: whoever sends a roster does not know better."""
    batch = [departure_of(KEYS[3]), *SITE.entries()]
    assert roster_of(*batch).digest == roster_of(*reversed(batch)).digest


@given(
    order=st.permutations(
        [*SITE.entries(), renewed_by(KEYS[0], KEYS[3], days=10), removal_of(A, days_after(5), KEYS[1])]
    )
)
def test_a_removed_stewards_certificates_are_void_from_its_removal_on_in_any_order(
    order: list[bytes],
) -> None:
    """The member's older certificate, from before the removal, still counts."""
    roster = roster_of(*order)
    assert list(roster.members()) == [B, C, D]
    member = roster.member(D)
    assert member is not None
    assert member.not_after_ms == days_after(30)
    assert roster.digest == roster_of(*SITE.entries(), removal_of(A, days_after(5), KEYS[1])).digest


def test_another_stewards_certificate_outlives_the_removal_of_the_first() -> None:
    roster = roster_of(
        *SITE.entries(), renewed_by(KEYS[1], KEYS[3], days=10), removal_of(A, days_after(5), KEYS[1])
    )
    member = roster.member(D)
    assert member is not None
    assert member.not_after_ms == days_after(40)


def test_a_removed_stewards_new_member_never_becomes_one() -> None:
    roster = roster_of(*SITE.entries(), removal_of(A, days_after(5), KEYS[1]))
    late = entry_of(admitted(SITE, "late", "late", days_after(6)))
    assert roster.merge([late]).refused == ("roster-removed-steward",)


def test_a_member_made_void_is_deleted_from_the_store() -> None:
    late = admitted(SITE, "late", "late", days_after(6))
    roster = roster_of(*SITE.entries(), entry_of(late))
    merged = roster.merge([removal_of(A, days_after(5), KEYS[1])])
    assert Write("roster", f"m:{late.identity.node}", None) in merged.writes
    assert late.identity.node in merged.changed
    assert roster.by_short(short_of(late.identity.node)) is None


def test_many_random_histories_agree() -> None:
    """Twenty histories of joins, renewals, removals (stewards' too) and departures, each seen in three orders."""
    for seed in range(20):
        random = Random(seed)
        history = [
            *SITE.entries(),
            *(renewed_by(KEYS[random.randrange(2)], KEYS[3], random.uniform(0, 30)) for _ in range(3)),
            removal_of(
                SITE.nodes[random.randrange(3)], days_after(random.uniform(0, 30)), KEYS[random.randrange(2)]
            ),
            departure_of(KEYS[3], random.randrange(5)),
        ]
        assert len({settled(shuffled(history, random)).digest for _ in range(3)}) == 1, f"seed {seed}"


# ---------------------------------------------------------------- removals by the removed


@given(
    order=st.permutations(
        [*SITE.entries(), removal_of(A, days_after(5), KEYS[1]), removal_of(C, days_after(6))]
    )
)
def test_what_a_removed_steward_removes_later_stays_in_any_order(order: list[bytes]) -> None:
    roster = roster_of(*order)
    assert list(roster.members()) == [B, C, D]
    assert roster.removed() == (A,)
    assert (roster.removal(C), roster.removal_entry(C)) == (None, None)
    assert removal_of(C, days_after(6)) in roster.entries()  # held and told, so that rosters become equal
    assert roster.digest == roster_of(*sorted(order)).digest


def test_a_removal_that_comes_late_and_makes_others_void_brings_their_nodes_back() -> None:
    roster = roster_of(*SITE.entries(), removal_of(C, days_after(6)), removal_of(D, days_after(4)))
    merged = roster.merge([removal_of(A, days_after(5), KEYS[1])])
    assert set(merged.changed) == {A, C}
    assert merged.removed == (A,)
    assert list(roster.members()) == [B, C]


def test_two_stewards_that_remove_each_other_leave_the_one_who_signed_first() -> None:
    duel = [removal_of(A, days_after(5), KEYS[1]), removal_of(B, days_after(6), KEYS[0])]
    for order in itertools.permutations([*SITE.entries()[:2], *duel]):
        assert roster_of(*order).removed() == (A,)


def test_two_stewards_that_remove_each_other_at_once_leave_exactly_one() -> None:
    duel = [removal_of(A, days_after(5), KEYS[1]), removal_of(B, days_after(5), KEYS[0])]
    left = {roster_of(*order).removed() for order in itertools.permutations([*SITE.entries()[:2], *duel])}
    assert len(left) == 1
    assert len(left.pop()) == 1


def test_a_steward_that_removes_itself_is_removed() -> None:
    assert roster_of(*SITE.entries(), removal_of(A, days_after(5))).removed() == (A,)


@given(
    order=st.permutations(
        [
            *SITE.entries(),
            renewed_by(KEYS[0], KEYS[3], days=10),
            removal_of(A, days_after(5), KEYS[1]),
            removal_of(B, days_after(4), KEYS[0]),
        ]
    )
)
def test_certificates_of_a_steward_whose_removal_turns_out_void_count_again(order: list[bytes]) -> None:
    roster = roster_of(*order)
    member = roster.member(D)
    assert roster.removed() == (B,)
    assert member is not None
    assert member.not_after_ms == days_after(40)
    assert roster.digest == roster_of(*sorted(order)).digest


def test_void_removals_use_up_nobody_elses_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.roster.MEMBERS_MAX", 4)
    roster = roster_of(*SITE.entries(), removal_of(A, days_after(1), KEYS[1]))
    roster.merge([removal_of(NodeId(letter * 26), days_after(2)) for letter in "abcdef"])
    assert roster.merge([removal_of(D, days_after(3), KEYS[1])]).removed == (D,)


def shuffled(entries: Sequence[bytes], random: Random) -> list[bytes]:
    order = list(entries)
    random.shuffle(order)
    return order


def settled(entries: Iterable[bytes]) -> Roster:
    """The roster of somebody who sees these twice, as anti-entropy would show them."""
    order = list(entries)
    return roster_of(*order, *order)


def exchange(one: Roster, two: Roster) -> int:
    """Rounds until both have nothing to give that the other takes."""
    for rounds in range(1, 10):
        to_two, to_one = one.lacking(two.have()), two.lacking(one.have())
        if not two.merge(to_two).changed and not one.merge(to_one).changed:
            return rounds - 1
    raise AssertionError("still different after nine rounds")
