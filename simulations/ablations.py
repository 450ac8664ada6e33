"""Ablations: one safeguard at a time is switched off, to see that its scenario notices.

A safeguard whose removal nothing notices is not tested. Nothing in the product knows of these switches.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from crdt_state.document import Document
from crdt_state.form import PEN_BITS
from crdt_state.holdings import Acknowledged
from crdt_state.library import Library
from crdt_state.world import World as Documents
from mesh.ids import NodeId
from mesh.now import Now
from mesh.wire import Entry
from node.core import NodeCore
from simulations.cores import Core, MakeCore, Nativity

Switch = Callable[[NodeCore], None]


@dataclass(frozen=True, slots=True)
class Ablation:
    """A safeguard that can be switched off."""

    name: str
    about: str
    scenario: str  # the one that fails without it
    switch: Switch | None = None
    has_fixed_pens: bool = False
    persists_last: bool = False


def without(ablation: Ablation, make_core: MakeCore) -> MakeCore:
    """Makes the same cores without the safeguard."""

    def make(nativity: Nativity) -> Core:
        if ablation.has_fixed_pens:
            return _born_with_one_pen(make_core, nativity)
        core = make_core(nativity)
        if ablation.switch is not None and isinstance(core, NodeCore):
            ablation.switch(core)
        return core

    return make


def _born_with_one_pen(make_core: MakeCore, nativity: Nativity) -> Core:
    """Every document of this node is drawn into with the same pen, in every run."""
    digest = hashlib.blake2b(nativity.keys.identity.node.encode(), digest_size=8).digest()
    pen = int.from_bytes(digest, "big") >> (64 - PEN_BITS) | 1
    drawn_anew = Library.new_pen
    setattr(Library, "new_pen", lambda _: pen)  # noqa: B010 - while it is born it opens what was saved
    try:
        core = make_core(nativity)
    finally:
        setattr(Library, "new_pen", drawn_anew)  # noqa: B010 - a plain assignment is no assignment to mypy
    assert isinstance(core, NodeCore)
    _replace(core.world.state.library, "new_pen", lambda: pen)
    return core


def _compare_heads_only(core: NodeCore) -> None:
    """Peers are told digests of heads, not of content."""
    world = core.world

    def digests() -> tuple[bytes, ...]:
        sums = [hashlib.blake2b(digest_size=8) for _ in range(2)]
        for name in sorted(world.state.library.names()):
            document = world.state.library.get(name)
            if document is not None and document.records:
                sums[world.state.library.is_owned(name)].update(name.encode() + _heads(document))
        return tuple(each.digest() for each in sums)

    def entry(name: str) -> Entry | None:
        document = world.state.library.get(name)
        told = Documents.entry(world, name)
        if told is None or document is None:
            return None
        return msgspec.structs.replace(told, digest=_heads(document))

    _replace(world, "digests", digests)
    _replace(world, "entry", entry)


def _heads(document: Document) -> bytes:
    return hashlib.blake2b(document.mark + document.summary(), digest_size=16).digest()


def _collect_unasked(core: NodeCore) -> None:
    """What this node holds counts as held by everybody."""
    state = core.world.state

    def acknowledged(document: Document, _: Now) -> Acknowledged:
        members: tuple[NodeId, ...] = tuple(sorted({state.fabric.me, *state.fabric.roster.members()}))
        return Acknowledged(document.revision, members)

    _replace(core.world.upkeep.holdings, "acknowledged", acknowledged)


def _replace(holder: object, method: str, by: Callable[..., object]) -> None:
    setattr(holder, method, by)


ABLATIONS = {
    ablation.name: ablation
    for ablation in (
        Ablation(
            "unique-pens",
            "a node draws into every document with one pen, again after its form was lost",
            "twin-pens",
            has_fixed_pens=True,
        ),
        Ablation("content-hash", "peers compare heads only", "equal-heads", _compare_heads_only),
        Ablation(
            "acknowledged-collection",
            "a node collects what is done with as soon as it knows of it",
            "long-absence",
            _collect_unasked,
        ),
        Ablation(
            "persist-before-send",
            "what is sent and told goes out before it is on the disk",
            "crash-writes",
            persists_last=True,
        ),
    )
}
