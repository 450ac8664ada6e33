"""The first day: found a site, make a token, join from another machine, run both, look around."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.machines import Machine, all_alive, brokers_under, free_ports, until

pytestmark = [pytest.mark.io]

Pair = tuple[Machine, Machine]
EVERY_COMMAND = (
    "status",
    "peers",
    "check",
    "member list",
    "token create",
    "token list",
    "config validate",
    "config show",
    "config template",
    "renew",
    "version",
    "completion bash",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("first-day")
    ports = free_ports(4)
    first, second = Machine(folder, "press-1", *ports[:2]), Machine(folder, "press-2", *ports[2:])
    first.found()
    token = first.token("--ttl", "10m")
    first.start().wait_until_up()
    second.join(token, first)
    second.start()
    all_alive((first, second))
    yield first, second
    for machine in (first, second):
        machine.end()
    until(lambda: not brokers_under(folder), "no broker is left")


def test_both_are_alive_to_each_other_with_path_round_trip_and_certificate(pair: Pair) -> None:
    for machine, other in (pair, pair[::-1]):
        machine.until(lambda: machine.peers()[other.name]["rtt_ms"], "a round trip")  # noqa: B023 - called here
        (peer,) = machine.json("peers")["peers"]
        assert (peer["name"], peer["state"], peer["path"], peer["why"]) == (
            other.name,
            "alive",
            "direct",
            "heard directly",
        )
        assert 0 < peer["rtt_ms"] < 1000 and abs(peer["clock_offset_ms"]) < 1000
        assert peer["certificate_expires_ms"] > 0 and peer["since_s"] > 0 and peer["incarnation"] > 0
        assert peer["steward"] is (other is pair[0])


def test_the_tables_for_people_say_the_same(pair: Pair) -> None:
    first, second = pair
    peers = first.fieldmesh("peers").out
    assert "press-2" in peers and "alive" in peers and "direct" in peers
    assert "press-1 *" in second.fieldmesh("peers").out  # the star marks a steward
    status = second.fieldmesh("status").out
    assert "press-2" in status and "2 of 2 nodes here" in status and f"127.0.0.1:{second.port}" in status
    members = second.fieldmesh("member", "list").out
    assert re.search(r"press-1 +steward", members) and re.search(r"press-2 +member", members)


def test_the_doctor_says_that_all_is_well(pair: Pair) -> None:
    for machine in pair:
        assert "all is well" in machine.fieldmesh("check").out
        assert machine.json("check") == {
            "healthy": True,
            "peers_asked": 1,
            "peers_answered": 1,
            "findings": [],
        }


def test_every_command_prints_exactly_one_json_object(pair: Pair) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda words: pair[0].json(*words.split()), EVERY_COMMAND))
    assert all(found) and not any("error" in each for each in found)


def test_a_failing_command_prints_exactly_one_json_object_too(pair: Pair) -> None:
    first, second = pair
    error = second.json("token", "create", code=17)["error"]
    assert error["code"] == "not-a-steward" and error["cure"]
    assert second.json("member", "remove", "press-1", "--yes", code=17)["error"]["code"] == "not-a-steward"
    assert first.json("member", "remove", "press-9", "--yes", code=2)["error"]["message"].endswith("press-9")
    assert first.json("status", "--verbose", code=2)["error"]["code"] == "usage"


def test_no_key_is_readable_by_others_and_none_is_in_a_log(pair: Pair) -> None:
    for machine in pair:
        keys = list((machine.home / "keys").iterdir())
        assert keys and all(path.stat().st_mode & 0o777 == 0o600 for path in keys)
        assert "PRIVATE" not in machine.log and "fm1-" not in machine.log
    assert not (pair[1].home / "keys" / "root.pem").exists()
    assert not (pair[1].home / "keys" / "authority.pem").exists()


def test_a_second_node_in_the_same_home_is_refused(pair: Pair) -> None:
    said = pair[0].fieldmesh("run", code=19)
    assert str(pair[0].pid) in said.err and "one process at a time" in said.err


def test_a_member_cannot_join_again_into_its_home(pair: Pair) -> None:
    first, second = pair
    error = second.join(first.token(), first, code=19)["error"]
    assert "already the home of a node" in error["message"]


@pytest.fixture
def newcomer(tmp_path: Path) -> Machine:
    """A third computer, without a node."""
    return Machine(tmp_path, "press-3", *free_ports(2))


def test_a_token_that_was_used_is_refused_and_says_by_whom(
    pair: Pair, newcomer: Machine, tmp_path: Path
) -> None:
    token = pair[0].token()
    newcomer.join(token, pair[0])
    other = Machine(tmp_path, "press-4", *free_ports(2))
    error = other.join(token, pair[0], code=11)["error"]
    assert "press-3" in error["message"] and "token create" in error["cure"]
    assert not other.home.exists()


def test_a_token_with_a_typing_error_is_refused(pair: Pair, newcomer: Machine) -> None:
    token = pair[0].token()
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert newcomer.join(wrong, pair[0], code=10)["error"]["code"] == "token-wrong"
    assert newcomer.join("hello", pair[0], code=10)["error"]["code"] == "token-wrong"
    assert not newcomer.home.exists()


def test_a_token_that_was_revoked_is_refused(pair: Pair, newcomer: Machine) -> None:
    made = pair[0].json("token", "create")
    pair[0].json("token", "revoke", made["id"])
    error = newcomer.join(made["token"], pair[0], code=10)["error"]
    assert "revoked" in error["message"]


def test_a_name_that_is_taken_is_refused_and_another_one_suggested(pair: Pair, newcomer: Machine) -> None:
    newcomer.name = "press-2"
    error = newcomer.join(pair[0].token(), pair[0], code=15)["error"]
    assert "press-2 belongs to another node" in error["message"] and "--name press-2-2" in error["cure"]
    assert not newcomer.home.exists()


def test_a_steward_that_is_not_there_is_named_with_what_was_tried(pair: Pair, newcomer: Machine) -> None:
    nobody = Machine(newcomer.folder, "nobody", *free_ports(2))
    token = pair[0].token()
    where = ("--seed", f"127.0.0.1:{nobody.join_port}", "--timeout", "1s")
    error = newcomer.json("join", token, "--name", "press-3", *where, code=13)["error"]
    assert f"127.0.0.1:{nobody.join_port} refused the connection" in error["message"]
    assert "fieldmesh join TOKEN --seed" in error["cure"]


def test_a_token_of_another_site_is_refused_before_anything_secret_is_said(
    pair: Pair, newcomer: Machine, tmp_path: Path
) -> None:
    elsewhere = Machine(tmp_path, "elsewhere", *free_ports(2))
    elsewhere.found("paris")
    error = newcomer.join(elsewhere.token(), pair[0], code=16)["error"]
    assert error["code"] == "root-mismatch" and "nothing secret was sent" in error["cure"]


def test_commands_without_a_node_say_how_to_get_one(newcomer: Machine) -> None:
    for words in ("status", "peers", "check", "leave", "renew", "member list"):
        error = newcomer.json(*words.split(), code=18)["error"]
        assert error["code"] == "not-running"
    assert "fieldmesh join TOKEN" in newcomer.fieldmesh("run", code=78).err
    assert not newcomer.home.exists()


def test_a_node_that_is_not_running_says_how_to_start_it(newcomer: Machine) -> None:
    newcomer.found()
    assert "fieldmesh run" in newcomer.fieldmesh("status", code=18).err


@pytest.mark.slow
def test_a_token_past_its_date_is_refused(pair: Pair, newcomer: Machine) -> None:
    """The shortest life of a token is 10 s, which is what makes this one slow."""
    made = pair[0].json("token", "create", "--ttl", "10s")
    until(
        lambda: pair[0].json("token", "list")["tokens"][0]["state"] == "expired",
        "the token has expired",
        20.0,
    )
    error = newcomer.join(made["token"], pair[0], code=12)["error"]
    assert "expired at" in error["message"] and "token create" in error["cure"]
