from dataclasses import replace
from pathlib import Path

import pytest

from mesh.ids import NodeId, SiteId
from mesh.io.broker_config import BrokerSettings, apps_access, configuration, mesh_access, owner_access
from mesh.io.broker_error import BrokerError
from mesh.io.broker_reach import ranked
from mesh.wire import Endpoint

SITE = SiteId("plantplantplantp")
OWNER, ANN, BEN = NodeId("o" * 26), NodeId("a" * 26), NodeId("b" * 26)
SETTINGS = BrokerSettings(
    binary=None,
    folder=Path("/home/x/broker"),
    run=Path("/home/x/run"),
    node=OWNER,
    site=SITE,
    bind="0.0.0.0",
    port=8883,
    certificate=Path("/home/x/keys/tls.pem"),
    root=Path("/home/x/site/root.pem"),
)


def test_the_mesh_listener_asks_for_a_certificate_and_takes_the_name_from_it() -> None:
    text = configuration(SETTINGS, 8883, as_root=False, connections_max=1024)
    _, mesh, _, _ = text.split("\nlistener ")
    assert mesh.splitlines() == [
        "8883 0.0.0.0",
        "max_connections 1024",
        "max_qos 0",
        "max_topic_alias 0",
        "allow_anonymous false",
        "allow_zero_length_clientid false",
        "tls_version tlsv1.3",
        "cafile /home/x/site/root.pem",
        "certfile /home/x/keys/tls.pem",
        "keyfile /home/x/keys/tls.pem",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "acl_file /home/x/broker/mesh.acl",
    ]


def test_the_local_listeners_are_unix_sockets_with_lists_of_their_own() -> None:
    text = configuration(SETTINGS, 8883, as_root=False, connections_max=1024)
    _, _, owner, apps = text.split("\nlistener ")
    assert owner.splitlines()[0] == "0 owner.sock"
    assert owner.splitlines()[-1] == "acl_file /home/x/broker/owner.acl"
    assert apps.splitlines()[0] == "0 apps.sock"
    assert apps.splitlines()[-1] == "acl_file /home/x/broker/apps.acl"


def test_the_broker_remembers_nothing_and_has_bounds() -> None:
    general = (
        configuration(SETTINGS, 8883, as_root=False, connections_max=1024)
        .split("\nlistener ")[0]
        .splitlines()
    )
    for line in (
        "per_listener_settings true",
        "persistence false",
        "retain_available false",
        "sys_interval 0",
        "max_packet_size 263168",
        "max_queued_messages 400",
        "memory_limit 268435456",
        "max_keepalive 30",
    ):
        assert line in general


def test_only_root_names_a_user() -> None:
    assert "user root" in configuration(SETTINGS, 8883, as_root=True, connections_max=1024).splitlines()
    assert "user root" not in configuration(SETTINGS, 8883, as_root=False, connections_max=1024).splitlines()


def test_binding_to_both_families_names_no_address() -> None:
    text = configuration(replace(SETTINGS, bind="::"), 8883, as_root=False, connections_max=1024)
    assert "\nlistener 8883\n" in text


@pytest.mark.parametrize("bind", ["", "everywhere", "1.2.3", "0.0.0.0\nallow_anonymous true"])
def test_a_bind_that_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(BrokerError) as refused:
        configuration(replace(SETTINGS, bind=bind), 8883, as_root=False, connections_max=1024)
    assert refused.value.code == "bad-setting"


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a "])
def test_a_path_that_would_change_the_configuration_is_refused(name: str) -> None:
    with pytest.raises(BrokerError) as refused:
        configuration(replace(SETTINGS, certificate=Path(name)), 8883, as_root=False, connections_max=1024)
    assert refused.value.code == "bad-setting"


def test_each_member_writes_as_itself_and_reads_what_is_broadcast() -> None:
    assert mesh_access(OWNER, SITE, [BEN, ANN], []).splitlines()[1:] == [
        f"pattern write fm/{SITE}/hello/{OWNER}/%u",
        f"pattern read fm/{SITE}/to/%u/{OWNER}",
        f"user {ANN}",
        f"topic write fm/{SITE}/to/{OWNER}/{ANN}",
        f"topic read fm/{SITE}/all/{OWNER}",
        f"user {BEN}",
        f"topic write fm/{SITE}/to/{OWNER}/{BEN}",
        f"topic read fm/{SITE}/all/{OWNER}",
    ]


def test_who_is_removed_is_denied_all_even_if_still_listed_as_a_member() -> None:
    assert mesh_access(OWNER, SITE, [ANN, BEN], [BEN]).splitlines()[3:] == [
        f"user {ANN}",
        f"topic write fm/{SITE}/to/{OWNER}/{ANN}",
        f"topic read fm/{SITE}/all/{OWNER}",
        f"user {BEN}",
        "topic deny #",
    ]


def test_the_order_of_members_does_not_show() -> None:
    assert mesh_access(OWNER, SITE, [ANN, BEN], []) == mesh_access(OWNER, SITE, [BEN, ANN, BEN], [])


def test_the_owner_is_no_member_of_its_own_mesh_listener() -> None:
    assert f"user {OWNER}" not in mesh_access(OWNER, SITE, [OWNER, ANN], [])


def test_the_owner_reads_its_door_and_inbox_and_writes_as_itself() -> None:
    assert owner_access(OWNER, SITE).splitlines() == [
        f"topic read fm/{SITE}/hello/{OWNER}/+",
        f"topic read fm/{SITE}/to/{OWNER}/+",
        f"topic write fm/{SITE}/to/+/{OWNER}",
        f"topic write fm/{SITE}/all/{OWNER}",
    ]


def test_applications_have_local_topics_only() -> None:
    assert apps_access() == "topic readwrite local/#\n"


def test_link_local_addresses_are_tried_last_and_ipv6_only_where_it_is_bound() -> None:
    hosts = ["169.254.7.7", "fd00::5", "10.0.0.9", "10.0.0.5"]
    assert ranked("0.0.0.0", 8883, hosts) == (
        Endpoint("10.0.0.5", 8883),
        Endpoint("10.0.0.9", 8883),
        Endpoint("169.254.7.7", 8883),
    )
    assert ranked("::", 8883, hosts) == (
        Endpoint("10.0.0.5", 8883),
        Endpoint("10.0.0.9", 8883),
        Endpoint("fd00::5", 8883),
        Endpoint("169.254.7.7", 8883),
    )


def test_no_more_endpoints_are_told_than_a_greeting_holds() -> None:
    assert len(ranked("0.0.0.0", 1, [f"10.0.0.{last}" for last in range(200)])) == 16
