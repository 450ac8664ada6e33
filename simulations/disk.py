"""A node's store as the simulator keeps it: atomic, durable, and able to be full."""

from collections.abc import Iterable

from mesh.events import Write

Tables = dict[str, dict[str, bytes]]


class Disk:
    """Survives its node's crashes. A Persist is applied whole or not at all."""

    def __init__(self, tables: Tables) -> None:
        self._tables = _copied(tables)
        self.full = False
        self.persists = 0

    def apply(self, writes: Iterable[Write]) -> bool:
        """Whether the writes are durable now."""
        if self.full:
            return False
        self.persists += 1
        for write in writes:
            rows = self._tables.setdefault(write.table, {})
            if write.value is None:
                rows.pop(write.key, None)
            else:
                rows[write.key] = write.value
        return True

    def saved(self) -> Tables:
        """What a process that starts now finds."""
        return _copied(self._tables)


def _copied(tables: Tables) -> Tables:
    return {table: dict(rows) for table, rows in tables.items()}
