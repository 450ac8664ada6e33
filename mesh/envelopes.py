"""Envelopes: what carries a delta is signed by who sends it, so that what is wrong with it has a name."""

from typing import TypeVar

import msgspec

from mesh.ids import NodeId
from mesh.state import FabricState
from mesh.trust import verify
from mesh.wire import Part, Push, Records

Enveloped = TypeVar("Enveloped", Part, Push, Records)


def seal(state: FabricState, unsigned: Enveloped) -> Enveloped:
    """The same, with our signature."""
    return msgspec.structs.replace(unsigned, signature=state.keys.identity.sign(unsigned.content()))


def is_sealed(state: FabricState, sender: NodeId, message: Enveloped) -> bool:
    """Whether the sender has signed this; counted when not."""
    identity = state.roster.identity(sender)
    if identity is not None and verify(identity, message.signature, message.content()):
        return True
    state.count("envelope-forged", sender)
    return False
