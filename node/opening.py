"""Opening a store whatever has happened to it: whole, made anew, or mended; and what was found on the way."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node import findings, kv
from node.database import StoreError, connect, require_access, translated
from node.errors import FieldmeshError
from node.exits import Exit
from node.findings import Finding
from node.marks import Note, read_note
from node.salvage import finish_exchange, salvage
from node.wal_tail import lost, read_frames, wal_of

MAGIC = b"SQLite format 3\0"
HEADERS = (MAGIC + b"\x10\0\1\1\0\x40\x20\x20", MAGIC + b"\x10\0\2\2\0\x40\x20\x20")
"""4096 bytes a page, without or with a write-ahead log: how every store of ours begins."""
UTF8 = (56, b"\0\0\0\1")  # where the header says how text is written; SQLite believes it whatever it says


@dataclass(frozen=True, slots=True)
class Opened:
    connection: sqlite3.Connection
    findings: tuple[Finding, ...]
    is_mended: bool  # its marks say nothing about its past


def open_database(path: Path, note_path: Path) -> Opened:
    """StoreError or FieldmeshError, and the file is as it was, when there is nothing that we may do about it."""
    with translated(path):
        require_access(path)
        finish_exchange(path)
        found = list(_close_to_others(path))
        frames = read_frames(wal_of(path))
        has_run = note_path.exists() or bool(frames)
        pages, commits = lost(wal_of(path), frames)
        if has_run and is_hollow(path):
            return _mended(path, note_path, StoreError("damaged", "", ""), found)
        if commits > 1:
            return _mended(path, note_path, StoreError("damaged", "", ""), found, commits)
        if pages:
            found.append(findings.log_torn(path, pages))
        try:
            with translated(path):
                connection = _whole(path, has_run)
        except StoreError as error:
            if error.reason != "damaged":
                raise
            return _mended(path, note_path, error, found)
        return Opened(connection, tuple(found), is_mended=False)


def mend(path: Path, note_path: Path, error: StoreError, commits_lost: int = 0) -> Finding:
    """A sound file is at `path` again, with what could be saved."""
    note = read_note(note_path) or Note(0)
    if not path.exists():
        return findings.missing(path, salvage(path, note, "store-missing").sentence)
    if path.stat().st_size == 0:
        return findings.empty(path, salvage(path, note, "store-empty").sentence)
    if not _begins_like_sqlite(path):
        saved = salvage(path, note, "store-not-a-database")
        return findings.not_a_database(path, saved.aside, saved.sentence)
    if commits_lost:  # each row has a check of its own: those behind the break are as good as those before it
        saved = salvage(path, note, "store-log-damaged")
        return findings.log_damaged(path, saved.aside, commits_lost, saved.sentence)
    saved = salvage(path, note, "store-damaged")
    return findings.damaged(path, saved.aside, error.detail, saved.sentence)


def is_hollow(path: Path) -> bool:
    """Gone, or nothing in it."""
    return not path.exists() or path.stat().st_size == 0


def _mended(
    path: Path, note_path: Path, error: StoreError, found: list[Finding], commits_lost: int = 0
) -> Opened:
    finding = mend(path, note_path, error, commits_lost)
    with translated(path):
        connection = _whole(path, has_run=True)
    return Opened(connection, (*found, finding), is_mended=True)


def _whole(path: Path, has_run: bool) -> sqlite3.Connection:
    if not is_hollow(path) and not _has_our_header(path):
        raise _damage("its first bytes are not a store's")
    connection = connect(path)
    try:
        _require_known(connection, path)
        _require_sound(connection)
        if not kv.is_made(connection):
            if has_run:
                raise _damage("it has no table of rows")
            kv.make(connection)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # a torn end is not met again
    except BaseException:
        connection.close()
        raise
    return connection


def _require_known(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > kv.SCHEMA:
        raise _too_new(path, version)


def _require_sound(connection: sqlite3.Connection) -> None:
    """At each start: 40 ms for 100,000 rows, and disks rot while nobody runs."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise _damage(verdict)


def _close_to_others(path: Path) -> Iterator[Finding]:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0
    if not mode & 0o077:
        return
    try:
        path.chmod(mode & 0o700)
    except PermissionError:
        yield findings.open_to_others(path, mode, is_closed=False)
    else:
        yield findings.open_to_others(path, mode, is_closed=True)


def _begins_like_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _has_our_header(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(100)
    at, encoding = UTF8
    return header.startswith(HEADERS) and header[at : at + 4] == encoding


def _damage(detail: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(detail.replace("\n", " "))
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _too_new(path: Path, version: int) -> FieldmeshError:
    return FieldmeshError(
        f"{path} was written by a newer fieldmesh (schema {version}; this one knows {kv.SCHEMA})",
        "install that release again, or restore the backup made before the upgrade",
        Exit.CONFIGURATION,
    )
