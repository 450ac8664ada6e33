from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import ranges
from mesh.ranges import (
    BLOCK_MAX,
    FANOUT,
    FINGERPRINT_BYTES,
    KEYS_MAX,
    LEAF_MAX,
    LISTED_MAX,
    RANGES_BYTES_MAX,
    RANGES_MAX,
    Answer,
    Fingerprints,
    Range,
    answer,
    opening,
)

MESSAGES_MAX = 14  # of one exchange: each side's count shrinks to a quarter or less whenever it cuts
OTHER = bytes(FINGERPRINT_BYTES)  # the fingerprint of nothing that we hold


def entry(number: int) -> tuple[str, int]:
    """A key as records have it: a hash in 16 characters."""
    hashed = sha256(str(number).encode())
    return hashed.hexdigest()[:16], int.from_bytes(hashed.digest()[:16], "big")


def logged(number: int) -> tuple[str, int]:
    """A key as logs have it: neighbours begin alike."""
    return f"entry-of-some-author-{number:020}", entry(number)[1]


class Side:
    """A set and its fingerprints; of two versions of a key the higher is the better."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        self.entries = dict(entries)
        self.fingerprints = Fingerprints(self.entries.items())

    def take(self, entries: Iterable[tuple[str, int]]) -> None:
        for key, value in entries:
            self.entries[key] = max(value, self.entries.get(key, 0))
            self.fingerprints.put(key, self.entries[key])

    def some(self, keys: Iterable[str]) -> list[tuple[str, int]]:
        return [(key, self.entries[key]) for key in keys]


def exchange(opener: Side, other: Side) -> list[tuple[Range, ...]]:
    """All messages of one exchange; what is lacking is fetched and what is to be given is given as it shows."""
    messages = [opening(opener.fingerprints)]
    us, them = other, opener
    while messages[-1]:
        found = answer(us.fingerprints, messages[-1])
        assert found.reason == ""
        us.take(them.some(found.lacking))
        them.take(us.some(found.giving))
        messages.append(found.ranges)
        us, them = them, us
    return messages[:-1]


def byte_size(messages: Iterable[tuple[Range, ...]]) -> int:
    return sum(len(msgspec.msgpack.encode(message)) for message in messages)


def assert_within_bounds(messages: list[tuple[Range, ...]]) -> None:
    assert len(messages) <= MESSAGES_MAX
    for message in messages:
        assert len(message) <= RANGES_MAX
        assert byte_size([message]) <= 100_000
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=tuple[Range, ...]) == message


# ---------------------------------------------------------------- the container


def model_measure(entries: dict[str, int], low: str, high: str) -> tuple[int, bytes]:
    inside = {key: value for key, value in entries.items() if key >= low and (not high or key < high)}
    return len(inside), Fingerprints(inside.items()).measure(low, high)[1]


@given(st.integers(0, 10**6), st.integers(0, 3 * BLOCK_MAX), st.data())
@settings(max_examples=40, deadline=None)
def test_ranges_measure_the_same_however_the_set_came_about(
    seed: int, size: int, data: st.DataObject
) -> None:
    rng = Random(seed)
    grown, entries = Fingerprints(), dict[str, int]()
    for number in range(size):
        key, value = entry(rng.randrange(size))
        if rng.random() < 0.3:
            grown.remove(key)
            entries.pop(key, None)
        else:
            grown.put(key, value + number)
            entries[key] = value + number
    low, high = data.draw(st.sampled_from(["", *entries])), data.draw(st.sampled_from(["", *entries]))
    assert len(grown) == len(entries)
    assert grown.measure("", "") == Fingerprints(entries.items()).measure("", "")
    if not high or low <= high:
        assert grown.measure(low, high) == model_measure(entries, low, high)
        assert [key for key, _ in grown.ids(low, high)] == sorted(
            key for key in entries if key >= low and (not high or key < high)
        )


def test_a_set_that_is_filled_and_emptied_key_by_key_measures_as_an_empty_one() -> None:
    fingerprints = Fingerprints()
    for number in range(5 * BLOCK_MAX):
        fingerprints.put(*entry(number))
    for number in range(5 * BLOCK_MAX):
        fingerprints.remove(entry(number)[0])
    assert len(fingerprints) == 0
    assert fingerprints.measure("", "") == Fingerprints().measure("", "")


def test_a_log_that_forgets_its_oldest_can_take_them_back() -> None:
    fingerprints = Fingerprints(logged(number) for number in range(2 * BLOCK_MAX))
    for number in range(BLOCK_MAX):
        fingerprints.remove(logged(number)[0])
    for number in range(BLOCK_MAX):
        fingerprints.put(*logged(number))
    whole = Fingerprints(logged(number) for number in range(2 * BLOCK_MAX))
    assert list(fingerprints.ids("", "")) == list(whole.ids("", ""))
    assert fingerprints.measure("", "") == whole.measure("", "")


def test_a_changed_fingerprint_changes_the_range_and_changing_it_back_restores_it() -> None:
    fingerprints = Fingerprints([("a", 1), ("b", 2)])
    before = fingerprints.measure("", "")
    fingerprints.put("a", 3)
    assert fingerprints.measure("", "") != before
    assert fingerprints.measure("b", "") == Fingerprints([("b", 2)]).measure("b", "")
    fingerprints.put("a", 1)
    assert fingerprints.measure("", "") == before


def test_two_keys_that_swap_their_fingerprints_are_noticed() -> None:
    assert Fingerprints([("a", 1), ("b", 2)]).measure("", "") != Fingerprints([("a", 2), ("b", 1)]).measure(
        "", ""
    )


def test_the_same_keys_between_other_bounds_have_another_fingerprint() -> None:
    fingerprints = Fingerprints([("a", 1)])
    assert fingerprints.measure("", "")[1] != fingerprints.measure("", "b")[1]


def test_a_key_that_is_not_there_is_removed_without_effect_and_has_no_digest() -> None:
    fingerprints = Fingerprints([("a", 1)])
    fingerprints.remove("b")
    assert (len(fingerprints), fingerprints.digest("b")) == (1, None)


def test_a_query_adds_up_few_digests_however_large_the_set() -> None:
    fingerprints = Fingerprints(entry(number) for number in range(20_000))
    for number in range(20_000, 40_000):
        fingerprints.put(*entry(number))
    blocks = [len(block.keys) for block in fingerprints._blocks]
    assert max(blocks) <= BLOCK_MAX and len(blocks) <= 4 * 40_000 // BLOCK_MAX


# ---------------------------------------------------------------- single messages


def test_a_small_set_opens_with_its_ids() -> None:
    fingerprints = Fingerprints([("a", 1), ("b", 2)])
    ids = tuple(fingerprints.ids("", ""))
    assert [key for key, _ in ids] == ["a", "b"]
    assert opening(fingerprints) == (Range("", "", 2, b"", ids),)


def test_an_empty_set_opens_with_an_empty_list_and_is_given_everything() -> None:
    assert opening(Fingerprints()) == (Range("", "", 0),)
    assert answer(Fingerprints([("a", 1), ("b", 2)]), opening(Fingerprints())) == Answer((), (), ("a", "b"))


def test_a_large_set_opens_with_as_many_pieces_as_the_fanout_that_cover_every_key() -> None:
    message = opening(Fingerprints(entry(number) for number in range(1_000)))
    assert len(message) == FANOUT
    assert sum(each.count for each in message) == 1_000
    assert {each.count for each in message} == {62, 63}
    assert [each.low for each in message[1:]] == [each.high for each in message[:-1]]
    assert (message[0].low, message[-1].high) == ("", "")


def test_the_largest_set_that_is_listed_at_once() -> None:
    (only,) = opening(Fingerprints(entry(number) for number in range(LEAF_MAX)))
    assert len(only.ids) == LEAF_MAX


def test_a_set_just_too_large_for_a_list_opens_with_few_pieces() -> None:
    message = opening(Fingerprints(entry(number) for number in range(LEAF_MAX + 1)))
    assert [each.count for each in message] == [8, 8, 8, 9]


def test_bounds_are_as_short_as_tells_the_neighbours_apart() -> None:
    keys = [f"{number:02}-and-much-more-text" for number in range(33)]
    message = opening(Fingerprints((key, 1) for key in keys))
    assert [each.high for each in message] == ["08", "16", "24", ""]


def test_equal_sets_are_done_after_one_message() -> None:
    ours = Fingerprints(entry(number) for number in range(1_000))
    assert answer(ours, opening(ours)) == Answer(())


def test_only_the_range_that_differs_is_answered() -> None:
    ours = Fingerprints(entry(number) for number in range(1_000))
    message = opening(ours)
    ours.put(*entry(5_000))
    replies = answer(ours, message).ranges
    (parent,) = [each for each in message if each.low == replies[0].low]
    assert replies[-1].high == parent.high
    assert sum(each.count for each in replies) == parent.count + 1


def test_a_list_tells_what_is_lacking_and_what_to_give_and_a_key_that_differs_is_both() -> None:
    theirs = Fingerprints([("both", 1), ("differs", 2), ("theirs", 3)])
    ours = Fingerprints([("both", 1), ("differs", 4), ("ours", 5)])
    assert answer(ours, opening(theirs)) == Answer((), ("differs", "theirs"), ("differs", "ours"))


def test_no_more_is_given_at_once_than_one_message_of_records_holds() -> None:
    ours = Side(entry(number) for number in range(KEYS_MAX + 500))
    found = answer(ours.fingerprints, [Range("", "", 0)])
    assert found.giving == tuple(sorted(ours.entries)[:KEYS_MAX])


def test_no_more_is_asked_for_at_once_than_one_message_names() -> None:
    message = [
        Range(
            f"{number:03}",
            f"{number + 1:03}",
            64,
            b"",
            tuple((f"{number:03}-{n}", bytes(16)) for n in range(64)),
        )
        for number in range(KEYS_MAX // 64 + 1)
    ]
    assert len(answer(Fingerprints(), message).lacking) == KEYS_MAX


# ---------------------------------------------------------------- whole exchanges


@given(
    st.dictionaries(st.text("ab\0é\U0001f600", max_size=5), st.integers(0, 2**128 - 1), max_size=120),
    st.dictionaries(st.text("ab\0é\U0001f600", max_size=5), st.integers(0, 2**128 - 1), max_size=120),
)
@settings(deadline=None)
def test_any_two_sets_are_equal_after_one_exchange(ours: dict[str, int], theirs: dict[str, int]) -> None:
    opener, other = Side(ours.items()), Side(theirs.items())
    everything = {key: max(ours.get(key, 0), theirs.get(key, 0)) for key in ours | theirs}
    messages = exchange(opener, other)
    assert opener.entries == other.entries == everything
    assert_within_bounds(messages)
    assert len(exchange(other, opener)) == 1


@given(
    seed=st.integers(0, 10**6),
    shared=st.sampled_from([0, 33, 400, 5_000]),
    ours=st.sampled_from([0, 1, 40, 900]),
    theirs=st.sampled_from([0, 1, 40, 900]),
    key_like=st.sampled_from([entry, logged]),
)
@settings(max_examples=40, deadline=None)
def test_large_sets_with_scattered_or_neighbouring_differences_are_equal_after_one_exchange(
    seed: int, shared: int, ours: int, theirs: int, key_like: object
) -> None:
    assert callable(key_like)
    numbers = iter(Random(seed).sample(range(20_000), shared + ours + theirs))
    common = [key_like(next(numbers)) for _ in range(shared)]
    opener = Side([*common, *(key_like(next(numbers)) for _ in range(ours))])
    other = Side([*common, *(key_like(next(numbers)) for _ in range(theirs))])
    assert_within_bounds(exchange(opener, other))
    if ours + theirs <= 80:
        assert opener.entries == other.entries
    for _ in range(3):  # more than one answer may hold is left to the next opening
        assert_within_bounds(exchange(other, opener))
    assert opener.entries == other.entries


@pytest.mark.parametrize("key_like", [entry, logged])
def test_sets_that_differ_everywhere_become_equal_though_no_message_holds_all_differences(
    key_like: object,
) -> None:
    assert callable(key_like)
    opener = Side(key_like(number) for number in range(0, 12_000, 2))
    other = Side(key_like(number) for number in range(1, 12_000, 2))
    exchanges = 0
    while opener.entries != other.entries:
        messages = exchange(opener, other)
        assert_within_bounds(messages)
        exchanges += 1
        assert exchanges <= 12_000 // 500  # each exchange moves at least so many
    assert len(opener.entries) == 12_000


def test_the_largest_keys_still_make_messages_that_fit() -> None:
    wide = [("\U0001f600" * 60 + f"{number:04}", number) for number in range(4_000)]
    opener, other = Side(wide[::2]), Side(wide[1::2])
    messages = exchange(opener, other)
    assert_within_bounds(messages)
    assert max(byte_size([message]) for message in messages) > RANGES_BYTES_MAX * 9 // 10  # the bound was met


@pytest.fixture(scope="module")
def hundred_thousand() -> Side:
    return Side(entry(number) for number in range(100_000))


def without(side: Side, key: str) -> Side:
    return Side((each, value) for each, value in side.entries.items() if each != key)


@pytest.mark.parametrize("missing", [0, 4_711, 99_999])
def test_one_missing_among_a_hundred_thousand_is_found_with_six_kilobytes(
    hundred_thousand: Side, missing: int
) -> None:
    behind = without(hundred_thousand, entry(missing)[0])
    messages = exchange(behind, hundred_thousand)
    assert behind.entries == hundred_thousand.entries
    assert len(messages) == 4
    assert byte_size(messages) <= 2_500  # half a kilobyte a level, and one list; the promise is 6 kB


def test_long_keys_that_begin_alike_cost_three_times_as_much() -> None:
    whole = Side(logged(number) for number in range(100_000))
    behind = without(whole, logged(4_711)[0])
    messages = exchange(whole, behind)
    assert behind.entries == whole.entries
    assert byte_size(messages) <= 7_000  # bounds of 40 characters cannot be shortened


# ---------------------------------------------------------------- hostile input


def held() -> Fingerprints:
    return Fingerprints([("a", 1), ("b", 2), ("c", 3)])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ((Range("b", "a", 7, OTHER),), "ranges-unordered"),
        ((Range("b", "b", 7, OTHER),), "ranges-unordered"),
        ((Range("a", "c", 2, b"short"),), "ranges-malformed"),
        ((Range("a", "c", 2, b""),), "ranges-malformed"),
        ((Range("a", "c", 7, OTHER, (("a", bytes(16)),)),), "ranges-malformed"),
        ((Range("b", "c", 1, b"", (("a", bytes(16)),)),), "ranges-malformed"),
        ((Range("a", "b", 1, b"", (("b", bytes(16)),)),), "ranges-malformed"),
        (
            (Range("a", "", 129, b"", tuple((f"a{n}", bytes(16)) for n in range(LISTED_MAX + 1))),),
            "ranges-malformed",
        ),
    ],
)
def test_a_range_that_makes_no_sense_is_ignored_and_named(message: tuple[Range, ...], reason: str) -> None:
    assert answer(held(), message) == Answer((), (), (), reason)


def test_what_makes_sense_beside_it_is_answered() -> None:
    sensible, overlapping = Range("a", "c", 0), Range("b", "", 0)
    after = Range("c", "", 0)
    assert answer(held(), [sensible, overlapping, after]) == Answer(
        (), (), ("a", "b", "c"), "ranges-unordered"
    )
    assert answer(held(), [Range("", "", 0), after]) == Answer((), (), ("a", "b", "c"), "ranges-unordered")


def test_an_absurd_count_is_no_more_than_a_difference() -> None:
    assert answer(held(), [Range("", "", 2**63 - 1, OTHER)]) == Answer(opening(held()))


def test_a_key_that_is_listed_twice_is_asked_for_once() -> None:
    twice = (("d", bytes(16)), ("d", bytes(16)))
    assert answer(held(), [Range("d", "", 2, b"", twice)]).lacking == ("d",)


def test_of_too_many_ranges_the_first_are_answered() -> None:
    message = [Range(f"{number:05}", f"{number:05}x", 0) for number in range(RANGES_MAX + 1)]
    ours = Fingerprints([("00000", 1), (f"{RANGES_MAX:05}", 2)])
    assert answer(ours, message) == Answer((), (), ("00000",), "ranges-too-many")


def test_the_whole_set_asked_about_a_thousand_times_is_looked_at_once(
    hundred_thousand: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = 0

    class Counted(Fingerprints):
        def ids(self, low: str, high: str) -> Iterator[tuple[str, bytes]]:
            nonlocal seen
            for each in super().ids(low, high):
                seen += 1
                yield each

    counted = Counted(hundred_thousand.entries.items())
    found = answer(counted, [Range("", "", 0)] * RANGES_MAX)
    assert (found.reason, len(found.giving), seen) == ("ranges-unordered", KEYS_MAX, KEYS_MAX + 1)


def test_differences_everywhere_cost_no_more_than_one_full_message(hundred_thousand: Side) -> None:
    bounds = ["", *sorted(hundred_thousand.entries)[:: 100_000 // RANGES_MAX][1:RANGES_MAX], ""]
    message = [Range(low, high, 1, OTHER) for low, high in pairwise(bounds)]
    found = answer(hundred_thousand.fingerprints, message)
    assert (len(message), len(found.ranges), found.reason) == (RANGES_MAX, RANGES_MAX, "")
    assert byte_size([found.ranges]) <= 100_000


some_ranges = st.builds(
    Range,
    low=st.text(max_size=3),
    high=st.text(max_size=3),
    count=st.integers(0, 3) | st.just(2**63 - 1),
    fingerprint=st.binary(max_size=16) | st.just(OTHER),
    ids=st.lists(st.tuples(st.text(max_size=3), st.binary(min_size=16, max_size=16)), max_size=3).map(tuple),
)


@given(st.lists(some_ranges, max_size=20))
@settings(deadline=None)
def test_nothing_that_a_peer_sends_raises_and_the_answer_is_sound(message: list[Range]) -> None:
    ours = Fingerprints([(chr(number), number) for number in range(200)])
    found = answer(ours, message)
    assert found.reason in ("", ranges.UNORDERED, ranges.MALFORMED)
    assert len(set(found.lacking)) == len(found.lacking) and len(set(found.giving)) == len(found.giving)
    assert answer(ours, found.ranges) == Answer(())
