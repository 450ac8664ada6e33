"""A node's own frame: what it shows after a restart, and whom it tells of what."""

from crdt_state.kinds.frame import view
from crdt_state.kinds.values import Quality
from mesh.events import TagsOffered, TagsTaken
from node.core import NodeCore
from tests.mesh.cores import at, born, core_of
from tests.mesh.site import make_site

SITE = make_site(1)


def shown(core: NodeCore) -> dict[str, tuple[object, Quality]]:
    item = core.world.state.view.item("frame", core.state.me)
    tags = view(item, 0).tags if item else {}
    return {name: (tag.value, tag.quality) for name, tag in tags.items()}


def test_what_an_earlier_run_has_shown_is_stale_until_it_is_told_anew() -> None:
    first = core_of(SITE.keys[0], SITE.saved())
    first.start(at(0))
    first.handle(TagsOffered((("oil", 63.5, "good", 1), ("state", "running", "good", 1))), at(1))
    assert shown(first) == {"oil": (63.5, Quality.GOOD), "state": ("running", Quality.GOOD)}

    record = next(iter(first.world.state.library.open(f"frame:{first.state.me}").records.values()))  # type: ignore[union-attr]  # it is there
    saved = {**SITE.saved(), f"record:frame:{first.state.me}": {record.key: record.blob}}
    second = core_of(SITE.keys[0], saved, born(2))
    second.start(at(0))
    second.handle(TagsOffered((("oil", 64.0, "good", 2),)), at(1))
    assert shown(second) == {"oil": (64.0, Quality.GOOD), "state": ("running", Quality.STALE)}


def test_who_asks_is_told_which_tags_were_refused() -> None:
    core = core_of(SITE.keys[0], SITE.saved())
    core.start(at(0))
    effects = core.handle(TagsOffered((("oil", 1, "good", 1), ("", 2, "good", 1)), token=7), at(1))
    assert [each for each in effects if isinstance(each, TagsTaken)] == [TagsTaken(7, ("",))]
