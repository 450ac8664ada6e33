"""The command line: found by name, imported when run, kind when it ends badly."""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from node.cli.lazy import LazyGroup, summary_of
from node.cli.main import COMMANDS, main, root
from node.cli.output import emit, fail, json_option
from node.config_template import template, write_template
from node.errors import FieldmeshError
from node.exits import Exit

HELP_S = 0.25
HELP_TRIES = 5  # other work on the machine may slow one down; five in a row say that it is us


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def add_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets `fieldmesh try` run this function."""

    def add(body: Callable[[], object]) -> None:
        @click.command()
        @json_option
        def command(as_json: bool) -> Any:
            return body()

        monkeypatch.setattr(root, "get_command", lambda context, name: command if name == "try" else None)

    return add


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Standard output, which must be one JSON object and nothing else."""
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_where_the_table_says_and_has_help_and_a_summary(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
    assert main([name, "--help"]) == 0
    assert f"Usage: fieldmesh {name}" in capsys.readouterr().out
    assert summary_of(COMMANDS[name]).endswith(".")


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command that does something, by its words."""
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found |= (
            leaves(command, (*path, name)) if isinstance(command, click.Group) else {(*path, name): command}
        )
    return found


def test_every_command_can_answer_in_json() -> None:
    without = [" ".join(words) for words, command in leaves(root).items() if not has_json(command)]
    assert without == []


def has_json(command: click.Command) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


@pytest.mark.io
def test_help_is_quick() -> None:
    assert min(seconds_for_help() for _ in range(HELP_TRIES)) < HELP_S


def seconds_for_help() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "node.cli.main", "--help"], check=True, capture_output=True)
    return time.perf_counter() - begun


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from node.cli.main import main; main(['--help'])\n"
        "loaded = {name for name in sys.modules if name.split('.')[0] in ('node', 'mesh', 'simulations', 'rich')}\n"
        "print(*loaded, file=sys.stderr)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(asked.stderr.split())
    assert {"simulations", "simulations.lab", "simulations.bench"} >= {
        name for name in loaded if "simul" in name
    }
    assert {name for name in loaded if "simul" not in name} == {
        *(
            "node",
            "node.cli",
            "node.cli.main",
            "node.cli.lazy",
            "node.cli.output",
            "node.errors",
            "node.exits",
        ),
    }


def test_version_in_json_names_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    found = answer(capsys)
    assert list(found) == ["version", "protocol", "python", "mosquitto"]
    assert found["protocol"] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_asks_fieldmesh(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert f"_FIELDMESH_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_a_shell_is_given_the_commands_and_what_they_do() -> None:
    items = LazyGroup("root", targets=COMMANDS).shell_complete(click.Context(root), "ver")
    assert [(item.value, item.help) for item in items] == [
        ("version", "Show the versions of fieldmesh, its protocol, Python and mosquitto.")
    ]


@pytest.mark.io
def test_bash_completes_a_command() -> None:
    code = "import sys; from node.cli.main import main; sys.exit(main())"
    environment = {"_FIELDMESH_COMPLETE": "bash_complete", "COMP_WORDS": "fieldmesh comp", "COMP_CWORD": "1"}
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert asked.stdout == "plain,completion\n"


def test_a_misspelt_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["statsu"]) == Exit.USAGE
    assert "No such command 'statsu'. Did you mean status?" in capsys.readouterr().err


def test_a_wrong_option_is_one_json_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--bogus", "--json"]) == Exit.USAGE
    assert answer(capsys) == {
        "error": {
            "code": "usage",
            "message": "No such option '--bogus'.",
            "cure": "fieldmesh version --help",
            "exit_code": 2,
        }
    }


def test_watching_is_for_people_and_refused_with_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["peers", "--watch", "--json", "--home", str(tmp_path)]) == Exit.USAGE
    assert "--watch draws a table" in answer(capsys)["error"]["message"]


def test_an_error_is_a_sentence_a_cure_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], add_command: Callable[[Callable[[], object]], None]
) -> None:
    add_command(lambda: fail("the token was used", "make another\non a steward", Exit.TOKEN_USED))
    assert main(["try"]) == 11
    assert capsys.readouterr() == (
        "",
        "error: the token was used\n  try: make another\n       on a steward\n",
    )
    assert main(["try", "--json"]) == 11
    assert answer(capsys) == {
        "error": {
            "code": "token-used",
            "message": "the token was used",
            "cure": "make another\non a steward",
            "exit_code": 11,
        }
    }


def test_what_a_command_returns_or_exits_with_is_the_exit_code(
    add_command: Callable[[Callable[[], object]], None],
) -> None:
    add_command(lambda: Exit.UNHEALTHY)
    assert main(["try"]) == 20
    add_command(lambda: click.get_current_context().exit(21))
    assert main(["try"]) == 21
    add_command(lambda: None)
    assert main(["try"]) == 0


def test_our_own_mistake_is_one_line_and_the_traceback_a_file_without_secrets(
    home: Path, capsys: pytest.CaptureFixture[str], add_command: Callable[[Callable[[], object]], None]
) -> None:
    def mistake() -> None:
        raise ZeroDivisionError("fm1-hush-hush")

    add_command(mistake)
    assert main(["try"]) == 70
    file = home / "cache" / "fieldmesh" / "last-crash.txt"
    assert capsys.readouterr().err == (
        "error: unexpected ZeroDivisionError: [redacted]\n"
        f"  try: please report this, with the traceback in {file}\n"
    )
    assert "in mistake" in file.read_text()
    assert "hush" not in file.read_text()


def test_a_traceback_that_cannot_be_written_is_printed(
    home: Path, capsys: pytest.CaptureFixture[str], add_command: Callable[[Callable[[], object]], None]
) -> None:
    (home / "cache").write_text("no folder")
    add_command(lambda: 1 // 0)
    assert main(["try"]) == 70
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "with the lines above" in err


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_an_interrupt_is_no_error_but_has_its_code(
    error: type[BaseException],
    capsys: pytest.CaptureFixture[str],
    add_command: Callable[[Callable[[], object]], None],
) -> None:
    def interrupted() -> None:
        raise error

    add_command(interrupted)
    assert main(["try"]) == 130
    assert "error" not in capsys.readouterr().err


@pytest.mark.io
def test_a_reader_who_goes_away_gets_no_traceback() -> None:
    command = f"{sys.executable} -m node.cli.main config template | true"
    asked = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert asked.stderr == ""


def test_emit_prints_one_of_the_two_forms(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"name": "é", "at": Path("x")}, True, "not this")
    emit({"name": "x"}, False, "this")
    emit({"name": "x"}, False, lambda: click.echo("and this"))
    emit({"name": "x"}, False)
    assert capsys.readouterr().out == '{"name": "é", "at": "x"}\nthis\nand this\n'


def test_config_template_prints_the_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "template"]) == 0
    assert capsys.readouterr().out == template()


def test_config_validate_says_ok_or_what_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "config.toml"
    write_template(file)
    assert main(["config", "validate", "--home", str(home)]) == 0
    assert capsys.readouterr().out == f"{file}: ok\n"
    file.write_text("[fabric]\nprot = 1\n")
    assert main(["config", "validate", "--home", str(home)]) == 78
    assert capsys.readouterr().err == (
        f"error: {file}: [fabric] has no key prot; did you mean port?\n"
        f"  try: mend it, then: fieldmesh config validate --home {home}\n"
    )


def test_config_show_says_where_each_value_came_from(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_template(home / "config.toml", name="press-1")
    monkeypatch.setenv("FIELDMESH_FABRIC_PORT", "9000")
    assert main(["config", "show", "--home", str(home), "--json"]) == 0
    shown = answer(capsys)["config"]
    assert shown["node.name"] == {"value": "press-1", "from": "file"}
    assert shown["fabric.port"] == {"value": 9000, "from": "FIELDMESH_FABRIC_PORT"}
    assert shown["fabric.mode"] == {"value": "own", "from": "default"}
    assert main(["config", "show", "--home", str(home)]) == 0
    assert "fabric.port" in capsys.readouterr().out


def test_the_home_comes_from_option_variable_or_the_users_folder(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["config", "validate"])
    assert f"{home}/.fieldmesh/config.toml" in capsys.readouterr().err
    monkeypatch.setenv("FIELDMESH_HOME", "/from-variable")
    main(["config", "validate"])
    assert "/from-variable/config.toml" in capsys.readouterr().err
    main(["config", "validate", "--home", "/from-option"])
    assert "/from-option/config.toml" in capsys.readouterr().err


def test_an_exit_has_a_name_and_is_found_by_it() -> None:
    assert Exit.NOT_RUNNING.code == "not-running"
    assert [Exit.of(found.code) for found in Exit] == list(Exit)
    assert Exit.of("from-the-future") is Exit.FAILURE


def test_an_error_survives_the_control_socket() -> None:
    error = FieldmeshError("no", "yes", Exit.NAME_TAKEN)
    again = FieldmeshError.from_json(error.as_json())
    assert (again.message, again.cure, again.exit_code) == ("no", "yes", Exit.NAME_TAKEN)
