"""The alarm of the demo: raised on one node, acknowledged on another, and known to the one that was away."""

import asyncio
import time
from pathlib import Path
from typing import Any

from node.control import call
from node.errors import FieldmeshError

ALARM = "acme/lyon/hall-1/press-line/press-1#oil-hot"
TEXT = "hydraulic oil above 65 degrees"
OPERATOR = "dana"
POLL_EVERY_S = 0.05
WITHIN_S = 20.0


async def raise_alarm(home: Path) -> None:
    await _ask(home, "alarms_raise", alarm=ALARM, severity=3, text=TEXT)


async def acknowledge(home: Path) -> None:
    await _ask(home, "alarms_ack", alarms=[ALARM], by=OPERATOR, note="cooling water opened")


async def state_within(home: Path, state: str) -> float | None:
    """After how many seconds this node says that the alarm is in this state; None when it does not in time."""
    begun = time.monotonic()
    while time.monotonic() - begun < WITHIN_S:
        try:
            shown = await _ask(home, "alarms_show", alarm=ALARM)
        except FieldmeshError:
            shown = {}  # it has not heard of it yet, or does not answer yet
        if shown.get("state") == state:
            return time.monotonic() - begun
        await asyncio.sleep(POLL_EVERY_S)  # another process's state can only be asked for
    return None


async def _ask(home: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    return await asyncio.to_thread(call, home, verb, **arguments)
