"""Writing at every node while a scenario plays, and finding out afterwards what has become of it."""

import asyncio
import random
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from crdt_state.record import Record, decode_record
from node.desk import REFUSALS
from node.errors import FieldmeshError
from node.exits import Exit
from simulations.lab.account import UNCOMPARED, Account, differing, dot_of
from simulations.lab.acts import Deed, Hand
from simulations.lab.asking import Line, line_to
from simulations.lab.judge import Judge
from simulations.lab.report import Written

PAUSE_S = (0.03, 0.12)  # between two writes of one node
FRAME_EVERY = 10  # one write in so many is a frame of live values
LOOK_EVERY_S = 0.1  # while the nodes become equal: the resolution of `heal_s`
AGAIN_S = 0.1  # a node that does not answer is starting, or killed
SETTLE_TRIES = 5  # the exports of several nodes are not of one moment, and nodes write about themselves
SETTLE_PAUSE_S = 1.0
OVERTAKEN = REFUSALS["write-overtaken"][0]  # both sides write the same items: one is told to look again
UNWRITABLE = (Exit.TEMPORARY, Exit.DISK, Exit.INTERNAL)
"""Refusals that no person has deserved: a node takes writes on every side of a cut."""

INVARIANTS = {"lost_acknowledged": "S1", "diverged": "S2", "resurrected": "S4", "unexplained_missing": "L5"}

Documents = dict[str, str]
"""A node's documents, and the digest of each."""


class Writing:
    """Writers at these nodes, and the account of what they were told. Leaving it (`async with`) ends them."""

    def __init__(self, sockets: Mapping[str, Path], judge: Judge, seed: int) -> None:
        self.account = Account()
        self.refused: Counter[str] = Counter()  # by verb: what made no sense at that moment
        self.unanswered = 0  # writes whose node was killed under them: nothing was promised
        self._sockets = sockets
        self._judge = judge
        self._seed = seed
        self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._seen: dict[str, tuple[float, Documents]] = {}  # by node: when it was asked, and what it said

    async def __aenter__(self) -> "Writing":
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._tasks, *self._watchers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_everywhere(self) -> bool:
        """Whether there are writers at all."""
        return bool(self._sockets)

    def begin(self) -> None:
        """Everybody writes from now on."""
        self._tasks = [asyncio.create_task(self._write(node), name=f"write-{node}") for node in self._sockets]

    async def end(self) -> None:
        """Everybody has stopped, and knows what became of the last write."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def look(self) -> None:
        """Note what every node that answers holds at this moment."""
        for node in self._sockets:
            try:
                self.account.look(node, await self._held(node))
            except ConnectionError:
                continue  # it has been killed

    def watch(self) -> None:
        """From now on every node is asked what it holds, again and again."""
        self._watchers = [
            asyncio.create_task(self._watch(node), name=f"content-{node}") for node in self._sockets
        ]

    def lacking_since(self, since: float) -> str:
        """Empty once all nodes, asked since then, have said that they hold the same."""
        said = {node: documents for node, (asked_at, documents) in self._seen.items() if asked_at >= since}
        silent = [node for node in self._sockets if node not in said]
        if silent:
            return f"{', '.join(silent)} did not say what they hold"
        names = sorted({name for documents in said.values() for name in documents})
        unequal = [name for name in names if len({each.get(name) for each in said.values()}) > 1]
        return f"the nodes hold different records of {', '.join(unequal)}" if unequal else ""

    async def settle(self) -> None:
        """Compare all nodes with each other and with what they have acknowledged."""
        held: dict[str, dict[str, dict[str, Record]]] = {}
        for _ in range(SETTLE_TRIES):
            held = {node: await self._held(node) for node in self._sockets}
            if not differing(held):
                break
            await asyncio.sleep(SETTLE_PAUSE_S)
        for node, theirs in held.items():
            self.account.look(node, theirs)
            for document in await self._diverged(node):
                self.account.diverged(node, document)
        self.account.settle(held)

    def written(self, heal_s: float | None) -> Written:
        """The figures of the report; each loss is a violation too."""
        account = self.account
        for loss in account.losses:
            self._judge.violate(INVARIANTS[loss.key], loss.detail)
        return Written(
            diverged=account.count("diverged"),
            lost_acknowledged=account.count("lost_acknowledged"),
            resurrected=account.count("resurrected"),
            unexplained_missing=account.count("unexplained_missing"),
            heal_s_p95=heal_s,
            writes_acknowledged=account.acknowledged,
            writes_refused=sum(self.refused.values()),
            writes_unanswered=self.unanswered,
        )

    # -- writing

    async def _write(self, node: str) -> None:
        chance = random.Random(f"{self._seed} {node}")
        while not self._is_over:
            try:
                async with line_to(self._sockets[node]) as line:
                    await self._write_on(line, node, chance)
            except ConnectionError:
                await asyncio.sleep(AGAIN_S)

    async def _write_on(self, line: Line, node: str, chance: random.Random) -> None:
        try:
            me = str((await line.ask("status"))["id"])
        except FieldmeshError:
            raise ConnectionError from None  # it is starting
        hand = Hand(me, f"{datetime.now(UTC):%Y%m%d}", chance)
        number = 0
        while not self._is_over:
            number += 1
            deed = hand.frame(number) if number % FRAME_EVERY == 0 else hand.next()
            await self._do(line, node, deed)
            await asyncio.sleep(chance.uniform(*PAUSE_S))

    async def _do(self, line: Line, node: str, deed: Deed) -> None:
        try:
            answer = await line.ask(deed.verb, **deed.arguments)
        except FieldmeshError as error:
            self._refuse(node, deed, error)
            return
        except ConnectionError:
            self.unanswered += 1
            raise
        dots = answer.get("dots", [answer["dot"]] if "dot" in answer else [])
        for dot in dots:
            self.account.acknowledge(node, deed.register, dot_of(dot))
        if len(dots) > 1:
            self._judge.violate("protocol", f"{deed.verb} at {node} wrote {len(dots)} records, not one")

    def _refuse(self, node: str, deed: Deed, error: FieldmeshError) -> None:
        self.refused[deed.verb] += 1
        if error.exit_code in UNWRITABLE and error.message != OVERTAKEN:
            self._judge.violate("L4", f"{node} did not take {deed.verb}: {error.message}")

    # -- looking

    async def _watch(self, node: str) -> None:
        while True:
            try:
                async with line_to(self._sockets[node]) as line:
                    while True:
                        asked_at = time.monotonic()
                        self._seen[node] = (asked_at, _digests(await line.ask("world_documents")))
                        await asyncio.sleep(LOOK_EVERY_S)
            except (ConnectionError, FieldmeshError):
                await asyncio.sleep(AGAIN_S)

    async def _held(self, node: str) -> dict[str, dict[str, Record]]:
        held: dict[str, dict[str, Record]] = {}
        async with line_to(self._sockets[node]) as line:
            for batch in await line.ask_all("world_export"):
                for each in batch["records"]:
                    record = decode_record(b64decode(each["blob"]))
                    held.setdefault(each["document"], {})[record.key] = record
        return held

    async def _diverged(self, node: str) -> list[str]:
        """The documents of which this node says that somebody's replica has diverged."""
        async with line_to(self._sockets[node]) as line:
            documents = (await line.ask("world_verify"))["documents"]
        return [
            str(each["document"])
            for each in documents
            if any(member["standing"] == "diverged" for member in each["members"])
        ]


def _digests(answer: Mapping[str, list[Mapping[str, object]]]) -> Documents:
    return {
        str(each["document"]): str(each["digest"])
        for each in answer["documents"]
        if each["records"] and str(each["document"]).partition(":")[0] not in UNCOMPARED
    }
