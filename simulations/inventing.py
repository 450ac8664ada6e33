"""S3 and S5: only a node itself makes rows and casts in its name, in ever rising order, in its own incarnation."""

from collections import OrderedDict
from itertools import pairwise

from mesh.events import CastRequested, Event
from mesh.ids import NodeId
from mesh.wire import Beat, Cast, Frame, Row, Rows
from simulations.host import Host, Process
from simulations.watch import Watcher
from simulations.world import World

ROWS_KEPT = 256  # per node; nobody passes on a row that has been replaced so often

Version = tuple[int, int]


class NobodyInvents(Watcher):
    """S3: a row or cast in X's name was first sent by X, and X's versions rise. S5: never above X's incarnation."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._rows: dict[str, OrderedDict[Version, Row]] = {}
        self._casts: dict[tuple[str, int, int], bytes] = {}
        self._requested: dict[tuple[str, int], list[bytes]] = {}
        self._sequences: dict[tuple[str, int, bytes], int] = {}
        self._looked_at: tuple[Process | None, Frame | None] = (None, None)

    def on_copy(self, process: Process, _: Host, frame: Frame) -> None:
        if self._looked_at[0] is process and self._looked_at[1] is frame:
            return
        self._looked_at = (process, frame)
        for message in frame.messages:
            if isinstance(message, Beat):
                if message.row is not None:
                    self._see_row(process, message.row)
            elif isinstance(message, Rows):
                for row in message.rows:
                    self._see_row(process, row)
            elif isinstance(message, Cast):
                self._see_cast(process, message)

    def _see_row(self, process: Process, row: Row) -> None:
        known = self._rows.setdefault(row.node, OrderedDict())
        version = (row.incarnation, row.version)
        if known.get(version) == row or self._is_rival(row.node):
            return
        self._check_incarnation("row", process, row.node, row.incarnation)
        if row.node != process.host.node:
            if version in known or not known or version > next(reversed(known)):
                self.world.violate("S3", f"{process.host.name} sends a row of {row.node} that it never made")
            return
        if known and version <= next(reversed(known)):
            self.world.violate("S3", f"{process.host.name} sends row {version} after {next(reversed(known))}")
            return
        known[version] = row
        if len(known) > ROWS_KEPT:
            known.popitem(last=False)

    def _see_cast(self, process: Process, cast: Cast) -> None:
        key = (cast.origin, cast.incarnation, cast.sequence)
        content = cast.topic.encode() + b"\0" + cast.payload
        if self._casts.get(key) == content or self._is_rival(cast.origin):
            return
        self._check_incarnation("cast", process, cast.origin, cast.incarnation)
        if key in self._casts or cast.origin != process.host.node:
            self.world.violate("S3", f"{process.host.name} sends a cast of {cast.origin} that it never made")
            return
        self._casts[key] = content
        self._sequences.setdefault((key[0], key[1], content), cast.sequence)

    def on_event(self, process: Process, event: Event) -> None:
        if isinstance(event, CastRequested):
            key = (process.host.node, process.incarnation)
            self._requested.setdefault(key, []).append(event.topic.encode() + b"\0" + event.payload)

    def on_end(self) -> None:
        for (node, incarnation), contents in self._requested.items():
            found = (self._sequences.get((node, incarnation, content)) for content in contents)
            sequences = [sequence for sequence in found if sequence is not None]
            if any(later <= earlier for earlier, later in pairwise(sequences)):
                self.world.violate("S3", f"{self.world.name_of(node)} numbers its casts {sequences}")

    def _check_incarnation(self, what: str, process: Process, node: str, incarnation: int) -> None:
        real = self.world.incarnation_of(NodeId(node))
        if incarnation > real:
            detail = f"{process.host.name} sends a {what} of {self.world.name_of(node)}"
            self.world.violate("S5", f"{detail} in incarnation {incarnation}, above {real}")

    def _is_rival(self, node: str) -> bool:
        return any(host.rival for host in self.world.hosts if host.node == node)
