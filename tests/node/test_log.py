"""The log: lines that can be read, and no secret in any of them."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from node.log import REDACTED, TEXT_CHARS_MAX, redact, redact_text, set_up_log

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def json_log() -> Any:
    """Made within the test: the standard error of its fixtures is another one."""
    set_up_log("json")
    return structlog.get_logger("test")


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_says_what_when_who_and_how_urgent(capsys: pytest.CaptureFixture[str]) -> None:
    json_log().warning("peer-suspected", peer="abc", silent_s=1.5)
    (line,) = logged(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "peer-suspected",
        "level": "warning",
        "logger": "test",
        "peer": "abc",
        "silent_s": 1.5,
    }


def test_a_readable_line_is_one_line_without_colours_when_nobody_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_log("readable", "info")
    structlog.get_logger("test").info("link-opened", peer="abc")
    structlog.get_logger("test").debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    assert "link-opened" in line
    assert "peer=abc" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "hush-hush"},
        {"private_key": b"hush-hush"},
        {"keys": ["hush-hush"]},
        {"password": "hush-hush"},
        {"detail": {"secret": "hush-hush"}},
        {"detail": [{"deep": {"root_key": "hush-hush"}}]},
        {"payload": b"hush-hush"},
        {"words": "mqtts://me:hush-hush@broker:8883/"},
        {"words": "join with fm1-hush-hush now"},
        {"words": "-----BEGIN PRIVATE KEY-----\nhush-hush\n-----END PRIVATE KEY-----"},
        {"words": "-----BEGIN EC PRIVATE KEY-----\nhush-hush"},
        {"error": ValueError("fm1-hush-hush")},
    ],
)
def test_a_secret_is_not_printed(capsys: pytest.CaptureFixture[str], fields: dict[str, Any]) -> None:
    json_log().info("fm1-hush-hush", **fields)
    text = capsys.readouterr().err
    assert "hush" not in text
    assert REDACTED in text


def test_a_secret_in_a_traceback_or_in_another_packages_line_is_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = json_log()
    try:
        raise ValueError(PEM)
    except ValueError:
        log.exception("failed")
        logging.getLogger("paho").exception("failed with %s", "fm1-hush-hush")
    first, second = logged(capsys)
    assert "ValueError: [redacted]" in first["exception"]
    assert second["event"] == "failed with [redacted]"
    assert "MC4CAQ" not in second["exception"]


@pytest.mark.parametrize(
    "fields",
    [
        {"public_key": "abc"},
        {"root_fingerprint": "ab:cd"},
        {"certificate_days": 30},
        {"key": "fabric.port"},
        {"words": "the token has expired"},
        {"keyboard": "qwertz"},
        {"url": "mqtts://broker:8883/"},
    ],
)
def test_an_ordinary_value_stays_as_it_is(fields: dict[str, Any]) -> None:
    assert redact(None, "info", dict(fields)) == fields


def test_values_are_bounded_in_length_depth_and_number() -> None:
    nested: Any = "end"
    for _ in range(50):
        nested = [nested]
    shown = redact(None, "info", {"text": "x" * 100_000, "nested": nested, "many": list(range(10_000))})
    assert len(shown["text"]) < TEXT_CHARS_MAX + 40
    assert "end" not in str(shown["nested"])
    assert len(shown["many"]) == 100


@given(st.text(), st.text())
def test_a_token_is_found_wherever_it_stands(before: str, after: str) -> None:
    assert "hush" not in redact_text(f"{before} fm1-hush {after}")


def test_logging_does_not_load_rich_and_does_not_stand_in_its_way() -> None:
    code = "import sys, node.log; print('rich' in sys.modules); import rich.table; print(rich.__name__)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout == "False\nrich\n"
