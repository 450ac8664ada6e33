"""Live documents in memory: real pycrdt documents, and what a node does with them, done by the test."""

from collections.abc import Callable, Sequence
from typing import Any

from pycrdt import Doc, Map


class MemoryDocuments:
    """`put`, `delete`, `renew` and `drop` change documents as a node does; nothing that a client sends can."""

    def __init__(self, *names: str) -> None:
        self._docs: dict[str, Doc[Any]] = {
            name: Doc(client_id=number) for number, name in enumerate(names, 1)
        }
        self._marks = dict.fromkeys(names, b"\x01")
        self._listeners: list[Callable[[str], None]] = []

    def put(self, name: str, key: str, value: bytes) -> None:
        self._records(name)[key] = value
        self._tell(name)

    def delete(self, name: str, key: str) -> None:
        del self._records(name)[key]
        self._tell(name)

    def renew(self, name: str, mark: bytes) -> None:
        """A new generation with the same content, by another pen."""
        content = self.content(name)
        self._docs[name], self._marks[name] = Doc(client_id=1000 + mark[0]), mark
        for key, value in content.items():
            self._records(name)[key] = value
        self._tell(name)

    def lose(self, name: str) -> None:
        """The form broke and was begun anew, in the same generation."""
        self._docs[name] = Doc(client_id=999)
        self._records(name)["k"] = b"anew"
        self._tell(name)

    def drop(self, name: str) -> None:
        del self._docs[name], self._marks[name]
        self._tell(name)

    def touch(self, name: str) -> None:
        """News of a change that changed nothing."""
        self._tell(name)

    def content(self, name: str) -> dict[str, bytes]:
        return {key: bytes(value) for key, value in self._records(name).items()}

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    # -- what a follower sees

    def names(self) -> Sequence[str]:
        return list(self._docs)

    def mark(self, name: str) -> bytes | None:
        return self._marks.get(name)

    def summary(self, name: str) -> bytes:
        return self._docs[name].get_state()

    def state(self, name: str, since: bytes) -> bytes:
        return self._docs[name].get_update(since)

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def _records(self, name: str) -> Map[bytes]:
        records: Map[bytes] = self._docs[name].get("records", type=Map)
        return records

    def _tell(self, name: str) -> None:
        for listener in self._listeners:
            listener(name)
