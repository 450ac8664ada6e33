"""A process of the bench does what it is ordered, and one that fails says why."""

import sys
from pathlib import Path

import pytest

from node.errors import FieldmeshError
from simulations.bench.child import Child

pytestmark = [pytest.mark.io]

DOUBLER = """
import asyncio
from simulations.bench.orders import obey

async def double(number):
    return number * 2

asyncio.run(obey({"double": double}))
"""
FAILURE = "import sys; sys.exit('no broker to be found')"


async def test_orders_are_carried_out_one_after_the_other(tmp_path: Path) -> None:
    child = Child("doubler", [sys.executable, "-c", DOUBLER], tmp_path / "log")
    await child.start()
    assert [await child.ask("double", number=number) for number in (1, 2, 3)] == [2, 4, 6]
    child.require_running()
    await child.stop()
    with pytest.raises(FieldmeshError, match="the node doubler ended by itself with exit code -15"):
        child.require_running()


async def test_a_process_that_fails_is_quoted(tmp_path: Path) -> None:
    child = Child("n1", [sys.executable, "-c", FAILURE], tmp_path / "log")
    await child.start()
    with pytest.raises(FieldmeshError) as caught:
        await child.ask("links")
    assert caught.value.message == (
        "the node n1 did not carry out links. Its last lines:\nno broker to be found"
    )
    await child.stop()
