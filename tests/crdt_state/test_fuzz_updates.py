"""Fifty thousand hostile updates, records and messages: no hang, no crash, no change that nobody signed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCHDOG_S = (
    110.0  # a hundred times what five thousand take: an input that loops in native code never returns
)


def fuzz(seed: int, count: int) -> dict[str, int]:
    """Run the fuzzer in a process that may crash or hang; the reasons for which it was refused."""
    command = [sys.executable, "-m", "tests.crdt_state.fuzzing", str(seed), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WATCHDOG_S, check=False)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stderr[-3000:]}"
    found = json.loads(done.stdout)
    assert found["inputs"] == count
    refused = found["refused"]
    assert isinstance(refused, dict)
    return refused


def test_five_thousand_hostile_inputs_change_nothing_that_nobody_signed() -> None:
    refused = fuzz(seed=1, count=5_000)
    for reason in ("delta-malformed", "delta-foreign", "delta-gapped", "record-forged", "record-rubbed-out"):
        assert refused[reason] > 20, f"the fuzzer no longer makes what ends in {reason}"


@pytest.mark.slow
def test_fifty_thousand_hostile_inputs_change_nothing_that_nobody_signed() -> None:
    assert fuzz(seed=2, count=50_000)["record-rolled-back"] > 1_000
