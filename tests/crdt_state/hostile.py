"""What a hostile member may send in place of an honest update, from a seed: for the fuzzer and for tests."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment

from crdt_state.record import Record
from crdt_state.update import ROOT
from tests.crdt_state.yjs import deep_values, item, number, update_of

PEN_MAX = 2**53 - 1


class Hostile:
    """Makes hostile updates and records out of what honest nodes have signed."""

    def __init__(self, random: Random, honest: bytes, records: list[Record]) -> None:
        self.random = random
        self._honest = honest  # the full state of an honest document
        self._records = records
        self._crafts: tuple[Callable[[], bytes], ...] = (
            self._delete_keys,
            self._roll_back,
            self._forge_values,
            self._odd_values,
            self._odd_keys,
            self._misplace,
            self._nest,
            self._other_roots,
            self._other_type_of_root,
            self._gap,
            self._deep_value,
            self._huge_numbers,
            self._borrow_pen,
            self._circle,
            lambda: self._honest,
        )

    def update(self) -> bytes:
        """One update: crafted, and mutated more often than not."""
        data = self.random.choice(self._crafts)()
        return self.mutant(data) if self.random.random() < 0.6 else data

    def blob(self) -> bytes:
        """One record, mostly no longer what was signed."""
        blob = self.random.choice(self._records).blob
        return self.mutant(blob) if self.random.random() < 0.8 else blob

    def mutant(self, data: bytes) -> bytes:
        """The same with bits flipped, a piece cut off, out, in or doubled."""
        how, mutated = self.random.randrange(6), bytearray(data)
        at = self.random.randrange(len(mutated)) if mutated else 0
        stop = min(len(mutated), at + self.random.randrange(1, 40))
        if how <= 1:
            for _ in range(self.random.randrange(1, 9) if mutated else 0):
                mutated[self.random.randrange(len(mutated))] ^= 1 << self.random.randrange(8)
        elif how == 2:
            del mutated[at:]
        elif how == 3:
            del mutated[at:stop]
        elif how == 4:
            mutated[at:at] = mutated[at:stop]
        else:
            other = self._honest
            start = self.random.randrange(len(other))
            mutated[at:stop] = other[start : start + self.random.randrange(1, 60)]
        return bytes(mutated)

    # -- crafts

    def _drawn(self, draw: Callable[[Map[Any]], None]) -> bytes:
        """What a Yjs client sends that has the honest state and then does this."""
        doc: Doc[Any] = Doc(client_id=self.random.randrange(1, PEN_MAX))
        values: Map[Any] = doc.get(ROOT, type=Map)
        doc.apply_update(self._honest)
        before = doc.get_state()
        with doc.transaction():
            draw(values)
        return doc.get_update(before)

    def _keys(self) -> list[str]:
        return [each.key for each in self.random.sample(self._records, 3)]

    def _delete_keys(self) -> bytes:
        def draw(values: Map[Any]) -> None:
            for key in self._keys():
                if key in values:
                    del values[key]

        return self._drawn(draw)

    def _roll_back(self) -> bytes:
        def draw(values: Map[Any]) -> None:
            for record in self.random.sample(self._records, 3):
                values[record.key] = record.blob

        return self._drawn(draw)

    def _forge_values(self) -> bytes:
        def draw(values: Map[Any]) -> None:
            for record in self.random.sample(self._records, 3):
                values[record.key] = self.mutant(record.blob)

        return self._drawn(draw)

    def _odd_values(self) -> bytes:
        odd = (None, True, 7, -1.5, 2**53, "text", [1, [2, [b"3"]]], {"a": {"b": [b"c"]}}, b"", bytes(70_000))

        def draw(values: Map[Any]) -> None:
            for key in self._keys():
                values[key] = self.random.choice(odd)

        return self._drawn(draw)

    def _odd_keys(self) -> bytes:
        def draw(values: Map[Any]) -> None:
            blob = self.random.choice(self._records).blob
            values[self.random.choice(("", "x", "x" * 17, "y" * 5000, "\0" * 16, "ü" * 8, "€" * 16))] = blob

        return self._drawn(draw)

    def _misplace(self) -> bytes:
        def draw(values: Map[Any]) -> None:
            one, other = self.random.sample(self._records, 2)
            values[one.key] = other.blob
            values["A" * 16] = one.blob

        return self._drawn(draw)

    def _nest(self) -> bytes:
        def draw(values: Map[Any]) -> None:
            inner: Any = Map({"a": Array([1, 2, b"3"])})
            for _ in range(self.random.randrange(30)):
                inner = Map({"deeper": inner})
            one, other, third = self._keys()
            values[one] = inner
            values[other] = Array([Array([1]), Text("x"), Map({})])
            values[third] = self.random.choice((Text("text"), Doc(), Map({"blob": self._records[0].blob})))

        return self._drawn(draw)

    def _other_roots(self) -> bytes:
        doc: Doc[Any] = Doc(client_id=self.random.randrange(1, PEN_MAX))
        doc.get("more", type=Array).extend([1, b"2", "3"])
        text: Text = doc.get("notes", type=Text)
        text += "text"
        doc.get("record", type=Map)["a"] = self._records[0].blob
        doc.get("xml", type=XmlFragment).children.append(XmlElement("p", {"a": "b"}))
        return doc.get_update()

    def _other_type_of_root(self) -> bytes:
        doc: Doc[Any] = Doc(client_id=self.random.randrange(1, PEN_MAX))
        if self.random.random() < 0.5:
            doc.get(ROOT, type=Array).extend([1, b"2", self._records[0].blob])
        else:
            text: Text = doc.get(ROOT, type=Text)
            text += "x" * 100
        return doc.get_update()

    def _gap(self) -> bytes:
        pen, start = self.random.randrange(1, PEN_MAX), self.random.randrange(1, 1000)
        record = self.random.choice(self._records)
        return update_of({pen: (start, [item(record.key, record.blob)])})

    def _deep_value(self) -> bytes:
        depth = self.random.choice((10, 1_000, 20_000))
        return update_of({7: (0, [item("k" * 16, raw=deep_values(depth))])})

    def _huge_numbers(self) -> bytes:
        pen = self.random.choice((0, 2**31, PEN_MAX, 2**53, 2**63, 2**64 - 1))
        clock = self.random.choice((0, 2**31 - 1, 2**32 - 1, 2**53, 2**64 - 1))
        structs = [b"\0" + number(clock), item(self._records[0].key, self._records[0].blob)]
        return update_of({pen: (self.random.choice((0, clock)), structs)}, {pen: [(clock, clock)]})

    def _borrow_pen(self) -> bytes:
        """Somebody else's pen, from where it stands."""
        record = self.random.choice(self._records)
        pen, clock = self.random.choice((101, 102, 103)), self.random.randrange(40)
        return update_of({pen: (clock, [item(record.key, record.blob)] * 2)})

    def _circle(self) -> bytes:
        """Two pens, each of which builds on the other."""
        blob = self._records[0].blob
        return update_of(
            {8: (0, [item(origin=(9, 0), value=blob)]), 9: (0, [item(origin=(8, 0), value=blob)])}
        )


def content_of(blob: bytes) -> bytes:
    """The signed part of a blob."""
    content, _ = msgspec.msgpack.decode(blob)
    assert isinstance(content, bytes)
    return content
