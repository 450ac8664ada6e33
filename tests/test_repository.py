"""What the repository promises as a folder: its layout, its licence, its locks, its scripts, and no private words."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("mesh", "crdt_state", "vectorsync", "node", "cloud_bridge", "simulations", "tests")
SCRIPTS = ("scripts/demo", "scripts/test", "scripts/check", "scripts/lock", ".ci/run")
LOCKS = ("requirements.lock", "requirements-dev.lock")
DUG_UP = {
    ".git",
    ".venv",
    "node_modules",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
}

# Spelt in two halves, so that this file does not find itself.
REGISTRIES = [f"{name}.{end}" for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
MACHINE_PATHS = [rf"/{name}/" for name in ("work", "root", "Users/[A-Za-z]+")]
PRIVATE = re.compile(
    "|".join([*map(re.escape, REGISTRIES), *(rf"(?<![\w.$}}~-]){path}" for path in MACHINE_PATHS)])
)


def texts() -> list[Path]:
    """Every text file that a commit would take."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in DUG_UP and not name.endswith(".egg-info")]
        found += [Path(folder) / name for name in files if not name.startswith(".setup.")]
    return sorted(path for path in found if path.is_file() and b"\0" not in path.read_bytes()[:1024])


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_given_folder_is_there(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("package", FOLDERS[:-1])
def test_each_package_says_what_it_is_for_and_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "__init__.py").read_text().startswith('"""')
    assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize(
    "name", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"]
)
def test_the_file_that_a_newcomer_looks_for_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_the_licence_is_the_whole_of_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_no_registry_host_and_no_path_of_one_machine_is_named() -> None:
    found = {
        str(path.relative_to(ROOT)): PRIVATE.findall(path.read_text(errors="replace")) for path in texts()
    }
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "text", [f"see {REGISTRIES[0]}", "cd " + "/wo" + "rk/main", "'" + "/ro" + "ot/.cache'"]
)
def test_a_private_word_would_be_found(text: str) -> None:
    assert PRIVATE.search(text)


@pytest.mark.parametrize("text", ["HOME/keys/root/x", "$HOME/work/x", "docs/work/x", "/var/lib/fieldmesh/"])
def test_an_ordinary_path_is_no_private_word(text: str) -> None:
    assert not PRIVATE.search(text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_run_and_stops_at_its_first_failure(name: str) -> None:
    path = ROOT / name
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in path.read_text()


@pytest.mark.parametrize("name", [*SCRIPTS, "scripts/setup.sh"])
def test_a_script_is_valid_bash(name: str) -> None:
    assert subprocess.run(["bash", "-n", ROOT / name], capture_output=True, check=False).stderr == b""


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_pinned_and_hashed(name: str) -> None:
    assert unhashed((ROOT / name).read_text()) == []


@pytest.mark.parametrize("pin", ["a==1 \\\n    # via b", "a>=1 \\\n    --hash=sha256:00", "a"])
def test_a_pin_without_a_hash_or_version_would_be_found(pin: str) -> None:
    assert len(unhashed(pin)) == 1


@pytest.mark.parametrize("name", LOCKS)
def test_every_dependency_of_the_project_is_locked(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    if "dev" in name:
        wanted += project["dependency-groups"]["dev"]
    locked = {pin.partition("==")[0] for pin in pins((ROOT / name).read_text())}
    assert {re.split(r"[<>=!~ ]", dependency)[0] for dependency in wanted} - locked == set()


def test_what_runs_is_tested_with_the_versions_that_are_deployed() -> None:
    deployed, tested = (dict(pin.split("==") for pin in pins((ROOT / name).read_text())) for name in LOCKS)
    assert {name: tested.get(name) for name in deployed} == deployed


def pins(lock: str) -> list[str]:
    return [re.split(r"[ ;\\]", line)[0] for line in lock.splitlines() if re.match(r"[a-z0-9]", line)]


def unhashed(lock: str) -> list[str]:
    entries = re.split(r"\n(?=[a-z0-9])", lock.strip())
    faults = [entry for entry in entries if not entry.startswith("#")]
    return [
        entry
        for entry in faults
        if not re.match(r"[a-z0-9.-]+==\S+ .*\\\n\s+--hash=sha256:[0-9a-f]{64}", entry)
    ]
