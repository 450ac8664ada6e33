"""The systemd unit says what the node relies on, and systemd itself finds no fault with it."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from node.exits import Exit

PACKAGING = Path(__file__).parents[2] / "packaging"
UNIT = PACKAGING / "fieldmesh.service"


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep letter case
    parser.read_string(UNIT.read_text())
    return parser


def test_it_runs_as_a_user_of_its_own_without_any_privilege(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["User"] == service["Group"] == "fieldmesh"
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert "u fieldmesh " in (PACKAGING / "fieldmesh.sysusers").read_text()


def test_it_is_watched_and_restarted_but_not_after_a_configuration_error(
    unit: configparser.ConfigParser,
) -> None:
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert int(service["WatchdogSec"]) > 0
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(int(Exit.CONFIGURATION)) == "78"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_its_hardening_leaves_what_a_node_needs(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    families = set(service["RestrictAddressFamilies"].split())
    assert families == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
    breaks_a_node = {
        "PrivateNetwork",
        "IPAddressDeny",
        "NoExecPaths",
        "MemoryDenyWriteExecute",
        "PrivateUsers",
    }
    assert not breaks_a_node & set(service)
    assert service["StateDirectory"] == "fieldmesh"
    assert "/var/lib/fieldmesh" in service["ExecStart"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_with_it(tmp_path: Path) -> None:
    # systemd looks for the program: give it one that exists on every machine
    text = UNIT.read_text().replace("ExecStart=/usr/bin/fieldmesh", f"ExecStart={shutil.which('true')}")
    (tmp_path / "fieldmesh.service").write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "fieldmesh.service")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
