"""Documents and a gate for tests: a site of three, whose members write assets."""

from itertools import count

from crdt_state.document import Document
from crdt_state.gate import Gate
from crdt_state.kinds import KINDS
from crdt_state.record import Body, Dot, Record, RecordError, Register, make_record
from mesh.hybrid import time_of
from mesh.roster import Roster
from mesh.trust import Identity
from tests.mesh.site import WALL_MS, Site, make_site

NAME = "asset"


def nothing_wrong(_: Record) -> None:
    """A check that lets everything pass."""


class Writing:
    """A site's members, each with its numbers."""

    def __init__(self, site: Site | None = None) -> None:
        self.site = site or make_site(3)
        self.identities = [keys.identity for keys in self.site.keys]
        self.roster = Roster(self.site.root, self.site.saved()["roster"])
        self.gate = Gate(KINDS, self.roster)
        self._seqs = count(1)
        self._pens = count(101)

    def record(
        self,
        item: str = "a/pump",
        body: Body | None = None,
        by: int = 0,
        seq: int | None = None,
        run: int = 1,
        over: tuple[Dot, ...] = (),
        kind: str = "asset",
        ms: int = WALL_MS,
    ) -> Record:
        """A signed record by the member at this place; its number is the next one unless it is given."""
        number = next(self._seqs) if seq is None else seq
        value = {"n": number} if body is None else body
        return make_record(self.identity(by), Register(kind, item), run, number, time_of(ms), over, value)

    def identity(self, place: int) -> Identity:
        return self.identities[place]

    def document(self, *records: Record, pen: int | None = None, name: str = NAME) -> Document:
        """A document into which these records have been drawn."""
        document = Document(name, b"", next(self._pens) if pen is None else pen)
        for record in records:
            document.put(record)
        return document

    def check(self, record: Record) -> None:
        self.gate.check(record, NAME)

    def refusal(self, record: Record, document: str = NAME) -> str:
        """Why the gate refuses a record; empty when it does not."""
        try:
            self.gate.check(record, document)
        except RecordError as error:
            return error.reason
        return ""


def full(document: Document) -> bytes:
    """The delta for somebody who has nothing."""
    return document.delta_since(b"\0")
