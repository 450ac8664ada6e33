"""`fieldmesh bench state` with real nodes and real brokers. How fast they are is for the command to judge."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from node.exits import Exit

pytestmark = [pytest.mark.io]

ROOT = Path(__file__).resolve().parents[2]
QUICK = [
    "--frames",
    "200",
    "--writes",
    "200",
    "--blocks",
    "2",
    "--messages",
    "5",
    "--apart",
    "300",
    "--held",
    "900",
]
COMMAND = [sys.executable, "-m", "node.cli.main", "bench", "state", *QUICK, "--json"]
PATH = os.environ["PATH"]


def test_a_quick_run_reports_every_figure_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {"PATH": PATH, "TMPDIR": str(tmp_path)}
    bench = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert bench.returncode in (Exit.OK, Exit.VIOLATIONS), bench.stdout + bench.stderr
    report: dict[str, Any] = json.loads(bench.stdout)
    for name in ("durable_frames_per_s", "propagation_p50_ratio", "propagation_p99_ratio"):
        assert report[name] > 0, name
    assert 0 < report["write_p50_ms"] <= report["write_p99_ms"]
    for kind in ("propagation", "bare"):
        assert 0 < report[f"{kind}_p50_ms"] <= report[f"{kind}_p99_ms"], kind
    assert report["samples"] == 10
    assert report["lost"] == {"write": 0, "bare": 0}
    assert 0 < report["converge_10k_s"] < 60
    assert 0 < report["restart_100k_s"] < 60
    assert (bench.returncode == Exit.VIOLATIONS) == bool(report["violations"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("log", ["alone.log", "dialler.log"])
def test_interrupted_it_ends_its_nodes_and_removes_their_folders(tmp_path: Path, log: str) -> None:
    environment = {"PATH": PATH, "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(f"*/{log}")) and bench.poll() is None:
        time.sleep(0.05)
    bench.terminate()
    said, _ = bench.communicate()
    assert bench.returncode == Exit.INTERRUPTED
    assert json.loads(said)["error"]["message"].startswith("interrupted; the bench has ended its nodes")
    assert list(tmp_path.iterdir()) == []
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in _text(each)]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # it has just ended
