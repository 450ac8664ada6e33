"""One write to the disk for a batch of events; what depends on it waits, and is not told when it fails."""

from collections.abc import Sequence

from mesh.events import (
    Counted,
    Effect,
    Hangup,
    Persist,
    Send,
    SendAll,
    Traffic,
    Write,
    WriteDone,
)
from mesh.ids import NodeId
from node import batch as batches
from node.batch import Batch
from node.database import StoreError
from node.keeping import Keeping

PEER = NodeId("b" * 26)


class Disk:
    """A disk that may be full, and a transcript of what happened when."""

    def __init__(self) -> None:
        self.is_full = False
        self.transcript: list[object] = []

    def write(self, writes: Sequence[Write]) -> None:
        if self.is_full:
            raise StoreError("disk-full", "no room", "make room")
        self.transcript.append([each.key for each in writes])


def persist(key: str, size: int = 1) -> Persist:
    return Persist((Write("t", key, bytes(size)),))


def send(text: str) -> Send:
    return Send(PEER, 1, Traffic.STATE, text.encode())


async def run(disk: Disk, *events: list[Effect], keeping: Keeping | None = None) -> str:
    batch = Batch(keeping or Keeping(disk), disk.transcript.append)
    for effects in events:
        batch.take_on(effects)
    return await batch.finish()


async def test_all_writes_of_a_batch_are_one_commit_and_what_follows_them_keeps_its_order() -> None:
    disk = Disk()
    keeping = Keeping(disk)
    reason = await run(
        disk,
        [send("a"), persist("1"), send("b"), persist("2"), send("c")],
        [send("d")],
        [persist("3"), WriteDone(7, ("x",)), Counted("n")],
        keeping=keeping,
    )
    assert reason == ""
    assert disk.transcript == [
        send("a"),
        ["1", "2", "3"],
        send("b"),
        send("c"),
        send("d"),
        WriteDone(7, ("x",)),
        Counted("n"),
    ]
    assert (keeping.commits, keeping.rows) == (1, 3)


async def test_a_batch_that_saves_nothing_does_not_touch_the_disk_and_waits_for_nothing() -> None:
    disk = Disk()
    batch = Batch(Keeping(disk), disk.transcript.append)
    batch.take_on([send("a"), Counted("n")])
    assert disk.transcript == [send("a"), Counted("n")]
    assert await batch.finish() == ""
    assert disk.transcript == [send("a"), Counted("n")]


async def test_of_an_event_whose_rows_are_not_saved_nothing_is_sent_or_acknowledged() -> None:
    disk = Disk()
    disk.is_full = True
    to_all = SendAll(((PEER, 1),), Traffic.STATE, b"x")
    reason = await run(
        disk, [send("before"), persist("1"), send("a"), to_all, Hangup(3), WriteDone(7, ()), Counted("n")]
    )
    assert reason == "disk-full"
    assert disk.transcript == [send("before"), Hangup(3), Counted("n")]


async def test_beats_of_other_events_in_the_batch_go_on_while_the_disk_is_full() -> None:
    disk = Disk()
    disk.is_full = True
    await run(disk, [persist("1"), send("a")], [send("beat")], [send("beat too"), persist("2"), send("b")])
    assert disk.transcript == [send("beat"), send("beat too")]


async def test_nothing_is_acknowledged_while_older_rows_are_still_held() -> None:
    disk = Disk()
    keeping = Keeping(disk)
    disk.is_full = True
    await run(disk, [persist("1")], keeping=keeping)
    await run(disk, [WriteDone(7, ())], keeping=keeping)
    assert disk.transcript == []
    disk.is_full = False
    await run(disk, [persist("2"), WriteDone(8, ())], keeping=keeping)
    assert disk.transcript == [["1", "2"], WriteDone(8, ())]


async def test_a_batch_with_much_to_write_is_full() -> None:
    batch = Batch(Keeping(Disk()), lambda _: None)
    batch.take_on([persist("1", batches.BYTES_MAX)])
    assert not batch.is_full
    batch.take_on([persist("2", 1)])
    assert batch.is_full
