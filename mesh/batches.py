"""Batches: many small things in as few messages as fit a frame."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(
    items: Iterable[T], size_of: Callable[[T], int], bytes_max: int, count_max: int
) -> Iterator[tuple[T, ...]]:
    """The items in order, cut so that no batch is larger or longer than allowed; one item alone always goes."""
    batch: list[T] = []
    size = 0
    for item in items:
        size += size_of(item)
        if batch and (size > bytes_max or len(batch) >= count_max):
            yield tuple(batch)
            batch, size = [], size_of(item)
        batch.append(item)
    if batch:
        yield tuple(batch)
