"""Certificates are renewed in time and by hand, by any steward, and no link notices."""

import time

import pytest

from tests.e2e.conftest import Plant
from tests.e2e.machines import Machine, all_linked

pytestmark = [pytest.mark.io]

MINUTE_DAYS = "0.0007"  # a life of a minute: renewed at half a minute, when it is looked for
LIVES = 2
LIFE_S = 60.0


def expires_ms(machine: Machine) -> int:
    return int(machine.status()["certificate_expires_ms"])


def links_stand(machine: Machine, since_s: float) -> bool:
    """Whether each link of this machine is as old as that, and none was ever lost."""
    return machine.count("link-lost") == 0 and all(
        peer["linked"] and peer["since_s"] >= since_s for peer in machine.peers().values()
    )


def test_renewal_by_hand_takes_a_new_certificate_at_once_and_drops_no_link(running: Plant) -> None:
    begun = time.monotonic()
    for machine in running:
        bundle = machine.home / "keys" / "tls.pem"
        before = bundle.read_bytes().partition(b"-----BEGIN PRIVATE")
        machine.json("renew")
        after = bundle.read_bytes().partition(b"-----BEGIN PRIVATE")
        assert (after[0] != before[0], after[2] == before[2]) == (True, True)  # the key stays
        assert bundle.stat().st_mode & 0o777 == 0o600
    lived_s = time.monotonic() - begun
    assert all(links_stand(machine, lived_s * 0.9) for machine in running)
    third = running[2]
    third.stop()
    third.start()  # every new handshake, both ways, is with the new certificates
    all_linked(running)


def test_the_second_steward_renews_while_the_first_is_away_and_without_any_that_is_said(
    running: Plant,
) -> None:
    first, second, third = running
    first.stop()
    before = (third.home / "keys" / "tls.pem").read_bytes()
    third.json("renew")
    assert (third.home / "keys" / "tls.pem").read_bytes() != before
    members = {each["name"]: each["admitted_by"] for each in third.json("member", "list")["members"]}
    assert members["press-3"] == "press-2"
    assert second.count("certificate-renewed") == 1
    second.stop()
    third.until(lambda: third.status()["linked"] == 0, "it is alone")
    error = third.json("renew", code=75)["error"]
    assert "no steward can be reached" in error["message"]


@pytest.mark.slow
def test_short_lived_certificates_roll_over_again_and_again_while_every_link_stays(plant: Plant) -> None:
    for machine in plant:
        machine.settings["TRUST_CERTIFICATE_DAYS"] = MINUTE_DAYS
        machine.start()
    all_linked(plant)
    for machine in plant:
        machine.json("renew")  # from thirty days to a minute
    begun = time.monotonic()
    seen: dict[str, list[int]] = {machine.name: [expires_ms(machine)] for machine in plant}
    while min(map(len, seen.values())) <= 1 + LIVES:
        for machine in plant:
            if expires_ms(machine) != seen[machine.name][-1]:
                seen[machine.name].append(expires_ms(machine))
        assert time.monotonic() - begun < (1 + LIVES) * LIFE_S, seen
        time.sleep(0.5)
    lived_s = time.monotonic() - begun
    assert lived_s > LIFE_S  # the first of them have run out
    assert all(links_stand(machine, lived_s) for machine in plant)
    plant[2].stop()
    plant[2].start()
    all_linked(plant)
