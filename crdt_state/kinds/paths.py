"""Places in the plant: UNS paths `enterprise/site/area/line/cell/tag`, and names of things at them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crdt_state.kinds.refusal import RefusedError
from crdt_state.record import ITEM_CHARS_MAX

LEVELS = ("enterprise", "site", "area", "line", "cell", "tag")

_SEGMENT = re.compile(r"[a-z0-9._-]+")


def check_path(path: str) -> str:
    """The path itself. RefusedError when it is none, with the part that is wrong."""
    segments = path.split("/")
    if len(segments) > len(LEVELS):
        raise RefusedError(f"the path {path!r} has {len(segments)} levels", f"use at most {'/'.join(LEVELS)}")
    for level, segment in zip(LEVELS, segments, strict=False):
        if not _SEGMENT.fullmatch(segment):
            raise RefusedError(
                f"the {level} {segment!r} of the path {path!r} cannot be used",
                "write each level in lower-case letters, digits, '.', '_' and '-', with '/' between levels",
            )
    if len(path) > ITEM_CHARS_MAX:
        raise RefusedError(
            f"the path has {len(path)} characters", f"shorten it to at most {ITEM_CHARS_MAX} in all"
        )
    return path


def check_thing(thing: str) -> str:
    """The item's name `path#name` itself. RefusedError when it is none."""
    path, mark, name = thing.partition("#")
    check_path(path)
    if not mark or not _SEGMENT.fullmatch(name):
        raise RefusedError(
            f"{thing!r} names nothing at the path {path!r}",
            "write 'path#name', the name in lower-case letters, digits, '.', '_' and '-'",
        )
    if len(thing) > ITEM_CHARS_MAX:
        raise RefusedError(
            f"the name has {len(thing)} characters", f"shorten it to at most {ITEM_CHARS_MAX} in all"
        )
    return thing


def parted(thing: str) -> tuple[str, str]:
    """Path and name of a thing, whatever another node has called it."""
    path, _, name = thing.partition("#")
    return path, name


def children_of(paths: Iterable[str], parent: str = "") -> tuple[str, ...]:
    """The paths one level below `parent`, in order; also those that only lead to listed ones."""
    depth = parent.count("/") + 1 if parent else 0
    start = f"{parent}/" if parent else ""
    return tuple(
        sorted({"/".join(path.split("/")[: depth + 1]) for path in paths if path.startswith(start) and path})
    )


@dataclass(frozen=True, slots=True)
class Branch:
    """One place and all below it."""

    path: str
    is_listed: bool  # False: it only leads to places that are
    children: tuple["Branch", ...]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def walk(self) -> Iterator["Branch"]:
        """This place, then all below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


def tree_of(paths: Iterable[str], parent: str = "") -> tuple[Branch, ...]:
    """The places below `parent` as a tree. Of what is deeper than a path can be, only the upper levels show."""
    listed = frozenset(paths)
    return _branches(listed, listed, parent, len(LEVELS) - (parent.count("/") + 1 if parent else 0))


def _branches(listed: frozenset[str], below: Iterable[str], parent: str, levels: int) -> tuple[Branch, ...]:
    if levels <= 0:
        return ()
    grouped: dict[str, list[str]] = {path: [] for path in children_of(below, parent)}
    for path in below:
        child = "/".join(path.split("/")[: len(LEVELS) - levels + 1])
        if child in grouped:
            grouped[child].append(path)
    return tuple(
        Branch(child, child in listed, _branches(listed, deeper, child, levels - 1))
        for child, deeper in grouped.items()
    )
