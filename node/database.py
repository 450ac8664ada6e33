"""How this node opens its one SQLite file, and what SQLite's failures mean to a person."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from node.errors import FieldmeshError
from node.exits import Exit
from node.files import PRIVATE_FILE

BUSY_TIMEOUT_S = 5.0  # the command line and the node share the file; each holds it for milliseconds

ASIDE_MAX = (
    4  # damaged files that are kept: the first three and the last, so that a dying disk does not fill up
)
FREE_BYTES_MIN = (
    64 << 10
)  # with less free, SQLite's "I/O error" means a full disk: its log had no room to grow

_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # our statements never change: one that makes no sense has met a schema that has rotted
}
_READ_ONLY = {sqlite3.SQLITE_READONLY}
_CLOSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


class StoreError(FieldmeshError):
    """The node's store failed; `reason` is one of: disk-full, damaged, read-only, no-access, io."""

    def __init__(self, reason: str, message: str, cure: str, detail: str = "") -> None:
        super().__init__(message, cure, Exit.DISK)
        self.reason = reason
        self.detail = detail


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
        connection.execute("PRAGMA page_size=4096")  # of a new file: salvage counts on it
        connection.execute("PRAGMA secure_delete=ON")  # so that salvage finds no row that was deleted
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def require_access(path: Path) -> None:
    """StoreError unless the file, if there is one, and its folder are ours to read and write.

    Asked before SQLite is: what it leaves beside a file that it cannot write would stay in the way.
    """
    for each in (path.parent, path):
        if each.exists() and not os.access(each, os.R_OK, effective_ids=True):
            raise _no_access(path, f"{each} is closed to this user")
        if each.exists() and not os.access(each, os.W_OK, effective_ids=True):
            raise _read_only(path)


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
    except UnicodeDecodeError as error:  # SQLite's message quotes a schema that has rotted
        raise _store_error(path, sqlite3.SQLITE_CORRUPT, "its schema cannot be read") from error
    except OSError as error:
        raise _disk_error(path, error) from error


def set_aside(path: Path) -> Path:
    """Moves a damaged database out of the way; its new name. What is left of it can still be looked at.

    The log goes first: beside another file it would be taken for that one's.
    """
    free = (number for number in range(1, ASIDE_MAX) if not _aside(path, number).exists())
    aside = _aside(path, next(free, ASIDE_MAX))
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.damaged-{number}")


def _store_error(path: Path, code: int, detail: str) -> StoreError:
    if code in _FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return _full(path)
    if code in _DAMAGED:
        cure = "look at the disk (smartctl -a, dmesg), then start the node again"
        return StoreError("damaged", f"{path} is damaged: {detail}", cure, detail)
    if code in _READ_ONLY:
        return _read_only(path)
    if code in _CLOSED:
        return _no_access(path, detail)
    return _io(path, detail)


def _disk_error(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    if error.errno == errno.EROFS:
        return _read_only(path)
    if error.errno in (errno.EACCES, errno.EPERM):
        return _no_access(path, str(error))
    return _io(path, str(error))


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < FREE_BYTES_MIN
    except OSError:
        return False


def _full(path: Path) -> StoreError:
    return StoreError(
        "disk-full",
        f"the disk that holds {path} is full: nothing more can be saved",
        f"free some space (df -h {path.parent}) and start the node again",
    )


def _read_only(path: Path) -> StoreError:
    return StoreError(
        "read-only",
        f"{path} can be read and not written",
        f"make the file and its folder the node's own (ls -la {path.parent}) and the disk writable (findmnt)",
    )


def _no_access(path: Path, detail: str) -> StoreError:
    return StoreError(
        "no-access",
        f"{path} cannot be opened: {detail}",
        f"run the node as the user to whom {path.parent} belongs, or give it to this one (ls -la {path.parent})",
    )


def _io(path: Path, detail: str) -> StoreError:
    return StoreError(
        "io", f"{path} cannot be used: {detail}", "check the disk (dmesg) and the folder's owner"
    )
