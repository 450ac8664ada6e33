"""Whatever another node has signed, every kind can be looked at, on both sides of a cut."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt_state.kind import day_name
from crdt_state.kinds import (
    KINDS,
    advisory,
    alarm,
    asset,
    capability,
    conflict,
    evidence,
    fact,
    frame,
    generation,
    holding,
    policy,
    task,
)
from tests.crdt_state.records import IDENTITIES, NOW, Cut

OWNER = IDENTITIES[0].node
NAMES = {
    asset: "acme/leeds",
    fact: "acme/leeds#a",
    alarm: "acme/leeds#a",
    task: day_name(NOW, "a"),
    advisory: day_name(NOW, "a"),
    conflict: day_name(NOW, "a"),
    policy: "egress",
    generation: "asset",
    evidence: f"{OWNER}-a",
    capability: OWNER,
    frame: OWNER,
    holding: OWNER,
}
FIELDS = (
    *("active", "occurrence", "occurrences", "severity", "value", "limit", "since_ms", "until_ms", "by"),
    *("out", "title", "priority", "withdrawn", "owner", "since", "handed_to", "status", "quality", "t"),
    *("observed_ms", "fresh_ms", "probability", "evidence", "valid_until_ms", "verdict", "rules", "version"),
    *("docs", "context", "number", "register", "winner", "losers", "limits", "models", "cpu", "first"),
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from(("good", "done", "useful", OWNER)),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
bodies = st.none() | st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)


def test_every_kind_is_tried() -> None:
    assert sorted(module.KIND.name for module in NAMES) == sorted(KINDS.names())


@pytest.mark.parametrize("module", NAMES, ids=lambda module: module.KIND.name)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_body_stops_anybody_from_looking(module: Any, data: st.DataObject) -> None:
    cut = Cut(module.KIND.name, NAMES[module])
    for place in (0, 1):
        for facet in module.KIND.facets:
            cut.raw(place, facet, data.draw(bodies))
    item = cut.heal()
    view = module.view(item, NOW)
    assert repr(view) == repr(module.view(cut.item(1), NOW))
    assert module.KIND.is_closed(item, NOW) in (True, False)
