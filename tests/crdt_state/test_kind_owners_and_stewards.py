"""Capabilities and policies: what a node says of itself, and what stewards set for all."""

import pytest

from crdt_state.kinds import KINDS, capability, policy
from crdt_state.kinds.refusal import RefusedError
from tests.crdt_state.records import IDENTITIES, NOW, SECOND, Cut

OWNER, OTHER = (identity.node for identity in IDENTITIES[:2])


def test_a_node_announces_what_it_can_do() -> None:
    cut = Cut("capability", OWNER)
    assert not capability.view(cut.item(), NOW).is_known
    cut.do(0, capability.announce(cut.item(), {"models": ["small-3b"], "cpu": 4, "memory_mb": 8192}))
    seen = capability.view(cut.item(), NOW)
    assert seen.body == capability.CapabilityBody(models=("small-3b",), cpu=4, memory_mb=8192)
    assert (seen.node, seen.is_known, seen.announced_ms) == (OWNER, True, NOW)
    assert capability.announce(cut.item(), {"cpu": 4}) == ()


def test_only_the_nodes_own_word_on_what_it_can_do_counts() -> None:
    cut = Cut("capability", OWNER)
    cut.do(0, capability.announce(cut.item(), {"cpu": 4}))
    cut.heal()
    cut.raw(1, "", {"cpu": 64}, NOW + SECOND)
    assert capability.view(cut.heal(), NOW).body.cpu == 4
    by = cut.item().facet().by_author
    kind = KINDS.get("capability")
    assert [kind.may_write(by[node], is_steward=True) for node in (OWNER, OTHER)] == [True, False]


def test_an_announcement_keeps_unknown_fields_and_refuses_what_cannot_be() -> None:
    cut = Cut("capability", OWNER)
    cut.raw(0, "", {"colour": "red", "cpu": "many"})
    seen = capability.view(cut.item(), NOW)
    assert (seen.body.cpu, seen.is_readable) == (0, False)
    cut.do(0, capability.announce(cut.item(), {"cpu": 2, "roles": ["gateway"]}))
    assert cut.body() == {"colour": "red", "cpu": 2, "roles": ["gateway"]}
    with pytest.raises(RefusedError, match="a field cannot have this value"):
        capability.announce(cut.item(), {"cpu": -1})


def test_a_policy_is_set_anew_with_the_next_version() -> None:
    cut = Cut("policy", "egress")
    assert not policy.view(cut.item(), NOW).is_set
    cut.do(0, policy.set_rules(cut.item(), {"egress_allowed": False}, "at first"))
    seen = policy.view(cut.item(), NOW)
    assert (seen.rules, seen.version, seen.note) == ({"egress_allowed": False}, 1, "at first")
    cut.do(0, policy.set_rules(cut.item(), {"egress_allowed": True}))
    seen = policy.view(cut.item(), NOW)
    assert (seen.rules, seen.version, seen.note) == ({"egress_allowed": True}, 2, "")
    assert (seen.name, seen.set_by, seen.set_ms) == ("egress", OWNER, NOW)


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_stewards_at_once_the_later_counts_and_both_are_shown(later: int) -> None:
    cut = Cut("policy", "egress")
    cut.do(1 - later, policy.set_rules(cut.item(1 - later), {"a": 1}), NOW)
    cut.do(later, policy.set_rules(cut.item(later), {"a": 2}), NOW + SECOND)
    seen = policy.view(cut.heal(), NOW)
    assert (seen.rules, seen.version, len(seen.conflicts)) == ({"a": 2}, 1, 1)
    cut.do(0, policy.set_rules(cut.item(), {"a": 3}))
    seen = policy.view(cut.heal(), NOW)
    assert (seen.rules, seen.version, seen.conflicts) == ({"a": 3}, 2, ())


def test_a_policy_can_be_revoked_once() -> None:
    cut = Cut("policy", "egress")
    cut.do(0, policy.set_rules(cut.item(), {"a": 1}))
    cut.do(0, policy.revoke(cut.item()))
    assert not policy.view(cut.item(), NOW).is_set
    with pytest.raises(RefusedError, match="there is no policy"):
        policy.revoke(cut.item())


def test_only_stewards_write_policies() -> None:
    cut = Cut("policy", "egress")
    cut.do(0, policy.set_rules(cut.item(), {}))
    [record] = cut.item().facet().heads()
    kind = KINDS.get("policy")
    assert [kind.may_write(record, is_steward) for is_steward in (True, False)] == [True, False]


def test_a_policy_keeps_unknown_fields_and_says_what_cannot_be_read() -> None:
    cut = Cut("policy", "egress")
    cut.raw(0, "", {"rules": [1], "version": 7, "colour": "red"})
    seen = policy.view(cut.item(), NOW)
    assert (seen.rules, seen.version, seen.is_readable) == ({}, 7, False)
    cut.do(0, policy.set_rules(cut.item(), {"a": 1}))
    assert cut.body() == {"rules": {"a": 1}, "version": 8, "colour": "red"}
