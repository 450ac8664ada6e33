"""The store's one table: rows by table and key, each with a check of its own.

Nothing here leaves a statement open when it fails: a connection with one would not really close, and would remove the
log of the store that has taken the place of a damaged one.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from mesh.events import Write
from node.database import transaction

SCHEMA = 1
CHECK_BYTES = 8  # against rot, not against people: who can write the file can write the check
OWN_TABLE = "_store"  # the store's own rows; nobody else is shown them

_SQL = """CREATE TABLE kv (
    tbl TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, "check" BLOB NOT NULL, PRIMARY KEY (tbl, key)
)"""
_ASIDE_SQL = 'CREATE TABLE IF NOT EXISTS kv_damaged (tbl, key, value, "check")'


class IndexDamagedError(sqlite3.DatabaseError):
    """The rows are sound and their index is not: a row may have been found under another's name, or not at all."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_made(connection: sqlite3.Connection) -> bool:
    """Whether the table is there, exactly as `make` makes it."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE tbl_name='kv'").fetchall()
    return sorted(found) == [("index", "sqlite_autoindex_kv_1", None), ("table", "kv", _SQL)]


def make(connection: sqlite3.Connection) -> None:
    connection.execute(_SQL)
    connection.execute(f"PRAGMA user_version={SCHEMA}")


def check_of(table: str, key: str, value: bytes) -> bytes:
    return hashlib.blake2b(f"{table}\0{key}\0".encode() + value, digest_size=CHECK_BYTES).digest()


def is_sound(table: object, key: object, value: object, check: object) -> bool:
    return (
        isinstance(table, str)
        and isinstance(key, str)
        and isinstance(value, bytes)
        and check == check_of(table, key, value)
    )


def write(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    """All or none; on disk when it returns."""
    with transaction(connection):
        for each in writes:
            _put(connection, each.table, each.key, each.value)


def read(connection: sqlite3.Connection) -> tuple[dict[str, dict[str, bytes]], list[int]]:
    """Every sound row by table and key, in order of key; and the row ids of those that have rotted.

    Rows and index are read apart and held against each other: reading is the only time at which an index that
    has rotted can be told from rows that were never there.
    """
    found = {}
    rotted = []
    with closing(connection.execute('SELECT rowid, tbl, key, value, "check" FROM kv NOT INDEXED')) as scan:
        for rowid, table, key, value, check in scan:
            if is_sound(table, key, value, check):
                found[rowid] = (table, key, value)
            else:
                rotted.append(rowid)
    return _in_order(connection, found, len(found) + len(rotted)), rotted


def put_aside(connection: sqlite3.Connection, rotted: Sequence[int]) -> None:
    """Rows that have rotted go where nobody reads them and somebody may look at them."""
    if not rotted:
        return
    connection.execute(_ASIDE_SQL)
    with transaction(connection):
        for rowid in rotted:
            connection.execute(
                'INSERT INTO kv_damaged SELECT tbl, key, value, "check" FROM kv WHERE rowid=?', (rowid,)
            )
            connection.execute("DELETE FROM kv WHERE rowid=?", (rowid,))


def own_rows(connection: sqlite3.Connection) -> dict[str, bytes | None]:
    """The store's own rows; None is one that has rotted."""
    rows = connection.execute('SELECT key, value, "check" FROM kv WHERE tbl=?', (OWN_TABLE,)).fetchall()
    return {key: value if is_sound(OWN_TABLE, key, value, check) else None for key, value, check in rows}


def get(connection: sqlite3.Connection, table: str, key: str) -> bytes | None:
    """None when there is none that is sound."""
    row = connection.execute('SELECT value, "check" FROM kv WHERE tbl=? AND key=?', (table, key)).fetchone()
    return row[0] if row is not None and is_sound(table, key, *row) else None


def _in_order(
    connection: sqlite3.Connection, found: dict[int, tuple[str, str, bytes]], count: int
) -> dict[str, dict[str, bytes]]:
    tables: dict[str, dict[str, bytes]] = {}
    index = connection.execute(
        "SELECT tbl, key, rowid FROM kv INDEXED BY sqlite_autoindex_kv_1 ORDER BY tbl, key"
    ).fetchall()
    if len(index) != count:
        raise IndexDamagedError(f"{len(index)} index entries for {count} rows")
    for table, key, rowid in index:
        row = found.get(rowid)
        if row is None:
            continue  # a row that has rotted
        if row[0] != table or row[1] != key:
            raise IndexDamagedError("an index entry names another row")
        tables.setdefault(table, {})[key] = row[2]
    return tables


def _put(connection: sqlite3.Connection, table: str, key: str, value: bytes | None) -> None:
    if value is None:
        connection.execute("DELETE FROM kv WHERE tbl=? AND key=?", (table, key))
        return
    connection.execute(
        "INSERT OR REPLACE INTO kv VALUES (?,?,?,?)", (table, key, value, check_of(table, key, value))
    )
