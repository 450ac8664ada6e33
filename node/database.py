"""How this node opens its one SQLite file, and what SQLite's failures mean to a person."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from node.errors import FieldmeshError
from node.exits import Exit
from node.files import PRIVATE_FILE

BUSY_TIMEOUT_S = 5.0  # the command line and the node share the file; each holds it for milliseconds

_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreError(FieldmeshError):
    """The node's store failed; `reason` is one of: disk-full, damaged, io."""

    def __init__(self, reason: str, message: str, cure: str) -> None:
        super().__init__(message, cure, Exit.DISK)
        self.reason = reason


def connect(path: Path) -> sqlite3.Connection:
    """A connection that loses nothing it has committed: write-ahead log, synced at each commit.

    It may be used from any thread, by one at a time.
    """
    if not path.exists():
        path.touch(PRIVATE_FILE)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda text: text.decode(
        errors="replace"
    )  # rotten text fails its row's check instead
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's and the disk's errors, as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _store_error(path, getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)) from error
    except OSError as error:
        raise _io(path, str(error)) from error


def set_aside(path: Path) -> Path:
    """Moves a damaged database out of the way; its new name. What is left of it can still be looked at."""
    number = next(n for n in range(1, 1_000_000) if not _aside(path, n).exists())
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(_aside(path, number).with_name(_aside(path, number).name + suffix))
    return _aside(path, number)


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.damaged-{number}")


def _store_error(path: Path, code: int, detail: str) -> StoreError:
    if code in _FULL:
        return StoreError(
            "disk-full",
            f"the disk that holds {path} is full: nothing more can be saved",
            f"free some space (df -h {path.parent}) and start the node again",
        )
    if code in _DAMAGED:
        return StoreError("damaged", f"{path} is damaged: {detail}", "start the node again")
    return _io(path, detail)


def _io(path: Path, detail: str) -> StoreError:
    return StoreError(
        "io", f"{path} cannot be used: {detail}", "check the disk (dmesg) and the folder's owner"
    )
