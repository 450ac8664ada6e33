"""The lab's crew: real nodes of one fresh site, started as a person would start them."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from node.control import socket_of
from node.founding import admit, found_site

SITE = "lab"


class RealNodes:
    """Provisions homes before the lab's clock starts; what is measured is the mesh, not the joining."""

    def provision(self, folder: Path, nodes: Sequence[str]) -> dict[str, Path]:
        homes = {node: folder / node for node in nodes}
        steward, *others = nodes
        now_ms = time.time_ns() // 1_000_000
        found_site(homes[steward], SITE, steward, now_ms)
        for node in others:
            admit(homes[steward], homes[node], node, now_ms)
        return homes

    def command(self, home: Path) -> list[str]:
        return [sys.executable, "-m", "node.cli.main", "run", "--home", str(home)]

    def socket(self, home: Path) -> Path:
        return socket_of(home)
