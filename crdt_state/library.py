"""All documents of one node, by name: opened when first needed, loaded from what was saved, summed up in digests."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

import msgspec

from crdt_state.context import Context
from crdt_state.document import Document
from crdt_state.form import PEN_BITS
from crdt_state.kind import Kinds
from crdt_state.record import Dot, RecordError, decode_record
from mesh.ids import NodeId, is_node_id

DOCUMENTS_MAX = 4096  # two for each of some hundreds of nodes, and one for each kind and day of some years
OWN_RESERVE = 256  # documents more for what this node itself writes: the days of some months
NAME_CHARS_MAX = 80
RECORD_TABLE = "record:"  # followed by the document's name: its records, by key
FORM_TABLE = "document"  # by name: generation mark and pycrdt state, to save fetching it again
DIGEST_BYTES = 8
FIRST = (
    "generation",
    "evidence",
    "policy",
    "alarm",
)  # what the rest depends on, or is most urgent, is fetched first


@dataclass(frozen=True, slots=True)
class Birth:
    """How a document that is not there yet begins."""

    mark: bytes = b""
    context: Context = field(default_factory=Context)
    is_whole: bool = True  # False: this generation has content, to be fetched from a peer


class _Form(msgspec.Struct, frozen=True, array_like=True):
    mark: bytes
    state: bytes
    context: tuple[tuple[str, int, int], ...] = ()  # what has been held: not all of it is any more


class Library:
    """Opens documents, each with a pen that was never used before."""

    def __init__(self, kinds: Kinds, random: Random) -> None:
        self._kinds = kinds
        self._random = random
        self._documents: dict[str, Document] = {}
        self._drawn: dict[str, None] = {}
        self.birth_of: Callable[[str], Birth] = lambda _: Birth()
        self._digests: tuple[bytes, bytes] | None = None

    def load(self, saved: Mapping[str, Mapping[str, bytes]]) -> list[str]:
        """Open what was saved; reasons for what of it could not be used."""
        damaged: list[str] = []
        forms = saved.get(FORM_TABLE, {})
        tables = (table.removeprefix(RECORD_TABLE) for table in saved if table.startswith(RECORD_TABLE))
        for name in sorted({*tables, *forms}):
            form = _form_of(forms.get(name))
            document = self._documents[name] = Document(name, form.mark, self.new_pen())
            document.seen.join_dots(Dot(NodeId(author), run, seq) for author, run, seq in form.context)
            document.context.join(document.seen)
            for key, blob in saved.get(RECORD_TABLE + name, {}).items():
                damaged.extend(_load_record(document, key, blob))
            if not document.restart(form.mark, document.pen, form.state):
                damaged.append("form-damaged")
        return damaged

    def get(self, name: str) -> Document | None:
        return self._documents.get(name)

    def open(self, name: str, is_ours: bool = False) -> Document | None:
        """The document of this name, new if need be; None when there are too many, or it can have no such name.

        `is_ours`: for a write of our own there is some room left when peers have filled theirs.
        """
        document = self._documents.get(name)
        if document is None and self._has_room(name, OWN_RESERVE if is_ours else 0):
            birth = self.birth_of(name)
            document = self._documents[name] = Document(name, birth.mark, self.new_pen())
            document.context.join(birth.context)
            document.is_whole = birth.is_whole
        return document

    def may_open(self, name: str, mark: bytes) -> bool:
        """Whether there can be a new document of this name and generation."""
        return name not in self._documents and self._has_room(name) and self.birth_of(name).mark == mark

    def close(self, name: str) -> Document | None:
        """Forget a document that has been dropped."""
        self.changed()
        self._drawn.pop(name, None)
        return self._documents.pop(name, None)

    def documents(self) -> Iterable[Document]:
        return self._documents.values()

    def names(self) -> list[str]:
        """In the order in which they should be fetched."""
        return sorted(self._documents, key=self._rank)

    def drew(self, document: Document) -> None:
        """We have drawn into this form: there is something to push."""
        self._drawn[document.name] = None
        self.changed()

    def has_drawn(self) -> bool:
        return bool(self._drawn)

    def take_drawn(self) -> list[Document]:
        """The documents into which we have drawn since last asked."""
        drawn = [self._documents[name] for name in self._drawn if name in self._documents]
        self._drawn.clear()
        return drawn

    def is_owned(self, name: str) -> bool:
        """Whether only one node writes it. The name tells, so that nodes agree on kinds that not all of them know."""
        return is_node_id(name.partition(":")[2])

    def new_pen(self) -> int:
        return self._random.getrandbits(PEN_BITS - 1) + 1

    def changed(self) -> None:
        """Some document has changed."""
        self._digests = None

    def digests(self) -> tuple[bytes, bytes]:
        """Of the shared documents, and of those with one owner each. Empty ones do not count."""
        if self._digests is None:
            sums = [hashlib.blake2b(digest_size=DIGEST_BYTES) for _ in range(2)]
            for name in sorted(self._documents):
                document = self._documents[name]
                if document.records:
                    line = name.encode() + b"\0" + document.mark + b"\0" + document.digest
                    sums[self.is_owned(name)].update(line)
            self._digests = (sums[0].digest(), sums[1].digest())
        return self._digests

    def _has_room(self, name: str, reserve: int = 0) -> bool:
        is_printable = 0 < len(name) <= NAME_CHARS_MAX and name.isprintable()
        return is_printable and len(self._documents) < DOCUMENTS_MAX + reserve

    def _rank(self, name: str) -> tuple[int, bool, str]:
        kind = name.partition(":")[0]
        place = FIRST.index(kind) if kind in FIRST else len(FIRST)
        return (place, self.is_owned(name), name)


def form_of(document: Document) -> bytes:
    """What is saved of a document's form."""
    context = tuple((str(dot.author), dot.run, dot.seq) for dot in document.seen.dots())
    return msgspec.msgpack.encode(_Form(document.mark, document.state(), context))


def _form_of(saved: bytes | None) -> _Form:
    try:
        return msgspec.msgpack.decode(saved or b"", type=_Form)
    except msgspec.DecodeError:
        return _Form(b"", b"")


def _load_record(document: Document, key: str, blob: bytes) -> list[str]:
    """Records of our own store are not checked again but for their shape: the store's check has found them sound."""
    try:
        record = decode_record(blob)
    except RecordError as error:
        return [error.reason]
    if record.key != key:
        return ["record-misplaced"]
    document.remember(record)
    return []
