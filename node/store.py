"""The node's own durable memory: rows that are on disk when `write` returns, and the number of each boot."""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mesh.events import Write
from mesh.state import CLOCK_TABLE, DOUBT_KEY, DOUBT_TABLE, Birth
from node import findings, kv
from node.database import StoreError, connect, translated
from node.findings import Finding
from node.kv import OWN_TABLE
from node.lock import HomeLock
from node.marks import Marks, Note, compared, place_of, read_note, write_note
from node.opening import mend, open_database

EPOCH_MS = 1_767_225_600_000  # 2026: incarnations count from there and stay short
ID_BYTES = 8
MENDS_MAX = 3  # of one process: a file that is damaged again and again lies on a disk that is at its end

T = TypeVar("T")


class Store:
    """One home's rows. The process that holds it is the only one that may run the home.

    Any thread may call it; calls wait for each other. Cancelling a caller leaves a whole transaction or none.
    A damaged file is mended, when it is opened or whenever it shows: `findings` says so, and how much was saved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows_damaged = 0
        self._note_path = path.with_name("incarnation")
        self._turn = threading.Lock()
        self._rotted: list[int] = []
        self._mends = 0
        self._marks = Marks()
        self._has_doubt = False
        with translated(path):
            self._lock = HomeLock(path.parent / "run" / "lock")
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was wrong with the store, in the order in which it was found."""
        return tuple(self._found)

    @property
    def doubts(self) -> bool:
        """Whether the store may have forgotten what this node wrote, now or since its doubts were last dispelled."""
        return any(each.doubts for each in self._found) or self._has_doubt

    def load(self) -> dict[str, dict[str, bytes]]:
        """Every row by table and key. A row that has rotted is left out and counted in `rows_damaged`.

        The clock's floor is there even on a new node: `clock_floor`.
        """
        tables, rotted = self._do(kv.read)
        if len(rotted) > len(self._rotted):
            self._found.append(findings.row_damaged(self.path, len(rotted) - len(self._rotted)))
        self._rotted = rotted
        self.rows_damaged = len(rotted)
        tables.pop(OWN_TABLE, None)
        tables.setdefault(CLOCK_TABLE, {})["floor"] = str(self.clock_floor).encode()
        return tables

    def write(self, writes: Sequence[Write]) -> None:
        """All of these, or none and StoreError; on disk when it returns."""
        if writes:
            self._do(lambda connection: kv.write(connection, writes))

    def boot(self, wall_ms: int) -> Birth:
        """A new incarnation, made durable before anybody can see it; call it after `load`.

        It follows the clock too: a home that was restored from a backup has forgotten numbers that peers know.
        """
        note = read_note(self._note_path)
        last = max(self._marks.number, note.number if note is not None else 0)
        number = max(last + 1, (wall_ms - EPOCH_MS) // 1000)
        self._do(self._put_rotted_aside)
        self._mark(Marks(self._marks.store_id or _new_id(), number, place_of(self.path)))
        return Birth(number, secrets.randbits(63), wall_ms, self.doubts)

    @property
    def clock_floor(self) -> int:
        """No right clock shows fewer milliseconds: the time saved last, or that of this code's installation."""
        saved = self._do(lambda connection: kv.get(connection, CLOCK_TABLE, "floor")) or b""
        installed_ms = int(Path(__file__).stat().st_mtime * 1000)
        return max(int(saved) if saved.isdigit() else 0, installed_ms)

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

    # -- the file, and what it says of itself

    def _open(self) -> None:
        opened = open_database(self.path, self._note_path)
        self._connection = opened.connection
        self._found: list[Finding] = list(opened.findings)
        try:
            past = self._do(self._past)
        except BaseException:
            self._connection.close()
            raise
        if not opened.is_mended and not self._mends:  # a mended file is a new one, whose marks say nothing
            self._found += past

    def _past(self, connection: sqlite3.Connection) -> list[Finding]:
        own, note = kv.own_rows(connection), read_note(self._note_path)
        self._marks = _marks(own, note)
        self._has_doubt = kv.get(connection, DOUBT_TABLE, DOUBT_KEY) is not None
        if not own and not self._note_path.exists():  # a new home
            self._marks = Marks(_new_id())
            kv.write(connection, [Write(OWN_TABLE, "id", self._marks.store_id.encode())])
            write_note(self._note_path, Note(0, self._marks.store_id))
        return list(compared(self.path, self._note_path, self._marks, note))

    def _mark(self, marks: Marks) -> None:
        """The store first: a note that is ahead of it would say that the store is an old one."""
        writes = [
            Write(OWN_TABLE, "incarnation", b"%d" % marks.number),
            Write(OWN_TABLE, "id", marks.store_id.encode()),
            Write(OWN_TABLE, "place", marks.place.encode()),
        ]
        codes = ",".join(each.code for each in self._found if each.doubts)
        if codes:
            writes.append(Write(DOUBT_TABLE, DOUBT_KEY, codes.encode()))
        self.write(writes)
        self._marks = marks
        with translated(self._note_path):
            write_note(self._note_path, Note(marks.number, marks.store_id))

    def _put_rotted_aside(self, connection: sqlite3.Connection) -> None:
        kv.put_aside(connection, self._rotted)
        self._rotted = []

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Carry it out. When the file proves damaged, mend the file and try once more."""
        with self._turn:
            try:
                with translated(self.path):
                    return action(self._connection)
            except StoreError as error:
                if error.reason != "damaged" or self._mends >= MENDS_MAX:
                    raise
                self._mend(error)
            with translated(self.path):
                return action(self._connection)

    def _mend(self, error: StoreError) -> None:
        self._mends += 1
        self._rotted = []  # those row ids were of the old file
        with translated(self.path):
            with suppress(sqlite3.Error):
                self._connection.close()
            self._found.append(mend(self.path, self._note_path, error))
            self._connection = connect(self.path)


def _marks(own: dict[str, bytes | None], note: Note | None) -> Marks:
    """Of a row that has rotted the note's word is taken."""
    number = own.get("incarnation", b"0")
    if number is None or not number.isdigit():
        number = b"%d" % (note.number if note is not None else 0)
    return Marks((own.get("id") or b"").decode(), int(number), (own.get("place") or b"").decode())


def _new_id() -> str:
    return secrets.token_hex(ID_BYTES)
