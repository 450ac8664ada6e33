from simulations.clock import Clock


def test_acts_run_in_the_order_of_their_times() -> None:
    clock, ran = Clock(), list[str]()
    clock.at(2.0, ran.append, "late")
    clock.at(1.0, ran.append, "early")
    clock.run_until(3.0)
    assert ran == ["early", "late"]


def test_acts_of_one_moment_run_in_the_order_they_were_asked_for() -> None:
    clock, ran = Clock(), list[int]()
    for number in (3, 1, 2):
        clock.at(1.0, ran.append, number)
    clock.run_until(1.0)
    assert ran == [3, 1, 2]


def test_an_act_for_the_past_runs_now() -> None:
    clock, moments = Clock(), list[float]()
    clock.run_until(5.0)
    clock.at(1.0, lambda: moments.append(clock.now_s))
    clock.run_until(5.0)
    assert moments == [5.0]


def test_what_is_due_later_waits() -> None:
    clock, ran = Clock(), list[str]()
    clock.after(1.5, ran.append, "later")
    clock.run_until(1.0)
    assert ran == [] and clock.now_s == 1.0
