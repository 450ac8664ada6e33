"""Configuration: what is accepted, what wins, and what a person reads when it is wrong."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from mesh.hearing import Config as HearingConfig
from mesh.state import CoreConfig
from mesh.wire import Endpoint
from node.config import KEYS, Config, MembershipSection, endpoint_of, load, load_effective, parse, variable_of
from node.config_template import template, write_template
from node.core_config import core_config
from node.errors import FieldmeshError
from node.exits import Exit


def problems(text: str, **environ: str) -> list[str]:
    """What is wrong with this file, called `c`, under this environment."""
    with pytest.raises(FieldmeshError) as caught:
        parse(text.encode(), "c", environ)
    assert caught.value.exit_code is Exit.CONFIGURATION
    assert caught.value.cure
    return caught.value.message.splitlines()


def test_an_empty_file_is_the_default() -> None:
    assert parse(b"", "c", {}).config == Config()
    assert Config().fabric.port == 8883


def test_a_file_sets_values_and_keeps_other_defaults() -> None:
    config = parse(
        b'[fabric]\nport = 9000\nseeds = ["10.0.0.7:8883"]\n[discovery]\nmdns = false\n', "c", {}
    ).config
    assert (config.fabric.port, config.fabric.seeds, config.fabric.join_port) == (
        9000,
        ("10.0.0.7:8883",),
        8884,
    )
    assert config.discovery.mdns is False


def test_the_environment_wins_over_the_file_and_each_value_knows_its_origin() -> None:
    environ = {
        "FIELDMESH_FABRIC_PORT": "9001",
        "FIELDMESH_FABRIC_SEEDS": "a:1, [::1]:2",
        "FIELDMESH_DISCOVERY_MDNS": "false",
        "FIELDMESH_MEMBERSHIP_BEAT_S": "0.25",
        "FIELDMESH_HOME": "/somewhere",
        "HOME": "/elsewhere",
    }
    config, origins = parse(b'[fabric]\nport = 9000\nbind = "10.0.0.1"\n', "c", environ)
    assert (config.fabric.port, config.fabric.seeds, config.fabric.bind) == (
        9001,
        ("a:1", "[::1]:2"),
        "10.0.0.1",
    )
    assert (config.discovery.mdns, config.membership.beat_s) == (False, 0.25)
    assert origins == {
        "fabric.port": "FIELDMESH_FABRIC_PORT",
        "fabric.bind": "file",
        "fabric.seeds": "FIELDMESH_FABRIC_SEEDS",
        "discovery.mdns": "FIELDMESH_DISCOVERY_MDNS",
        "membership.beat_s": "FIELDMESH_MEMBERSHIP_BEAT_S",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[fabric]\nprot = 1", "c: [fabric] has no key prot; did you mean port?"),
        ("[fabrik]\nport = 1", "c: there is no section [fabrik]; did you mean fabric?"),
        (
            "[zzz]",
            "c: there is no section [zzz]; there are node, fabric, discovery, membership, broker, trust, world, api",
        ),
        (
            "port = 1",
            "c: there is no section [port]; there are node, fabric, discovery, membership, broker, trust, world, api",
        ),
        ("node = 3", "c: node is 3; allowed: a section, [node]"),
        ("[fabric]\nport = 70000", "c: [fabric] port is 70000; allowed: a whole number from 1 to 65535"),
        ("[fabric]\nport = true", "c: [fabric] port is true; allowed: a whole number from 1 to 65535"),
        ('[fabric]\nport = "8883"', 'c: [fabric] port is "8883"; allowed: a whole number from 1 to 65535'),
        ('[fabric]\nmode = "onw"', 'c: [fabric] mode is "onw"; allowed: "leaf", "own", "shared"'),
        (
            '[fabric]\nmode = "shared"',
            'c: [fabric] mode is "shared" but brokers is empty; allowed: at least one broker',
        ),
        ('[fabric]\nbind = "eth0"', 'c: [fabric] bind is "eth0"; allowed: an IP address, or empty'),
        ('[fabric]\nseeds = ["press-1"]', 'c: [fabric] seeds has "press-1"; allowed: HOST:PORT'),
        ('[fabric]\nadvertise = ["::1:80"]', 'c: [fabric] advertise has "::1:80"; allowed: HOST:PORT'),
        (
            '[fabric]\nbrokers = ["http://x"]',
            'c: [fabric] brokers has "http://x"; allowed: mqtts://HOST[:PORT] or mqtt://HOST[:PORT]',
        ),
        (
            '[fabric]\nbrokers = ["mqtts://u:p@x"]',
            'c: [fabric] brokers has "mqtts://u:p@x"; allowed: mqtts://HOST[:PORT] or mqtt://HOST[:PORT]',
        ),
        ("[fabric]\njoin_port = 8883", "c: [fabric] join_port is 8883, the same as port; allowed: another one"),
        ("[discovery]\nmdns = 1", "c: [discovery] mdns is 1; allowed: true or false"),
        (
            '[node]\nname = "Press 1"',
            'c: [node] name is "Press 1"; allowed: at most 40 lower-case letters, digits and inner hyphens',
        ),
        ("[membership]\nbeat_s = inf", "c: [membership] beat_s is Infinity; allowed: a number from 0.05 to 10"),
        ("[membership]\nbeat_s = nan", "c: [membership] beat_s is NaN; allowed: a number from 0.05 to 10"),
        (
            "[membership]\nsuspect_after_s = 2.5",
            "c: [membership] beat_s and suspect_after_s and unreachable_after_s are 0.5, 2.5, 2; "
            "allowed: 2 * beat_s < suspect_after_s < unreachable_after_s",
        ),
        (
            "[membership]\nbeat_s = 0.75",
            "c: [membership] beat_s and suspect_after_s and unreachable_after_s are 0.75, 1.5, 2; "
            "allowed: 2 * beat_s < suspect_after_s < unreachable_after_s",
        ),
        ("[node]\nname = 2026-01-01", 'c: [node] name is "2026-01-01"; allowed: at most 40 lower-case letters, '
         "digits and inner hyphens"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_is_allowed(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "FIELDMESH_FABRIC_PROT",
            "1",
            "FIELDMESH_FABRIC_PROT is not known; did you mean FIELDMESH_FABRIC_PORT?",
        ),
        (
            "FIELDMESH_FABRC_PORT",
            "1",
            "FIELDMESH_FABRC_PORT is not known; did you mean FIELDMESH_FABRIC_PORT?",
        ),
        (
            "FIELDMESH_FABRIC_PORT",
            "x",
            'FIELDMESH_FABRIC_PORT is "x"; allowed: a whole number from 1 to 65535',
        ),
        ("FIELDMESH_FABRIC_BIND", "x", 'FIELDMESH_FABRIC_BIND is "x"; allowed: an IP address, or empty'),
        (
            "FIELDMESH_DISCOVERY_MDNS",
            "perhaps",
            'FIELDMESH_DISCOVERY_MDNS is "perhaps"; allowed: true or false',
        ),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, problem: str) -> None:
    assert problems("", **{name: value}) == [f"environment variable {problem}"]


def test_all_problems_are_told_at_once_but_no_more_than_a_screenful() -> None:
    assert len(problems("[node]\nname = 1\n[fabric]\nport = 0\nmode = 3\n", FIELDMESH_TRUST_X="1")) == 4
    many = problems("[fabric]\n" + "".join(f"zz{number} = 1\n" for number in range(50)))
    assert (len(many), many[-1]) == (21, "and 30 more")


def test_what_is_found_is_shown_short() -> None:
    (line,) = problems(f'[fabric]\nmode = "{"x" * 5000}"')
    assert len(line) < 160


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[fabric\n", "c: not TOML: "),
        (b"\xff\xfe", "c: not UTF-8 text"),
        (b"#" * 70_000, "c: larger than 65536 bytes"),
        (b"x = " + b"[" * 30_000, "c: not TOML: nested too deeply"),
    ],
)
def test_bytes_that_are_no_configuration_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(FieldmeshError) as caught:
        parse(data, "c", {})
    assert caught.value.message.startswith(words)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_harm_than_an_error(data: bytes) -> None:
    with contextlib.suppress(FieldmeshError):
        parse(data, "c", {})


def test_a_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(FieldmeshError) as caught:
        load(tmp_path / "config.toml", {})
    assert caught.value.exit_code is Exit.CONFIGURATION
    assert "fieldmesh join" in caught.value.cure


def test_a_folder_in_its_place_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(FieldmeshError, match="Is a directory"):
        load(tmp_path, {})


def test_what_nobody_has_set_is_what_the_core_has_by_itself() -> None:
    assert replace(core_config(Config()), release="") == CoreConfig()


def test_a_slow_beat_is_no_stall() -> None:
    slow = MembershipSection(beat_s=2.0, suspect_after_s=5.0, unreachable_after_s=6.0)
    assert core_config(Config(membership=slow)).hearing == HearingConfig(
        beat_s=2.0, doubt_after_s=4.0, suspect_after_s=5.0, unreachable_after_s=6.0, stall_s=3.0
    )


def test_the_template_is_the_default_and_says_so_at_every_key() -> None:
    text = template()
    assert parse(text.encode(), "c", {}).config == Config()
    for section, keys in KEYS.items():
        assert f"\n[{section}]\n" in text
        for key in keys:
            assert f"\n# {key} = " in text


def test_each_default_in_the_template_is_written_as_it_must_be() -> None:
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line else line for line in template().splitlines()
    )
    assert "port = 8883" in uncommented.splitlines()
    assert parse(uncommented.replace("A line like", "# A line like").encode(), "c", {}).config == Config()


def test_a_written_template_has_the_given_values(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write_template(file, name="press-1", seeds=["10.0.0.7:8883"], certificate_days=1.5, mdns=False)
    config, origins = load_effective(file, {})
    assert (config.node.name, config.fabric.seeds) == ("press-1", ("10.0.0.7:8883",))
    assert (config.trust.certificate_days, config.discovery.mdns) == (1.5, False)
    assert set(origins) == {"node.name", "fabric.seeds", "trust.certificate_days", "discovery.mdns"}


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("# mine\n")
    with pytest.raises(FieldmeshError, match="is there already"):
        write_template(file)
    assert file.read_text() == "# mine\n"


def test_values_that_could_not_be_read_back_are_not_written(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    with pytest.raises(FieldmeshError):
        write_template(file, port=0)
    with pytest.raises(TypeError):
        write_template(file, prot=1)
    assert not file.exists()


def test_every_key_has_a_meaning_and_no_two_sections_share_one() -> None:
    names = [key for keys in KEYS.values() for key in keys]
    assert len(set(names)) == len(names)  # write_template(**values) relies on it
    for keys in KEYS.values():
        for field in keys.values():
            info = inspect.type_info(field.type)
            assert isinstance(info, inspect.Metadata)
            assert (info.extra_json_schema or {})["description"]


def test_a_variable_is_named_after_section_and_key() -> None:
    assert variable_of("membership", "beat_s") == "FIELDMESH_MEMBERSHIP_BEAT_S"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.7:8883", Endpoint("10.0.0.7", 8883)),
        ("press-1.plant.example:1", Endpoint("press-1.plant.example", 1)),
        ("[fd00::1]:8883", Endpoint("fd00::1", 8883)),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, endpoint: Endpoint) -> None:
    assert endpoint_of(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", ":1", "a", "a:", "a:0", "a:65536", "a:x", "a:-1", "::1:80", "[x]:1", "a b:1", "a:٣"]
)
def test_other_texts_are_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError):
        endpoint_of(text)
