"""The documents' commands and the examples are run as they stand."""

from pathlib import Path

import pytest

from tests.documents import Block, Place, blocks_in

ROOT = Path(__file__).parent.parent
DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
TESTED = [path for path in DOCUMENTS if "<!-- test -->" in path.read_text(encoding="utf-8")]
EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*") if path.suffix in (".sh", ".py"))


@pytest.mark.io
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", TESTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_work(path: Path, tmp_path: Path) -> None:
    with Place(tmp_path) as place:
        for block in blocks_in(path.read_text(encoding="utf-8")):
            place.run_block(block)


@pytest.mark.io
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_runs_to_its_end(path: Path, tmp_path: Path) -> None:
    interpreter = {".sh": "bash", ".py": "python"}[path.suffix]
    with Place(tmp_path) as place:
        place.run([interpreter, str(path)])


def test_the_readme_has_commands_that_are_tested() -> None:
    assert ROOT / "README.md" in TESTED


# ---------------------------------------------------------------- the runner itself


def test_only_marked_blocks_are_taken_with_their_lines() -> None:
    text = "```sh\nrm x\n```\n\n<!-- test -->\n```sh\necho 1\n\necho 2\n```\n<!-- test -->\n\n```sh\necho 3\n```\n"
    assert blocks_in(text) == [Block(7, "echo 1\n\necho 2\n"), Block(14, "echo 3\n")]


def test_a_mark_without_a_block_is_an_error() -> None:
    with pytest.raises(AssertionError, match="not followed"):
        blocks_in("<!-- test -->\n\n```python\nx = 1\n```\n")


def test_a_block_sees_what_an_earlier_one_made_and_finds_the_command(tmp_path: Path) -> None:
    with Place(tmp_path) as place:
        place.run_block(Block(1, "mkdir plant\n"))
        assert place.run_block(Block(2, "cd plant && fieldmesh version | cut -c 1-9 && echo $HOME\n")) == (
            f"fieldmesh\n{tmp_path}\n"
        )


@pytest.mark.parametrize("script", ["false\ntrue\n", "false | true\n", "echo $unset_name\n"])
def test_a_block_with_any_failing_line_fails(tmp_path: Path, script: str) -> None:
    with Place(tmp_path) as place, pytest.raises(AssertionError, match="exit code"):
        place.run_block(Block(1, script))


def test_a_block_that_does_not_end_fails_in_time(tmp_path: Path) -> None:
    with Place(tmp_path) as place, pytest.raises(AssertionError, match=r"(?s)not done after 0.2 s.*begun"):
        place.run(["bash", "-c", "echo begun; sleep 60"], timeout_s=0.2)


def test_what_a_block_leaves_running_ends_with_the_place(tmp_path: Path) -> None:
    with Place(tmp_path) as place:
        place.run_block(Block(1, "sleep 60 & echo $! > pid\n"))
        pid = int((tmp_path / "pid").read_text())
        assert is_running(pid)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
