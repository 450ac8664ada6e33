"""Marks: by what a store knows that it is the one this home had, in the place where it was."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node import findings
from node.files import write_file
from node.findings import Finding

MACHINE_ID = Path("/etc/machine-id")
PLACE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Marks:
    """What the store says of itself. Empty or 0: a store that does not know yet."""

    store_id: str = ""
    number: int = 0  # the incarnation of the last start
    place: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """The same number and id in the file beside the store, so that either may outlive the other."""

    number: int
    store_id: str = ""


def read_note(path: Path) -> Note | None:
    """None when there is none that can be read. A home made before stores had ids has the number alone."""
    try:
        number, _, store_id = path.read_text().strip().partition(" ")
        return Note(int(number), store_id)
    except (OSError, ValueError):
        return None


def write_note(path: Path, note: Note) -> None:
    write_file(path, f"{note.number} {note.store_id}\n".encode())


def place_of(path: Path) -> str:
    """Which file on which machine this is. A copy differs, a folder that was renamed does not.

    The device's number is left out: it changes from boot to boot on some machines. So a copy of a whole disk looks
    like the original; that one the peers notice, as two processes with one identity.
    """
    try:
        machine = MACHINE_ID.read_bytes().strip()
    except OSError:
        machine = b""
    mixed = b"fieldmesh store place\0" + machine + b"\0%d" % path.stat().st_ino
    return hashlib.blake2b(mixed, digest_size=PLACE_BYTES).hexdigest()


def compared(path: Path, note_path: Path, marks: Marks, note: Note | None) -> Iterator[Finding]:
    """What the marks of a whole store give away about its past."""
    if note is not None and marks.store_id and note.store_id and note.store_id != marks.store_id:
        yield findings.exchanged(path)
    elif note is not None and note.number > marks.number:
        yield findings.restored(path, marks.number, note.number)
    elif marks.number > (note.number if note is not None else 0):
        yield findings.note_behind(note_path, marks.number)
    if marks.place and marks.place != place_of(path):
        yield findings.moved(path)
