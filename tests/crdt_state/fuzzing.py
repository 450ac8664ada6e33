"""The fuzzer, run in a process of its own so that a hang or a crash in native code is seen: `python -m ... SEED COUNT`.

It ends with status 0 when nothing was wrong, and says in one line of JSON what it has done.
"""

import hashlib
import json
import resource
import sys
from collections import Counter
from random import Random

import msgspec

from crdt_state.document import Document, Merged
from crdt_state.record import Record
from mesh.events import WriteRequested
from mesh.ranges import Range
from mesh.wire import (
    Busy,
    Entry,
    Message,
    Part,
    Push,
    Ranges,
    Records,
    RecordsWanted,
    Summaries,
    Told,
    Wanted,
)
from node.core import NodeCore
from tests.crdt_state.documents import NAME, Writing, full
from tests.crdt_state.hostile import Hostile
from tests.crdt_state.yjs import number, state_vector
from tests.mesh.cores import at, core_of, sent_to
from tests.mesh.puppet import Puppet, linked

REPLICA_EVERY = 250  # inputs, then the victim begins anew: what was pushed into it is not to hide what comes
CORE_EVERY = 15  # fewer than it takes to be ignored
GROWTH_MAX_MB = 200  # some times what one replica and the fuzzer itself come to


class Corpus:
    """What honest members have signed, some of it replaced since."""

    def __init__(self) -> None:
        self.writing = Writing()
        self.every: list[Record] = []
        self.document = self.writing.document(pen=101)
        for turn in range(2):
            for place in range(20):
                record = self.writing.record(f"a/{place}", {"n": place, "turn": turn}, by=place % 2, run=7)
                self.every.append(record)
                self.document.put(record)
        self.hashes = {record.hash for record in self.every}
        self.held = dict(self.document.records)

    def is_whole(self, records: dict[str, Record]) -> bool:
        """Whether these are exactly what was signed, each at its newest."""
        return records == self.held


class DocumentFuzz:
    """Hostile updates and records against one document and its gate."""

    def __init__(self, corpus: Corpus, random: Random) -> None:
        self._corpus = corpus
        self._hostile = Hostile(random, full(corpus.document), corpus.every)
        self._random = random
        self.refused: Counter[str] = Counter()
        self.victim = self._new_victim()

    def step(self) -> None:
        check = self._corpus.writing.check
        if self._random.random() < 0.3:
            merged = self.victim.take_loose(self._hostile.blob(), check)
        else:
            updates = [self._hostile.update() for _ in range(self._random.choice((1, 1, 1, 3)))]
            merged = self.victim.merge(updates, check)
        self._look(merged)
        if self._random.random() < 0.1:
            self.victim.mend(list(self.victim.astray))
            self.victim.take_stroke()

    def finish(self) -> None:
        """Honest records, and the form that carries them, have outlived everything."""
        for record in self._corpus.held.values():
            self._look(self.victim.take_loose(record.blob, self._corpus.writing.check))
        self.victim.mend(list(self.victim.astray))
        assert self._corpus.is_whole(self.victim.records), "not what was signed"
        assert not self.victim.astray, "a form that does not agree"
        fresh = self._corpus.writing.document()
        fresh.merge([full(self.victim)], self._corpus.writing.check)
        assert self._corpus.is_whole(fresh.records), "a form that does not carry its records"
        self.victim = self._new_victim()

    def _new_victim(self) -> Document:
        """Half the time it has everything already: then it must keep it."""
        victim = self._corpus.writing.document(pen=self._random.randrange(200, 2**52))
        if self._random.random() < 0.5:
            victim.merge([full(self._corpus.document)], self._corpus.writing.check)
            assert self._corpus.is_whole(victim.records)
        return victim

    def _look(self, merged: Merged) -> None:
        self.refused.update(merged.refused)
        assert all(record.hash in self._corpus.hashes for record in merged.accepted), "nobody signed that"
        assert not merged.equivocal, "nobody signed two"
        astray = self.victim.astray
        self.victim.find_astray()
        assert self.victim.astray.keys() <= astray.keys(), "a form that silently disagrees"
        self.victim.astray = astray


class CoreFuzz:
    """Hostile frames against a whole core that is linked with an honest and a hostile member."""

    def __init__(self, corpus: Corpus, random: Random) -> None:
        self._corpus = corpus
        self._hostile = Hostile(random, full(corpus.document), corpus.every)
        self._random = random
        self._run = 1
        self.refused: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        site = self._corpus.writing.site
        self._run += 1
        self.core: NodeCore = core_of(site.keys[0], site.saved(), seed=self._run)
        self.core.start(at(0.0))
        self.liar: Puppet = linked(site.keys[2], self.core, 0.1)
        self._now = at(0.2)
        body = msgspec.msgpack.encode({"n": 1})
        self.core.handle(WriteRequested(1, ((NAME, "own", "", body),)), self._now)
        self._own = self._content()

    def step(self) -> None:
        self._now = at(self._now.mono + 0.01)
        effects = self.liar.tell(self._now, self._message())
        for wanted in [each for each in sent_to(self.liar.node, effects) if isinstance(each, Wanted)]:
            self.liar.tell(self._now, self._part(wanted))

    def finish(self) -> None:
        found = self._content()
        assert found.items() >= self._own.items(), "our own record was touched"
        others = {value for key, value in found.items() if key not in self._own}
        assert others <= self._corpus.hashes, "nobody signed that"
        names = [document.name for document in self.core.world.state.library.documents()]
        assert len(names) < 20, "documents opened by hearsay"
        assert not self.core.world.equivocators(), "an honest author accused"
        self._begin()

    def _content(self) -> dict[str, int]:
        document = self.core.world.state.library.get(NAME)
        return {key: record.hash for key, record in document.records.items()} if document else {}

    def _message(self) -> Message:
        pick, random = self._random.randrange(9), self._random
        name = random.choice(
            (NAME, NAME, NAME, "alarm", "nonsense", f"x{random.randrange(100)}", "generation")
        )
        mark = random.choice((b"", b"", b"", b"12345678"))
        if pick <= 2:
            updates = tuple(self._hostile.update() for _ in range(random.randrange(1, 4)))
            fits = all(len(each) < 100_000 for each in updates)
            start = random.choice((0, 0, 0, 1, 2**53))
            pen = random.randrange(2**53)
            return self._sealed(Push(name, mark, pen, start, start + 1, updates if fits else ()))
        if pick == 3:
            return self._sealed(Records(name, mark, tuple(self._hostile.blob() for _ in range(4))))
        if pick == 4:
            have = random.choice(
                (
                    b"\0",
                    self._hostile.mutant(state_vector({7: 3, 2**40: 9})),
                    number(2**60),
                    random.randbytes(30),
                )
            )
            return Wanted(name, mark, have, random.randbytes(16), random.choice((0, 0, 1, 2**40)), "join")
        if pick == 5:
            entry = Entry(name, mark, random.randbytes(16), random.random() < 0.5)
            return Summaries((entry,) * random.choice((1, 3)), random.choice(("join", "nonsense")))
        if pick == 6:
            low, high = sorted((chr(random.randrange(33, 120)), chr(random.randrange(33, 120))))
            ids = ((low + "x", random.randbytes(16)),) * random.randrange(3)
            return Ranges(name, mark, (Range(low, high, random.randrange(3), random.randbytes(8), ids),))
        if pick == 7:
            return RecordsWanted(name, mark, (random.randbytes(8).hex(), self._corpus.every[0].key))
        return random.choice(
            (Told((random.randbytes(8),) * 2, "join"), Busy(name, random.choice((0, 2**50))))
        )

    def _part(self, wanted: Wanted) -> Part:
        """An answer to what the core has asked for."""
        data = self._hostile.update()[:100_000]
        total = len(data) + self._random.choice((0, 0, 0, 0, 1, -1, 2**40))
        part = Part(
            wanted.name,
            wanted.mark,
            hashlib.blake2b(wanted.have, digest_size=8).digest(),
            wanted.offset,
            max(0, total),
            data,
        )
        sealed = self._sealed(part)
        assert isinstance(sealed, Part)
        return sealed

    def _sealed(self, message: Push | Part | Records) -> Push | Part | Records:
        signature = self.liar.keys.identity.sign(message.content())
        if self._random.random() < 0.05:
            signature = self._hostile.mutant(signature)[:64].ljust(64, b"x")
        return msgspec.structs.replace(message, signature=signature)


def main(seed: int, count: int) -> None:
    corpus = Corpus()
    documents, cores = DocumentFuzz(corpus, Random(seed)), CoreFuzz(corpus, Random(seed + 1))
    memory_mb = _memory_mb()
    for place in range(count):
        if place % 4:
            documents.step()
        else:
            cores.step()
        if place % REPLICA_EVERY == REPLICA_EVERY - 1:
            documents.finish()
        if place % (4 * CORE_EVERY) == 0:
            cores.finish()
    documents.finish()
    cores.finish()
    grown_mb = _memory_mb() - memory_mb
    assert grown_mb < GROWTH_MAX_MB, f"grown by {grown_mb} MB"
    print(json.dumps({"inputs": count, "refused": dict(documents.refused), "grown_mb": grown_mb}))


def _memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
