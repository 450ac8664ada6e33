"""The shared kinds of world state: what each means, how to read it, and what can be done with it."""

from crdt_state.kind import Kinds
from crdt_state.kinds import (
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

KINDS = Kinds(
    (
        asset.KIND,
        fact.KIND,
        alarm.KIND,
        task.KIND,
        advisory.KIND,
        capability.KIND,
        policy.KIND,
        frame.KIND,
        holding.KIND,
        generation.KIND,
        conflict.KIND,
        evidence.KIND,
    )
)
"""Every kind that this release knows."""
