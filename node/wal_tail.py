"""The end of SQLite's write-ahead log: what a cut left behind the last transaction that is whole."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
MAGICS = (0x377F0682, 0x377F0683)
PAGE_BYTES = 4096  # of every store: `connect` says so


@dataclass(frozen=True, slots=True)
class Frame:
    """One page as a transaction left it. `is_commit`: the transaction's last."""

    page: int
    is_commit: bool
    at: int  # where its content begins in the log
    is_whole: bool


def wal_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def read_frames(wal: Path) -> list[Frame]:
    """Every frame of the log's present round, in order, whether its sum is right or not."""
    try:
        with wal.open("rb") as file:
            size = wal.stat().st_size
            salt = _salt(file.read(HEADER_BYTES + FRAME_HEADER_BYTES))
            frames = []
            for at in range(HEADER_BYTES, size, FRAME_HEADER_BYTES + PAGE_BYTES):
                file.seek(at)
                header = file.read(FRAME_HEADER_BYTES)
                if header[8:16] != salt:
                    break
                page, pages_after = struct.unpack(">II", header[:8])
                begin = at + FRAME_HEADER_BYTES
                frames.append(Frame(page, pages_after > 0, begin, begin + PAGE_BYTES <= size))
            return frames
    except OSError:
        return []


def committed_pages(frames: list[Frame]) -> Mapping[int, int]:
    """Where the newest committed content of each page lies in the log."""
    ends = [number for number, frame in enumerate(frames) if frame.is_commit and frame.is_whole]
    last = ends[-1] + 1 if ends else 0
    return {frame.page: frame.at for frame in frames[:last]}


def lost(wal: Path, frames: list[Frame]) -> tuple[int, int]:
    """Frames and commits that SQLite will not take over: those behind the last commit before the first wrong sum."""
    sound = 0
    for number, is_right in enumerate(_sums(wal, frames)):
        if not is_right:
            break
        if frames[number].is_commit:
            sound = number + 1
    return len(frames) - sound, sum(frame.is_commit for frame in frames[sound:])


def _salt(begin: bytes) -> bytes:
    """Of the header; when that is damaged, of the first frame."""
    in_header, in_frame = begin[16:24], begin[HEADER_BYTES + 8 : HEADER_BYTES + 16]
    return in_header if _is_sound(begin[:HEADER_BYTES]) else in_frame


def _sums(wal: Path, frames: list[Frame]) -> Iterator[bool]:
    """Whether each frame's sum, which goes on from the one before, is right. A tenth of a second for 1000 frames."""
    if not frames:
        return
    with wal.open("rb") as file:
        header = file.read(HEADER_BYTES)
        if not _is_sound(header):
            return
        order, sums = _order(header), struct.unpack(">II", header[24:32])
        for frame in frames:
            file.seek(frame.at - FRAME_HEADER_BYTES)
            data = file.read(FRAME_HEADER_BYTES + PAGE_BYTES)
            if len(data) < FRAME_HEADER_BYTES + PAGE_BYTES:
                return
            summed = data[:8] + data[FRAME_HEADER_BYTES:]
            sums = _sum(struct.unpack(f"{order}{len(summed) // 4}I", summed), sums)
            yield sums == struct.unpack(">II", data[16:24])


def _is_sound(header: bytes) -> bool:
    if len(header) < HEADER_BYTES or int.from_bytes(header[:4], "big") not in MAGICS:
        return False
    words = struct.unpack(f"{_order(header)}6I", header[:24])
    return _sum(words, (0, 0)) == struct.unpack(">II", header[24:32])


def _order(header: bytes) -> str:
    """In which order the sums' words are read: the last bit of the magic number says so."""
    return ">" if header[3] & 1 else "<"


def _sum(words: tuple[int, ...], sums: tuple[int, ...]) -> tuple[int, int]:
    """SQLite's checksum."""
    first, second = sums
    pairs = iter(words)
    for word, next_word in zip(pairs, pairs, strict=True):
        first = (first + word + second) & 0xFFFFFFFF
        second = (second + next_word + first) & 0xFFFFFFFF
    return first, second
