"""Live values through the desk: offered here, shown there."""

import pytest

from node.errors import FieldmeshError
from node.exits import Exit
from tests.node.a_desk import meet, stations

OIL = "acme/lyon/hall-1/press/oil"


async def test_a_value_that_is_fed_here_is_shown_at_its_place_there() -> None:
    one, two = stations()
    meet([one, two])
    assert await one.ask("tags_feed", values={OIL: 63.5}, source_ms=1_000) == {"tags": 1, "gone": 0}
    meet([one, two])
    (tag,) = (await two.ask("world_place", path="acme/lyon"))["tags"]
    assert (tag["tag"], tag["value"], tag["quality"], tag["source_ms"]) == (OIL, 63.5, "good", 1_000)
    assert tag["on"] == "a"


async def test_a_tag_without_a_value_is_bad_and_the_others_are_as_they_were_told() -> None:
    (one,) = stations(1)
    await one.ask("tags_feed", values={OIL: None, "Oil 2": 7})
    one.plant.run(2)
    tags = (await one.ask("world_place"))["tags"]
    assert [(each["tag"], each["value"], each["quality"]) for each in tags] == [
        ("Oil 2", 7, "good"),
        (OIL, None, "bad"),
    ]


async def test_a_tag_that_is_gone_is_shown_no_longer() -> None:
    one, two = stations()
    await one.ask("tags_feed", values={OIL: 63.5})
    await one.ask("tags_feed", values={}, gone=[OIL])
    meet([one, two])
    assert (
        "t"
        in (await two.ask("world_get", kind="frame", item=one.core.state.me))["facets"][0]["versions"][0][
            "body"
        ]
    )
    assert (await two.ask("world_place", path=""))["tags"] == []


async def test_what_cannot_be_a_quality_is_refused_with_those_there_are() -> None:
    (one,) = stations(1)
    with pytest.raises(FieldmeshError, match="no quality 'fine'") as refused:
        await one.ask("tags_feed", values={OIL: 1}, quality="fine")
    assert refused.value.exit_code is Exit.USAGE
    assert "good" in refused.value.cure


async def test_tags_for_which_there_is_no_room_are_named_and_the_others_are_told() -> None:
    (one,) = stations(1)
    await one.ask("tags_feed", values={f"many/{number}": number for number in range(1000)})
    with pytest.raises(FieldmeshError, match="no room for new; the other 1 were told") as refused:
        await one.ask("tags_feed", values={"many/7": 70, "new": 1})
    assert refused.value.exit_code is Exit.FAILURE


async def test_a_write_that_is_refused_opens_no_document() -> None:
    (one,) = stations(1)
    with pytest.raises(FieldmeshError):
        await one.ask("world_set", kind="frame", item="somebody-else", body={"a": 1})
    assert "frame:somebody-else" not in one.core.world.state.library.names()
