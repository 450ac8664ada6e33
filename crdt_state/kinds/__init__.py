"""The kinds of records that this release knows."""

from crdt_state.kind import Kind, Kinds

KINDS = Kinds(
    (
        Kind("asset"),
        Kind("fact", each_observes=True),
        Kind("alarm", facets=("condition", "ack", "shelving", "suppression", "service")),
        Kind("task", facets=("offer", "claim", "outcome"), group="day"),
        Kind("advisory", group="day"),
        Kind("capability", writers="owner"),
        Kind("policy", writers="stewards"),
        Kind("frame", group="owner", writers="owner"),
        Kind("holding", group="owner", writers="owner"),
        Kind("generation"),
        Kind("conflict", group="day"),
        Kind("evidence"),
    )
)
