"""Assets: what stands where, by UNS path."""

import pytest

from crdt_state.item import Item
from crdt_state.kinds import asset
from crdt_state.kinds.paths import Branch, check_path, check_thing, children_of, tree_of
from crdt_state.kinds.refusal import RefusedError
from tests.crdt_state.records import NOW, SECOND, Cut

PATH = "acme/leeds/press/1"


@pytest.fixture
def cut() -> Cut:
    cut = Cut("asset", PATH)
    cut.do(0, asset.describe(cut.item(), {"type": "press", "maker": "Schuler"}))
    cut.heal()
    return cut


def test_a_described_asset_is_listed_with_its_fields(cut: Cut) -> None:
    seen = asset.view(cut.item(), NOW)
    assert (seen.path, seen.is_listed, seen.changed_ms, seen.changed_by) == (PATH, True, NOW, cut.nodes[0])
    assert seen.body == asset.AssetBody(type="press", maker="Schuler")


def test_describing_changes_what_is_named_and_takes_out_what_is_none(cut: Cut) -> None:
    cut.do(0, asset.describe(cut.item(), {"maker": None, "limits": {"high": 90}}))
    assert asset.view(cut.item(), NOW).body == asset.AssetBody(type="press", limits=asset.Limits(high=90.0))


def test_describing_what_is_so_already_writes_nothing(cut: Cut) -> None:
    assert asset.describe(cut.item(), {"type": "press"}) == ()


def test_a_deleted_asset_is_not_listed_and_cannot_be_deleted_again(cut: Cut) -> None:
    cut.do(0, asset.delete(cut.item()))
    seen = asset.view(cut.item(), NOW)
    assert (seen.is_listed, seen.body) == (False, asset.AssetBody())
    with pytest.raises(RefusedError, match="there is no asset"):
        asset.delete(cut.item())


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_descriptions_at_once_the_later_counts_and_both_are_shown(cut: Cut, later: int) -> None:
    cut.do(1 - later, asset.describe(cut.item(1 - later), {"unit": "bar"}), NOW + SECOND)
    cut.do(later, asset.describe(cut.item(later), {"unit": "kPa"}), NOW + 2 * SECOND)
    seen = asset.view(cut.heal(), NOW)
    assert seen.body.unit == "kPa"
    [conflict] = seen.conflicts
    assert [(side.author, (side.body or {})["unit"], side.at_ms) for side in conflict.sides] == [
        (cut.nodes[later], "kPa", NOW + 2 * SECOND),
        (cut.nodes[1 - later], "bar", NOW + SECOND),
    ]


@pytest.mark.parametrize(("deleted_at", "is_listed"), [(NOW + SECOND, True), (NOW + 3 * SECOND, False)])
def test_deleted_and_described_at_once_the_later_counts(cut: Cut, deleted_at: int, is_listed: bool) -> None:
    cut.do(0, asset.delete(cut.item(0)), deleted_at)
    cut.do(1, asset.describe(cut.item(1), {"unit": "bar"}), NOW + 2 * SECOND)
    seen = asset.view(cut.heal(), NOW)
    assert seen.is_listed is is_listed
    assert len(seen.conflicts) == 1


def test_a_description_keeps_fields_that_this_release_does_not_know(cut: Cut) -> None:
    cut.raw(0, "", {"type": "press", "colour": "red"})
    cut.do(0, asset.describe(cut.item(), {"unit": "bar"}))
    assert cut.body() == {"type": "press", "colour": "red", "unit": "bar"}


def test_a_description_may_hold_fields_that_this_release_does_not_know(cut: Cut) -> None:
    cut.do(0, asset.describe(cut.item(), {"colour": ["red"]}))
    assert cut.body()["colour"] == ["red"]


def test_a_field_that_cannot_be_is_refused_and_named(cut: Cut) -> None:
    with pytest.raises(RefusedError, match="range_high needs a number or null"):
        asset.describe(cut.item(), {"range_high": "tall"})


def test_a_field_of_anothers_that_cannot_be_read_does_not_stand_in_the_way(cut: Cut) -> None:
    cut.raw(0, "", {"type": "press", "range_high": "tall"})
    cut.do(0, asset.describe(cut.item(), {"unit": "bar"}))
    seen = asset.view(cut.item(), NOW)
    assert (seen.body, seen.is_readable) == (asset.AssetBody(type="press", unit="bar"), False)


@pytest.mark.parametrize("path", ["acme", "acme/leeds/press/1/hydraulics/p.oil_2-a"])
def test_a_path_has_one_to_six_levels(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "the enterprise '' of the path ''"),
        ("acme/Leeds", "the site 'Leeds'"),
        ("acme//press", "the site ''"),
        ("acme/leeds/press 1", "the area 'press 1'"),
        ("acme/leeds/press/1/2/3/4", "has 7 levels"),
        ("a/b/c/d/e/f" + "g" * 290, "has 301 characters"),
        ("acme\n", "the enterprise"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused_and_says_why(path: str, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_path(path)
    assert message in refused.value.message
    with pytest.raises(RefusedError):
        asset.describe(Item("asset", path), {})


@pytest.mark.parametrize(
    "thing", ["acme/leeds", "acme/leeds#", "#a", "acme#A", "acme#a#b", "acme/x#" + "y" * 300]
)
def test_a_thing_without_a_path_or_name_is_refused(thing: str) -> None:
    with pytest.raises(RefusedError):
        check_thing(thing)


def test_children_are_listed_in_order_with_those_that_only_lead_on() -> None:
    paths = ["acme/york", "acme/leeds/press/1", "acme/leeds/press/1/oil", "acme/leeds-old", "other"]
    assert children_of(paths) == ("acme", "other")
    assert children_of(paths, "acme") == ("acme/leeds", "acme/leeds-old", "acme/york")
    assert children_of(paths, "acme/leeds") == ("acme/leeds/press",)
    assert children_of(paths, "acme/york") == ()


def test_a_tree_holds_every_path_once_below_its_place() -> None:
    leeds = Branch("acme/leeds", False, (Branch("acme/leeds/press", True, ()),))
    york = Branch("acme/york", True, ())
    paths = ["acme/york", "acme/leeds/press"]
    assert tree_of(paths) == (Branch("acme", False, (leeds, york)),)
    assert tree_of(paths, "acme") == (leeds, york)
    assert [branch.name for branch in tree_of(paths)[0].walk()] == ["acme", "leeds", "press", "york"]


def test_a_tree_of_somebodys_endless_path_ends() -> None:
    assert [branch.path for branch in tree_of(["x" + "/x" * 140])[0].walk()][-1] == "x/x/x/x/x/x"
