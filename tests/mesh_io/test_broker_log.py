import pytest

from mesh.events import Counted
from mesh.io.broker_log import Lines, Place, complaint, counted, opens_the_gate, refusal

ANN = "a" * 26
PLACE = Place("0.0.0.0", 8883, "/h/keys/tls.pem", "/h/site/root.pem")


@pytest.mark.parametrize(
    ("line", "name", "peer"),
    [
        (
            "Client connection from 10.0.0.9 failed: error:0A00010B:SSL routines::wrong version number.",
            "broker_refused_client",
            "",
        ),
        ("Client connection from 10.0.0.9 denied: max_connections exceeded.", "broker_refused_client", ""),
        ("Client <unknown> disconnected: Protocol error.", "broker_refused_client", ""),
        ("Client <unknown> disconnected due to protocol error.", "broker_refused_client", ""),
        (f"Client {ANN} disconnected due to oversize packet.", "broker_dropped_client", ANN),
        (f"Client {ANN} disconnected: Protocol error.", "broker_dropped_client", ANN),
        (f"Client {ANN} disconnected, not authorised.", "broker_dropped_client", ANN),
        (f"Outgoing messages are being dropped for client {ANN}.", "broker_queue_full", ANN),
        (f"Client {ANN} already connected, closing old connection.", "broker_session_replaced", ANN),
        (
            "Error when reloading certificate '/h/tls.pem' or key '/h/tls.pem'.",
            "broker_certificate_refused",
            "",
        ),
    ],
)
def test_a_line_raises_its_counter(line: str, name: str, peer: str) -> None:
    assert counted(line) == Counted(name, peer)


@pytest.mark.parametrize(
    "line",
    [
        "New connection from 10.0.0.9:34076 on port 8883.",
        f"New client connected from 10.0.0.9:34076 as {ANN} (p2, c1, k60, u'{ANN}').",
        f"Client {ANN} disconnected.",
        f"Client {ANN} closed its connection.",
        "Client <unknown> closed its connection.",
        "Warning: Unable to set TCP_NODELAY.",
    ],
)
def test_the_usual_coming_and_going_raises_none(line: str) -> None:
    assert counted(line) is None
    assert not opens_the_gate(line)


@pytest.mark.parametrize(
    "line",
    [
        'Error: Unable to open acl_file "/h/broker/mesh.acl".',
        'Error opening acl file "/h/broker/mesh.acl".',
        'Error: Invalid line in acl_file "/h/broker/mesh.acl": bogus.',
        "Error: Out of memory.",
    ],
)
def test_an_access_list_that_is_not_loaded_opens_the_gate(line: str) -> None:
    assert opens_the_gate(line)


def test_a_taken_port_is_named_with_a_cure() -> None:
    refused = refusal(["mosquitto version 2.0.11 starting", "Error: Address already in use"], PLACE)
    assert refused is not None
    assert refused.code == "port-taken"
    assert refused.message == "port 8883 on 0.0.0.0 is already in use (Address already in use)"
    assert "ss -ltnp 'sport = :8883'" in refused.cure


def test_a_privileged_port_is_told_from_other_refusals() -> None:
    place = Place("0.0.0.0", 883, "", "")
    refused = refusal(["Error: Permission denied"], place)
    assert refused is not None and refused.code == "port-forbidden"
    assert refusal(["Error: Permission denied"], PLACE) is None


@pytest.mark.parametrize(
    "line",
    [
        'Error: Unable to load server certificate "/h/keys/tls.pem". Check certfile.',
        'Error: Unable to load server key file "/h/keys/tls.pem". Check keyfile.',
        "Error: Server certificate/key are inconsistent.",
        'Error: Unable to load CA certificates. Check cafile "/h/site/root.pem".',
    ],
)
def test_a_bad_certificate_is_named_with_both_files(line: str) -> None:
    refused = refusal([line, "OpenSSL Error[0]: error:0480006C:PEM routines::no start line"], PLACE)
    assert refused is not None
    assert refused.code == "bad-certificate"
    assert refused.message == f"mosquitto cannot use /h/keys/tls.pem with the root /h/site/root.pem: {line}"


def test_another_failure_is_for_another_try() -> None:
    assert refusal(["Error: Cannot assign requested address"], PLACE) is None
    assert complaint(["starting", "Error: Cannot assign requested address", "bye"]) == (
        "Error: Cannot assign requested address"
    )


def test_lines_come_whole_however_the_bytes_are_cut() -> None:
    lines = Lines()
    assert [line for byte in b"one\ntwo\n\nthree" for line in lines.feed(bytes((byte,)))] == ["one", "two"]
    assert lines.feed(b"\n") == ["three"]


def test_an_endless_line_is_cut() -> None:
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"x" * 1000) == []
    assert lines.feed(b"\nnext\n") == ["x" * 1024, "next"]
