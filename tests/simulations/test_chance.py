from simulations.chance import chance


def test_a_concern_draws_the_same_in_every_run() -> None:
    assert chance(7, "network").getrandbits(32) == chance(7, "network").getrandbits(32) == 1059530317


def test_concerns_and_seeds_do_not_share_a_stream() -> None:
    drawn = {chance(seed, concern).random() for seed in (1, 2) for concern in ("network", "mdns")}
    assert len(drawn) == 4
