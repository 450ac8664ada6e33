"""The dependency direction of the architecture, kept: on the real tree, and shown to fail on trees that break it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.imports import Source, impurities, is_core, orphans, source_of, sources_in, strangers, too_long

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tree() -> dict[str, Source]:
    return sources_in(ROOT)


def test_cores_import_and_call_nothing_that_does_io(tree: dict[str, Source]) -> None:
    assert [fault for source in tree.values() for fault in impurities(source)] == []


def test_simulations_heavy_packages_and_displays_are_imported_only_where_they_belong(
    tree: dict[str, Source],
) -> None:
    assert [fault for source in tree.values() for fault in strangers(source)] == []


def test_every_module_is_reached_from_a_command(tree: dict[str, Source]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    roots = [*project["scripts"].values(), *project["entry-points"]["fieldmesh.commands"].values()]
    assert orphans(tree, roots) == []


def test_no_file_is_longer_than_one_can_read_at_once(tree: dict[str, Source]) -> None:
    everything = [*tree.values(), *sources_in(ROOT, ["examples"]).values()]
    assert [fault for source in everything for fault in too_long(source)] == []


def test_the_real_node_and_the_simulations_drive_the_same_core(tree: dict[str, Source]) -> None:
    drivers = {
        module
        for module, source in tree.items()
        for found in source.imports
        if found.module == "node.core" and "NodeCore" in found.names
    }
    assert "node.app" in drivers
    assert any(module.startswith("simulations.") for module in drivers)


def test_a_running_node_loads_no_package_that_is_for_people(tmp_path: Path) -> None:
    code = (
        "import sys; from node.cli.main import main\n"
        "assert main(['run', '--home', sys.argv[1]]) == 78\n"  # it gets as far as looking for its keys
        "assert 'node.services' in sys.modules\n"
        "print([name for name in ('rich', 'simulations', 'lancedb', 'llama_cpp') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "nobody")]
    loaded = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (loaded.stdout, loaded.returncode) == ("[]\n", 0), loaded.stderr


# ---------------------------------------------------------------- the rules can fail


@pytest.mark.parametrize(
    "line",
    [
        "import socket",
        "import asyncio",
        "import time",
        "import os.path",
        "import random",
        "from random import Random, random",
        "from random import randbytes",
        "from pathlib import Path",
        "from mesh.io import broker",
        "from mesh import io",
        "from mesh.io.links import Links",
        "from node.store import Store",
        "import structlog",
        "from . import io",
        "def f():\n    import secrets",
        "x = open('file')",
        "print('seen')",
        "x = hash('seen')",
        "x = datetime.now()",
        "x = Ed25519PrivateKey.generate()",
        "x = Random()",
    ],
)
def test_a_core_that_reaches_outside_is_found(line: str) -> None:
    assert len(list(impurities(source_of("mesh.roster", line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "from random import Random",
        "from collections.abc import Sequence",
        "import msgspec\nfrom msgspec import Meta",
        "from cryptography.hazmat.primitives import hashes",
        "import datetime as dt\nx = dt.datetime.fromtimestamp(1, dt.UTC)",
        "from mesh.ids import NodeId\nfrom crdt_state.documents import Document\nfrom node.views import View",
        "x = now.mono",
    ],
)
def test_a_core_that_takes_values_is_left_alone(line: str) -> None:
    assert list(impurities(source_of("mesh.roster", line))) == []


def test_an_adapter_may_do_io() -> None:
    assert list(impurities(source_of("mesh.io.broker", "import asyncio, socket\nx = open('file')"))) == []
    assert [
        name for name in ("mesh.io", "crdt_state.storage", "vectorsync.lance", "node.app") if is_core(name)
    ] == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("node.app", "from simulations.world import World"),
        ("node.cli.run", "import simulations"),
        ("mesh.casts", "import tests.imports"),
        ("vectorsync.memories", "import lancedb"),
        ("node.agent", "from llama_cpp import Llama"),
        ("node.app", "import rich.table"),
        ("mesh.io.broker", "import click"),
    ],
)
def test_an_import_in_the_wrong_place_is_found(module: str, line: str) -> None:
    assert len(list(strangers(source_of(module, line)))) == 1


def test_an_import_in_its_own_place_is_left_alone() -> None:
    assert (
        list(
            strangers(source_of("simulations.cli", "import click, rich\nfrom simulations.world import World"))
        )
        == []
    )
    assert list(strangers(source_of("vectorsync.lance", "import lancedb"))) == []


def test_a_module_that_nothing_leads_to_is_found() -> None:
    texts = {
        "node": '"""One node."""',
        "node.cli": "",
        "node.cli.main": "COMMANDS = {'run': 'node.cli.run:run'}",
        "node.cli.run": "def run():\n    from node import app",
        "node.app": "import node.store",
        "node.store": "x = 1",
        "node.forgotten": "import node.app",
        "vectorsync": '"""What a site remembers."""',
    }
    tree = {module: source_of(module, text) for module, text in texts.items()}
    assert orphans(tree, ["node.cli.main:main"]) == ["node.forgotten"]


def test_a_file_of_601_lines_is_found() -> None:
    assert list(too_long(source_of("mesh.big", "x = 1\n" * 600))) == []
    assert list(too_long(source_of("mesh.big", "x = 1\n" * 601))) == ["mesh.big has 601 lines"]
