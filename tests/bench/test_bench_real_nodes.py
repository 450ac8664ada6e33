"""`fieldmesh bench fabric` with real nodes and real brokers. How fast they are is for the command to judge."""

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
QUICK = ["--blocks", "2", "--messages", "10", "--settle-s", "0", "--idle-s", "1"]


COMMAND = [sys.executable, "-m", "node.cli.main", "bench", "fabric", *QUICK, "--json"]
PATH = os.environ["PATH"]


def test_a_quick_run_reports_every_figure_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stray = {"FIELDMESH_FABRIC_PORT": "a setting of the user's own node"}
    environment = {"PATH": PATH, "TMPDIR": str(tmp_path), **stray}
    bench = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert bench.returncode in (Exit.OK, Exit.VIOLATIONS), bench.stdout + bench.stderr
    report: dict[str, Any] = json.loads(bench.stdout)
    for name in ("broadcast_p50_ratio", "broadcast_p99_ratio", "back_p50_ratio", "back_p99_ratio"):
        assert report[name] > 0, name
    for kind in ("broadcast", "bare", "back"):
        assert 0 < report[f"{kind}_p50_ms"] <= report[f"{kind}_p99_ms"], kind
    assert report["samples"] == 20
    assert report["lost"] == {"cast": 0, "bare": 0, "back": 0}
    assert 10 < report["pss_mb"] <= report["rss_mb"]
    assert report["pss_mb"] == pytest.approx(report["node_pss_mb"] + report["broker_pss_mb"], abs=0.2)
    assert report["cpu_percent"] >= 0
    assert report["idle_nodes"] == 3
    assert (bench.returncode == Exit.VIOLATIONS) == bool(report["violations"])
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_ends_its_nodes_and_removes_their_folders(tmp_path: Path) -> None:
    environment = {"PATH": PATH, "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("*/dialler.log")) and bench.poll() is None:
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
