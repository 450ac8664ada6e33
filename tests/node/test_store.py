"""The node's store: durable rows, incarnations that are never used again, and disks that fail."""

import multiprocessing
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.events import Write
from mesh.state import CLOCK_TABLE
from node.database import StoreError
from node.errors import FieldmeshError
from node.exits import Exit
from node.store import Store

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
NOW_S = 32_774_400  # the same, from where incarnations are counted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def rows(path: Path, table: str = "t") -> dict[str, bytes]:
    with Store(path) as store:
        return store.load().get(table, {})


def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"1"), Write("t", "b", b""), Write("u", "a", b"\0\xff")])
    with Store(path) as store:
        loaded = store.load()
    assert (loaded["t"], loaded["u"]) == ({"a": b"1", "b": b""}, {"a": b"\0\xff"})


def test_a_row_is_replaced_and_deleted(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"1"), Write("t", "b", b"2")])
        store.write([Write("t", "a", b"3"), Write("t", "b", None), Write("t", "never", None)])
    assert rows(path) == {"a": b"3"}


def test_a_batch_is_written_whole_or_not_at_all(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"old")])
        with pytest.raises(TypeError):
            store.write([Write("t", "a", b"new"), Write("t", "b", object())])  # type: ignore[arg-type]  # fails midway
    assert rows(path) == {"a": b"old"}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=20)), max_size=20))
def test_it_behaves_like_a_dict(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bytes | None]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "state.db"
    model: dict[str, bytes] = {}
    with Store(path) as store:
        for key, value in writes:
            try:
                store.write([Write("t", key, value)])
            except StoreError:
                continue
            model.pop(key, None)
            model |= {} if value is None else {key: value}
        assert store.load().get("t", {}) == model


def test_each_boot_raises_the_incarnation_and_draws_a_new_boot(path: Path) -> None:
    births = []
    for _ in range(3):
        with Store(path) as store:
            births.append(store.boot(NOW_MS))
    assert [each.incarnation for each in births] == [NOW_S, NOW_S + 1, NOW_S + 2]
    assert len({each.boot for each in births}) == 3
    assert births[0].started_ms == NOW_MS


def test_a_restored_home_uses_no_incarnation_again(path: Path) -> None:
    """The backup knows nothing of the boots after it; the clock does."""
    with Store(path) as store:
        store.boot(NOW_MS)
    backup = path.read_bytes(), path.with_name("incarnation").read_bytes()
    with Store(path) as store:
        store.boot(NOW_MS + DAY_MS)
        last = store.boot(NOW_MS + DAY_MS).incarnation
    path.write_bytes(backup[0])
    path.with_name("incarnation").write_bytes(backup[1])
    with Store(path) as store:
        assert store.boot(NOW_MS + 2 * DAY_MS).incarnation > last


def test_a_clock_that_is_behind_lowers_no_incarnation(path: Path) -> None:
    with Store(path) as store:
        assert store.boot(NOW_MS).incarnation == NOW_S
        assert store.boot(0).incarnation == NOW_S + 1


def test_the_incarnation_outlives_a_damaged_database(path: Path) -> None:
    with Store(path) as store:
        store.boot(NOW_MS)
        store.boot(NOW_MS)
    path.write_bytes(b"not a database" * 100)
    with Store(path) as store:
        assert store.boot(NOW_MS).incarnation == NOW_S + 2


def test_the_incarnation_outlives_the_loss_of_its_second_copy(path: Path) -> None:
    with Store(path) as store:
        store.boot(NOW_MS)
    path.with_name("incarnation").write_text("rubbish")
    with Store(path) as store:
        assert store.boot(NOW_MS).incarnation == NOW_S + 1


def test_the_clock_floor_is_never_below_the_installation(path: Path) -> None:
    import node.store

    installed_ms = int(Path(node.store.__file__).stat().st_mtime * 1000)
    with Store(path) as store:
        assert store.clock_floor == installed_ms
        assert store.load()[CLOCK_TABLE] == {"floor": str(installed_ms).encode()}
        later = str(installed_ms + 5).encode()
        store.write([Write(CLOCK_TABLE, "floor", later)])
        assert store.load()[CLOCK_TABLE] == {"floor": later}


def test_a_row_that_has_rotted_is_left_out_and_counted(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"good"), Write("t", "b", b"good")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kv SET value=x'00' WHERE key='a'")
    connection.close()
    with Store(path) as store:
        assert store.load()["t"] == {"b": b"good"}
        assert store.rows_damaged == 1


def test_a_row_whose_key_has_rotted_is_left_out_and_counted(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"good"), Write("t", "b", b"good")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kv SET key=CAST(x'ff' AS TEXT) WHERE key='a'")
    connection.close()
    with Store(path) as store:
        assert store.load()["t"] == {"b": b"good"}
        assert store.rows_damaged == 1


def test_a_row_of_another_kind_than_bytes_is_left_out_and_counted(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"good")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kv SET value='text' WHERE tbl='t'")
    connection.close()
    with Store(path) as store:
        assert "t" not in store.load()
        assert store.rows_damaged == 1


def test_a_row_that_has_rotted_is_told_of_once_and_kept_for_whoever_wants_to_look(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"good"), Write("t", "b", b"good")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kv SET value=x'00' WHERE key='a'")
    connection.close()
    told = []
    for _ in range(3):
        with Store(path) as store:
            store.load()
            store.boot(NOW_MS)
            told.append([(each.code, each.count) for each in store.findings])
    assert told == [[("store-row-damaged", 1)], [], []]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT tbl, key, value FROM kv_damaged").fetchall() == [("t", "a", b"\0")]
    connection.close()


def test_a_damaged_file_is_set_aside_and_named(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(b"x" * 10_000)
    with Store(path) as store:
        (finding,) = store.findings
    assert finding.code == "store-not-a-database"
    assert str(path.with_name("state.db.damaged-1")) in finding.detail
    assert path.with_name("state.db.damaged-1").read_bytes() == b"x" * 10_000
    assert rows(path) == {}


def test_the_first_three_damaged_files_and_the_last_are_kept(path: Path) -> None:
    for number in range(6):
        path.write_bytes(b"%d" % number * 10_000)
        Store(path).close()
    aside = {each.name: each.read_bytes()[:1] for each in path.parent.glob("*damaged*")}
    assert aside == {
        "state.db.damaged-1": b"0",
        "state.db.damaged-2": b"1",
        "state.db.damaged-3": b"2",
        "state.db.damaged-4": b"5",
    }


def test_a_page_that_has_rotted_is_noticed_at_the_start(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", f"{n:05}", bytes(200)) for n in range(500)])
    data = bytearray(path.read_bytes())
    data[8192:40_960] = b"\xff" * 32_768
    path.write_bytes(data)
    with Store(path) as store:
        assert [each.code for each in store.findings] == ["store-damaged"]


def test_a_full_disk_is_said_and_what_was_written_before_stays(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"1")])
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own way to be full
        with pytest.raises(StoreError) as caught:
            store.write([Write("t", "b", bytes(100_000))])
        assert store.load()["t"] == {"a": b"1"}
    assert (caught.value.reason, caught.value.exit_code) == ("disk-full", Exit.DISK)
    assert "df -h" in caught.value.cure


def test_a_store_of_a_newer_release_is_left_alone(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("t", "a", b"1")])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(FieldmeshError, match="newer fieldmesh") as caught:
        Store(path)
    assert caught.value.exit_code == Exit.CONFIGURATION
    assert path.exists()


def test_a_second_store_on_the_same_home_is_refused_until_the_first_is_closed(path: Path) -> None:
    with Store(path), pytest.raises(FieldmeshError) as caught:
        Store(path)
    assert caught.value.exit_code == Exit.ALREADY_MEMBER
    assert f"pid {os.getpid()}" in caught.value.message
    Store(path).close()


@pytest.mark.io
def test_another_process_that_runs_the_home_is_named_and_its_death_frees_it(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(path, ready))
    holder.start()
    try:
        assert ready.wait(20)
        with pytest.raises(FieldmeshError, match=f"pid {holder.pid}") as caught:
            Store(path)
        assert caught.value.exit_code == Exit.ALREADY_MEMBER
    finally:
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        holder.close()
    assert rows(path) == {"a": b"1"}, "what it had written survives its death"


def test_threads_take_turns(path: Path) -> None:
    def write_twenty(store: Store, thread: int) -> None:
        for number in range(20):
            store.write([Write("t", f"{thread}/{number}", b"")])

    with Store(path) as store:
        threads = [threading.Thread(target=write_twenty, args=(store, number)) for number in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(store.load()["t"]) == 80


def _hold(path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    store = Store(path)
    store.write([Write("t", "a", b"1")])
    ready.set()
    signal.pause()
