from mesh.events import Write
from simulations.disk import Disk


def test_writes_are_found_by_the_next_process() -> None:
    disk = Disk({"roster": {"a": b"1"}})
    assert disk.apply((Write("roster", "b", b"2"), Write("roster", "a", None), Write("clock", "floor", b"9")))
    assert disk.saved() == {"roster": {"b": b"2"}, "clock": {"floor": b"9"}}


def test_a_full_disk_takes_nothing_of_a_persist() -> None:
    disk = Disk({})
    disk.full = True
    assert not disk.apply((Write("roster", "a", b"1"),))
    assert disk.saved() == {}


def test_what_was_read_is_no_window_into_the_disk() -> None:
    disk = Disk({"roster": {"a": b"1"}})
    disk.saved()["roster"]["a"] = b"changed"
    assert disk.saved() == {"roster": {"a": b"1"}}
