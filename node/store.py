"""The node's own durable memory: rows that are on disk when `write` returns, and the number of each boot."""

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from mesh.events import Write
from mesh.state import CLOCK_TABLE, Birth
from node.database import StoreError, connect, set_aside, transaction, translated
from node.errors import FieldmeshError
from node.exits import Exit
from node.files import write_file
from node.lock import HomeLock

SCHEMA = 1
EPOCH_MS = 1_767_225_600_000  # 2026: incarnations count from there and stay short
CHECK_BYTES = 8  # against rot, not against people: who can write the file can write the check
OWN_TABLE = "_store"  # the store's own rows; `load` does not show them

_SCHEMA_SQL = """
CREATE TABLE IF NOT EXISTS kv (
    tbl TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, "check" BLOB NOT NULL, PRIMARY KEY (tbl, key)
)
"""


class Store:
    """One home's rows. The process that holds it is the only one that may run the home.

    Any thread may call it; calls wait for each other. Cancelling a caller leaves a whole transaction or none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows_damaged = 0
        self._incarnation_file = path.with_name("incarnation")
        self._turn = threading.Lock()
        self._lock = HomeLock(path.parent / "run" / "lock")
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def load(self) -> dict[str, dict[str, bytes]]:
        """Every row by table and key. A row that has rotted is left out and counted in `rows_damaged`.

        The clock's floor is there even on a new node: `clock_floor`.
        """
        with self._guarded():
            rows = self._connection.execute(
                'SELECT tbl, key, value, "check" FROM kv ORDER BY tbl, key'
            ).fetchall()
        self.rows_damaged = 0
        tables: dict[str, dict[str, bytes]] = {}
        for table, key, value, check in rows:
            if not isinstance(value, bytes) or check != _check(table, key, value):
                self.rows_damaged += 1
            elif table != OWN_TABLE:
                tables.setdefault(table, {})[key] = value
        tables.setdefault(CLOCK_TABLE, {})["floor"] = str(self.clock_floor).encode()
        return tables

    def write(self, writes: Sequence[Write]) -> None:
        """All of these, or none and StoreError; on disk when it returns."""
        if not writes:
            return
        with self._guarded(), transaction(self._connection):
            for each in writes:
                self._put(each.table, each.key, each.value)

    def boot(self, wall_ms: int) -> Birth:
        """A new incarnation, made durable before anybody can see it.

        It follows the clock too: a home that was restored from a backup has forgotten numbers that peers know.
        """
        last = max(self._number(OWN_TABLE, "incarnation"), self._noted_incarnation())
        incarnation = max(last + 1, (wall_ms - EPOCH_MS) // 1000)
        self.write([Write(OWN_TABLE, "incarnation", b"%d" % incarnation)])
        with translated(self._incarnation_file):
            write_file(self._incarnation_file, f"{incarnation}\n".encode())
        return Birth(incarnation, secrets.randbits(63), wall_ms)

    @property
    def clock_floor(self) -> int:
        """No right clock shows fewer milliseconds: the time saved last, or that of this code's installation."""
        return max(self._number(CLOCK_TABLE, "floor"), int(Path(__file__).stat().st_mtime * 1000))

    def close(self) -> None:
        """Idempotent. Lets another process have the home."""
        with self._turn:
            self._connection.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        with self._salvaging(), translated(self.path):
            connection = connect(self.path)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _damaged_error(verdict)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise _too_new(self.path, version)
        connection.execute(_SCHEMA_SQL)
        connection.execute(f"PRAGMA user_version={SCHEMA}")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._turn, self._salvaging(), translated(self.path):
            yield

    @contextmanager
    def _salvaging(self) -> Iterator[None]:
        """A damaged file is moved aside, so that the node can start afresh and learn again from its peers."""
        try:
            yield
        except StoreError as error:
            if error.reason != "damaged":
                raise
            if hasattr(self, "_connection"):
                self._connection.close()
            raise _set_aside(self.path, error) from error

    def _put(self, table: str, key: str, value: bytes | None) -> None:
        if value is None:
            self._connection.execute("DELETE FROM kv WHERE tbl=? AND key=?", (table, key))
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO kv VALUES (?,?,?,?)", (table, key, value, _check(table, key, value))
        )

    def _number(self, table: str, key: str) -> int:
        with self._guarded():
            row = self._connection.execute(
                'SELECT value, "check" FROM kv WHERE tbl=? AND key=?', (table, key)
            ).fetchone()
        is_good = row is not None and _is_digits(row[0]) and row[1] == _check(table, key, row[0])
        return int(row[0]) if is_good else 0

    def _noted_incarnation(self) -> int:
        """The same number, kept apart from the database so that it outlives it."""
        try:
            return int(self._incarnation_file.read_text())
        except (OSError, ValueError):
            return 0


def _is_digits(value: object) -> bool:
    return isinstance(value, bytes) and value.isdigit()


def _check(table: str, key: str, value: bytes) -> bytes:
    return hashlib.blake2b(f"{table}\0{key}\0".encode() + value, digest_size=CHECK_BYTES).digest()


def _damaged_error(detail: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(detail)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _set_aside(path: Path, error: StoreError) -> StoreError:
    aside = set_aside(path)
    return StoreError(
        "damaged",
        f"{error.message}. It has been set aside as {aside}",
        "start the node again: it begins with an empty store and learns from its peers what they hold;\n"
        f"writes that no peer has seen are only in {aside.name}",
    )


def _too_new(path: Path, version: int) -> FieldmeshError:
    return FieldmeshError(
        f"{path} was written by a newer fieldmesh (schema {version}; this one knows {SCHEMA})",
        "install that release again, or restore the backup made before the upgrade",
        Exit.CONFIGURATION,
    )
