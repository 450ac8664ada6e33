"""Ending on a signal in good order: what is being run is cancelled, and clears up behind itself."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from node.errors import FieldmeshError
from node.exits import Exit

Result = TypeVar("Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = "interrupted; the lab has removed all that it had made"


def run_until_signal(work: Coroutine[Any, Any, Result], message: str = INTERRUPTED) -> Result:
    """The work's result, or FieldmeshError when a signal ended it. Further signals do not disturb the clearing up."""
    return asyncio.run(_until_signal(work, message))


async def _until_signal(work: Coroutine[Any, Any, Result], message: str) -> Result:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name="play")
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise FieldmeshError(message, "", Exit.INTERRUPTED) from None
