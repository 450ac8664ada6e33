"""The proof of convergence: for each document, what every member says it holds, against what we hold."""

from dataclasses import dataclass
from enum import StrEnum

from crdt_state.document import Document
from crdt_state.holdings import Held, Holdings
from crdt_state.state import WorldState
from mesh.ids import NodeId


class Standing(StrEnum):
    """How a member's copy of a document relates to ours."""

    EQUAL = "equal"
    BEHIND = "behind"  # it holds nothing yet, or what we held earlier, or in an earlier generation
    DIFFERENT = (
        "different"  # it holds something that we have not seen it agree with: ahead, or about to be synced
    )
    DIVERGED = "diverged"  # equal heads and other content: being repaired
    UNKNOWN = "unknown"  # it has not said


@dataclass(frozen=True, slots=True)
class MemberProof:
    """One member's copy."""

    node: NodeId
    standing: Standing
    digest: str
    records: int
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class DocumentProof:
    """One document."""

    document: str
    mark: str
    digest: str
    records: int
    members: tuple[MemberProof, ...]

    @property
    def is_equal(self) -> bool:
        return all(member.standing is Standing.EQUAL for member in self.members)


def verify(state: WorldState, holdings: Holdings, diverged: set[tuple[str, NodeId]]) -> list[DocumentProof]:
    """Every shared document, by name. `diverged`: documents and peers whose heads are equal and content is not."""
    documents = sorted(state.library.documents(), key=lambda each: each.name)
    return [
        _of_document(state, holdings, document, diverged)
        for document in documents
        if document.records and not state.library.is_owned(document.name)
    ]


def _of_document(
    state: WorldState, holdings: Holdings, document: Document, diverged: set[tuple[str, NodeId]]
) -> DocumentProof:
    others = [node for node in state.fabric.roster.members() if node != state.fabric.me]
    members = tuple(
        _of_member(node, holdings.held(node), document, (document.name, node) in diverged) for node in others
    )
    return DocumentProof(
        document.name, document.mark.hex(), document.digest.hex(), len(document.records), members
    )


def _of_member(node: NodeId, held: Held | None, document: Document, is_diverged: bool) -> MemberProof:
    said = held.holding.docs.get(document.name) if held else None
    if held is None:
        return MemberProof(node, Standing.UNKNOWN, "", 0, 0)
    if said is None:
        return MemberProof(node, Standing.BEHIND, "", 0, held.said_ms)
    mark, digest, records = said
    return MemberProof(node, _standing(document, mark, digest, is_diverged), digest, records, held.said_ms)


def _standing(document: Document, mark: str, digest: str, is_diverged: bool) -> Standing:
    if is_diverged:
        return Standing.DIVERGED
    if digest == document.digest.hex():
        return Standing.EQUAL if mark == document.mark.hex() else Standing.BEHIND
    try:
        is_past = document.revision_at(bytes.fromhex(digest)) is not None
    except ValueError:
        is_past = False
    return Standing.BEHIND if is_past else Standing.DIFFERENT
