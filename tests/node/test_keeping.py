"""Writes that the disk refuses are held, tried again, and go before anything later."""

import asyncio
from collections.abc import Sequence

import pytest

from mesh.events import Write
from node import keeping
from node.database import StoreError
from node.keeping import Keeping

A = Write("roster", "a", b"1")
NEWER_A = Write("roster", "a", b"2")
B = Write("roster", "b", b"1")


class Disk:
    """A disk that may be full."""

    def __init__(self) -> None:
        self.is_full = False
        self.written: list[list[Write]] = []

    def write(self, writes: Sequence[Write]) -> None:
        if self.is_full:
            raise StoreError("disk-full", "no room", "make room")
        self.written.append(list(writes))


async def test_what_is_saved_is_on_the_disk() -> None:
    disk = Disk()
    assert await Keeping(disk).save([A, B]) == ""
    assert disk.written == [[A, B]]


async def test_what_a_full_disk_refuses_is_held_and_goes_with_the_next_write_in_order() -> None:
    disk = Disk()
    kept = Keeping(disk)
    disk.is_full = True
    assert await kept.save([A]) == "disk-full"
    assert kept.held == 1
    disk.is_full = False
    assert await kept.save([B]) == ""
    assert disk.written == [[A, B]]
    assert kept.held == 0


async def test_of_two_writes_of_one_row_the_later_is_kept() -> None:
    disk = Disk()
    kept = Keeping(disk)
    disk.is_full = True
    await kept.save([A, B])
    await kept.save([NEWER_A])
    disk.is_full = False
    await kept.save([])
    assert disk.written == [[B, NEWER_A]]


async def test_without_a_later_write_the_held_ones_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "RETRY_S", 0.001)
    disk = Disk()
    kept = Keeping(disk)
    disk.is_full = True
    await kept.save([A])
    retrying = asyncio.create_task(kept.run())
    disk.is_full = False
    async with asyncio.timeout(5):
        while kept.held:
            await asyncio.sleep(0)
    retrying.cancel()
    assert disk.written == [[A]]


async def test_what_is_held_is_bounded_by_its_bytes_and_the_oldest_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "HELD_BYTES_MAX", 2 * (keeping.ROW_BYTES + 10))
    disk = Disk()
    kept = Keeping(disk)
    disk.is_full = True
    await kept.save([A])
    await kept.save([B, Write("roster", "c", b"1")])
    assert (kept.held, kept.given_up) == (2, 1)
    disk.is_full = False
    await kept.save([])
    assert disk.written == [[B, Write("roster", "c", b"1")]]


async def test_who_has_given_up_a_row_never_says_that_it_has_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk, said = Disk(), []
    kept = Keeping(disk, lambda: said.append("caught up"))
    disk.is_full = True
    await kept.save([A])
    disk.is_full = False
    await kept.save([B])
    assert said == ["caught up"]
    monkeypatch.setattr(keeping, "HELD_BYTES_MAX", 1)
    disk.is_full = True
    await kept.save([A])
    await kept.save([B])
    disk.is_full = False
    await kept.save([])
    assert (said, kept.given_up > 0) == (["caught up"], True)


async def test_a_disk_that_works_takes_more_at_once_than_may_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "HELD_BYTES_MAX", 1)
    disk = Disk()
    kept = Keeping(disk)
    assert await kept.save([A, B]) == ""
    assert (disk.written, kept.given_up) == ([[A, B]], 0)


async def test_much_that_is_held_is_not_tried_again_with_every_new_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "EAGER_BYTES_MAX", 1)
    disk = Disk()
    kept = Keeping(disk)
    disk.is_full = True
    assert await kept.save([A]) == "disk-full"
    disk.is_full = False
    assert await kept.save([B]) == "disk-full"  # within the second nobody asks the disk again
    assert (disk.written, kept.held) == ([], 2)


async def test_commits_and_their_rows_are_counted() -> None:
    disk = Disk()
    kept = Keeping(disk)
    await kept.save([A, B])
    await kept.save([NEWER_A])
    disk.is_full = True
    await kept.save([B])
    assert (kept.commits, kept.rows) == (2, 3)
