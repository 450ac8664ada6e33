"""Salvage: what is sound in a damaged store goes into a fresh one, which takes its place; the old file is kept."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mesh.events import Write
from mesh.state import DOUBT_KEY, DOUBT_TABLE
from node import kv
from node.carving import INDEX_LEAF, TABLE_LEAF, Pages, Values
from node.database import connect, set_aside, translated
from node.files import sync_folder
from node.marks import Note
from node.wal_tail import wal_of

Rows = dict[tuple[str, str], tuple[int, bytes]]  # by table and key: the row id, which grows, and the value


@dataclass(frozen=True, slots=True)
class Salvaged:
    """How much was saved. `lost`: rows that have left a trace and no more."""

    kept: int
    lost: int
    aside: Path

    @property
    def sentence(self) -> str:
        if not self.kept and not self.lost:
            return "nothing could be read in it, and an empty one was begun"
        lost = "none is known to be lost" if not self.lost else f"at least {self.lost} are lost"
        return f"{self.kept} rows were saved and {lost}"


def salvage(path: Path, note: Note, code: str) -> Salvaged:
    """Puts a fresh store with all sound rows in the place of this one, which may be anything or gone.

    The fresh one has a doubt: `code`. A cut at any moment leaves the old file, or one that `finish_exchange` finishes.
    StoreError, and nothing has changed, when there is no room for it.
    """
    rows, lost = _carved(path)
    part = path.with_name(path.name + ".part")
    _remove(part)
    try:
        with translated(part):
            _fill(part, path, rows, note, code)
    except BaseException:
        _remove(part)
        raise
    kept = sum(table != kv.OWN_TABLE for table, _ in rows)
    part.rename(_ready(path))
    sync_folder(path.parent)
    return Salvaged(kept, lost, finish_exchange(path))


def finish_exchange(path: Path) -> Path:
    """Idempotent: the fresh store, if there is one, takes the place of the old. Where the old one went."""
    aside = path
    if _ready(path).exists():
        aside = set_aside(path)
        _ready(path).rename(path)
        sync_folder(path.parent)
    return aside


def _ready(path: Path) -> Path:
    return path.with_name(path.name + ".salvaged")


def _carved(path: Path) -> tuple[Rows, int]:
    """What is sound, and how many more rows have left a trace."""
    rows: Rows = {}
    rotted = set()
    with Pages(path) as pages:
        for cell in pages.cells(TABLE_LEAF):
            match cell.values:
                case (str(table), str(key), bytes(value), bytes(check)):
                    if not kv.is_sound(table, key, value, check):
                        rotted.add(cell.rowid)
                    elif (table, key) not in rows or rows[table, key][0] < cell.rowid:
                        rows[table, key] = (cell.rowid, value)
        indexed = [cell.values for cell in pages.cells(INDEX_LEAF)]
    return rows, len((_traces(indexed, rows) | rotted) - {rowid for rowid, _ in rows.values()})


def _traces(indexed: list[Values], rows: Rows) -> set[int]:
    """The row ids that the index has for names of which no row was found."""
    found = set()
    for values in indexed:
        match values:
            case (str(table), str(key), int(rowid)) if (table, key) not in rows:
                found.add(rowid)
    return found


def _fill(part: Path, damaged: Path, rows: Rows, note: Note, code: str) -> None:
    with closing(connect(part)) as connection:
        kv.make(connection)
        kv.write(connection, [Write(table, key, rows[table, key][1]) for table, key in sorted(rows)])
        kv.write(connection, _marks(rows, note, code))
        with suppress(sqlite3.Error, UnicodeDecodeError):  # tokens that cannot be read are made anew
            _copy_others(connection, damaged)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _marks(rows: Rows, note: Note, code: str) -> list[Write]:
    saved = rows.get((kv.OWN_TABLE, "incarnation"), (0, b"0"))[1]
    number = max(note.number, int(saved) if saved.isdigit() else 0)
    marks = [
        Write(kv.OWN_TABLE, "incarnation", b"%d" % number),
        Write(kv.OWN_TABLE, "place", None),  # it is another file
        Write(DOUBT_TABLE, DOUBT_KEY, code.encode()),
    ]
    return [Write(kv.OWN_TABLE, "id", note.store_id.encode()), *marks] if note.store_id else marks


def _copy_others(connection: sqlite3.Connection, damaged: Path) -> None:
    """Tables that are not ours, the book of tokens, as far as SQLite can still read each of them whole."""
    how = "mode=ro" if wal_of(damaged).exists() else "immutable=1"  # which makes no log beside it
    with closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?{how}", uri=True)) as source:
        tables = source.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for name, sql in tables:
            if name != "kv":
                with suppress(sqlite3.Error, UnicodeDecodeError):
                    rows = source.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608 - the file's own names
                    connection.execute(sql)
                    _insert(connection, name, rows)


def _insert(connection: sqlite3.Connection, name: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        marks = ",".join("?" * len(rows[0]))
        connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)  # noqa: S608 - as above


def _remove(part: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
