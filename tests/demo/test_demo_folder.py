"""The folder with the demo's keys is gone, however the demo ends."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from simulations.demo.folder import temporary_folder
from tests.lab.leftovers import await_that

pytestmark = pytest.mark.io


def test_the_folder_is_private_and_gone_behind_the_block() -> None:
    with temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "key").write_text("secret")
    assert not folder.exists()


def test_a_failure_inside_the_block_leaves_no_folder_either() -> None:
    made = []
    with pytest.raises(KeyError), temporary_folder() as folder:
        made.append(folder)
        raise KeyError
    assert [folder for folder in made if folder.exists()] == []


def test_the_folder_of_a_process_that_is_killed_is_removed_by_its_guard() -> None:
    script = (
        "import time; from simulations.demo.folder import temporary_folder\n"
        "with temporary_folder() as folder: print(folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.kill()
        process.wait()
        await_that(lambda: not folder.exists(), within_s=15)


def test_a_place_too_deep_for_sockets_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with temporary_folder() as folder:
        assert folder.parent == Path("/tmp")
