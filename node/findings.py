"""What a store may find out about itself when it is opened: each kind by name, with what to do about it."""

from dataclasses import dataclass
from pathlib import Path

_LOOK_AT_THE_DISK = "look at this machine's disk before it fails (smartctl -a, dmesg)"
_PEERS = "nothing: the peers tell this node again what they hold"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is its line in the log and its counter; `doubts`: the node may have forgotten what it wrote."""

    code: str
    detail: str
    cure: str
    count: int = 1
    doubts: bool = True


def row_damaged(path: Path, rows: int) -> Finding:
    detail = (
        f"{rows} rows of {path} are not what was written; they are left out and kept in its table kv_damaged"
    )
    return Finding("store-row-damaged", detail, f"{_PEERS}; {_LOOK_AT_THE_DISK}", count=rows)


def damaged(path: Path, aside: Path, why: str, saved: str) -> Finding:
    detail = f"{path} was damaged ({why}); {saved}. The damaged file is {aside}"
    return Finding("store-damaged", detail, f"{_PEERS}; {_LOOK_AT_THE_DISK}")


def not_a_database(path: Path, aside: Path, saved: str) -> Finding:
    detail = f"{path} did not begin like a store; {saved}. What was there is {aside}"
    return Finding("store-not-a-database", detail, f"{_PEERS}; find out what has written there")


def empty(path: Path, saved: str) -> Finding:
    detail = f"{path} had no content, and this node has run before; {saved}"
    return Finding("store-empty", detail, f"{_PEERS}; {_LOOK_AT_THE_DISK}")


def missing(path: Path, saved: str) -> Finding:
    detail = f"{path} was gone, and this node has run before; {saved}"
    return Finding("store-missing", detail, f"{_PEERS}; find out what has removed it")


def restored(path: Path, number: int, noted: int) -> Finding:
    detail = f"{path} is older than this node: it knows of start {number}, the home of start {noted}"
    return Finding("store-restored", detail, f"{_PEERS}; restore whole homes, not single files")


def note_behind(path: Path, number: int) -> Finding:
    detail = (
        f"{path} was missing, unreadable or older than the store, which knows of start {number} and is right"
    )
    return Finding("store-note-behind", detail, "nothing: it was written anew", doubts=False)


def exchanged(path: Path) -> Finding:
    detail = f"{path} is the store of another home"
    return Finding("store-exchanged", detail, f"{_PEERS}; restore whole homes, not single files")


def moved(path: Path) -> Finding:
    detail = f"{path} has been copied, restored or brought from another machine since this node last ran"
    cure = "nothing, if the old one never runs again; if it may, remove its folder: one identity, one process"
    return Finding("store-moved", detail, cure)


def log_torn(path: Path, pages: int) -> Finding:
    """Of the one write that the cut interrupted."""
    detail = f"the last write to {path} was cut short: {pages} pages are lost, nothing in them had been acknowledged"
    return Finding("store-log-torn", detail, "nothing: it was never done", doubts=False)


def log_damaged(path: Path, aside: Path, commits: int, saved: str) -> Finding:
    """A write begins when the one before it is on the disk: of two that are broken, one had been acknowledged."""
    detail = f"the log of {path} was damaged before its last {commits} writes; {saved}. The damaged file is {aside}"
    return Finding("store-log-damaged", detail, f"{_PEERS}; {_LOOK_AT_THE_DISK}")


def open_to_others(path: Path, mode: int, is_closed: bool) -> Finding:
    detail = f"others on this machine could read or write {path} (mode {mode:03o})"
    cure = "nothing: it was closed again" if is_closed else f"chmod 600 {path}"
    return Finding("store-open-to-others", detail, cure, doubts=False)
