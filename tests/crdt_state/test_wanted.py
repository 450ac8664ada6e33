"""What a field needs is said in plain words."""

from typing import Any

import pytest

from crdt_state.kinds.alarm_life import Ack
from crdt_state.kinds.asset import AssetBody
from crdt_state.kinds.capability import CapabilityBody
from crdt_state.kinds.fact import FactBody
from crdt_state.kinds.policy import PolicyBody
from crdt_state.kinds.task import Offer, Outcome
from crdt_state.kinds.wanted import misfit, text_fields


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        (AssetBody, {"serial": 77}, "serial needs text, not 77"),
        (AssetBody, {"limits": {"low": "x"}}, 'limits.low needs a number or null, not "x"'),
        (AssetBody, {"limits": 7}, "limits needs an object with named fields, not 7"),
        (AssetBody, {"type": "x", "colour": 3}, ""),
        (Offer, {"priority": 9}, "priority needs a whole number from 1 to 4, not 9"),
        (Offer, {"withdrawn": "no"}, 'withdrawn needs true or false, not "no"'),
        (Outcome, {"status": "over"}, 'status needs one of "", "done", "failed", not "over"'),
        (
            FactBody,
            {"quality": "fine"},
            'quality needs one of "good", "uncertain", "bad", "stale", not "fine"',
        ),
        (PolicyBody, {"rules": [1]}, "rules needs an object with named values, not [1]"),
        (CapabilityBody, {"roles": "cook"}, 'roles needs a list, each text, not "cook"'),
        (Ack, {"occurrences": ["x" * 60]}, ""),
        (Ack, {"by": ["x" * 60]}, f'by needs text, not ["{"x" * 35}...'),
    ],
)
def test_the_first_field_that_does_not_fit_is_named_with_what_it_needs(
    model: Any, fields: dict[str, Any], said: str
) -> None:
    assert misfit(model, fields) == said


def test_a_field_whose_value_is_text_is_known_as_such() -> None:
    names = {"type", "description", "unit", "maker", "model", "serial", "classification"}
    assert text_fields(AssetBody) == names
