"""Kinds of damage to a node's store: what is kept, what is said, and that the node starts ten times all the same."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.events import Write
from mesh.state import DOUBT_KEY, DOUBT_TABLE
from node.database import StoreError
from node.errors import FieldmeshError
from node.exits import Exit
from node.findings import Finding
from node.store import Store
from node.token_book import TokenBook

ROOT = Path(__file__).parent.parent.parent
NOW_MS = 1_800_000_000_000
PAGE = 4096
ROWS = 500
LARGE = bytes(range(256)) * 200  # 51,200 bytes: a chain of pages
NOBODY = 65_534


def value_of(number: int) -> bytes:
    """Three of these fill a page."""
    return b"value-%05d:" % number + bytes([number % 256]) * 1200


ALL = {f"{number:05}": value_of(number) for number in range(ROWS)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store of a node that has run and was stopped in good order."""
    path = tmp_path / "home" / "state.db"
    path.parent.mkdir()
    with Store(path) as store:
        store.load()
        store.boot(NOW_MS)
        store.write([Write("record:fact", key, value) for key, value in ALL.items()])
        store.write([Write("document", "fact", LARGE)])
    return path


@dataclass
class Start:
    """One start of the node on what is there."""

    rows: dict[str, bytes]
    document: bytes | None
    findings: tuple[Finding, ...]
    doubts: bool
    incarnation: int

    @property
    def codes(self) -> list[str]:
        return [each.code for each in self.findings]


def start(path: Path) -> Start:
    with Store(path) as store:
        tables = store.load()
        birth = store.boot(NOW_MS)
        return Start(
            tables.get("record:fact", {}),
            tables.get("document", {}).get("fact"),
            store.findings,
            birth.doubts,
            birth.incarnation,
        )


def crashed(path: Path, *batches: list[Write]) -> Path:
    """The same home as a power cut leaves it: each batch is a commit in the log, and nothing was closed."""
    after = path.parent.with_name("after") / path.name
    with Store(path) as store:
        for batch in batches:
            store.write(batch)
        after.parent.mkdir()
        for each in (path, path.with_name("state.db-wal"), path.with_name("incarnation")):
            shutil.copy(each, after.parent)
    return after


def wal(path: Path) -> Path:
    return path.with_name("state.db-wal")


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path: Path, at: int, mask: int = 0x40) -> None:
    overwrite(path, at, bytes([path.read_bytes()[at] ^ mask]))


def page_of(path: Path, content: bytes) -> int:
    """Where the page begins that holds this."""
    return path.read_bytes().index(content) // PAGE * PAGE


def pages_of_kind(path: Path, kind: int) -> list[int]:
    data = path.read_bytes()
    return [at for at in range(PAGE, len(data), PAGE) if data[at] == kind]


# ---------------------------------------------------------------- the table


def bit_in_a_row(path: Path) -> None:
    flip(path, path.read_bytes().index(b"value-00250:") + 100)


def a_leaf_page(path: Path) -> None:
    overwrite(path, page_of(path, b"value-00250:"), os.urandom(PAGE))


def the_first_page(path: Path) -> None:
    overwrite(path, 0, b"\xff" * PAGE)


def the_roots_of_the_tree(path: Path) -> None:
    for at in pages_of_kind(path, 0x05):
        overwrite(path, at, bytes(PAGE))


def a_key_in_the_index(path: Path) -> None:
    (first, *_) = pages_of_kind(path, 0x0A)
    data = path.read_bytes()
    flip(path, data.index(b"record:fact0", first) + len(b"record:fact0"), 0x01)


def the_text_encoding(path: Path) -> None:
    overwrite(path, 56, b"\0\0\0\2")


def the_second_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(page_of(path, b"value-00250:"))


def everything(path: Path) -> None:
    path.write_bytes(b"\x7fELF" + bytes(100_000))


def no_content(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def a_page_of_the_large_value(path: Path) -> None:
    overwrite(path, path.read_bytes().index(LARGE[:1024]) + 200, b"rot")


@pytest.mark.parametrize(
    ("damage", "code", "said", "lost", "has_document"),
    [
        (bit_in_a_row, "store-row-damaged", "1 rows of", {250}, True),
        (a_page_of_the_large_value, "store-row-damaged", "1 rows of", set(), False),
        (a_leaf_page, "store-damaged", "498 rows were saved and at least 3 are lost", {249, 250, 251}, True),
        (
            the_roots_of_the_tree,
            "store-damaged",
            "501 rows were saved and none is known to be lost",
            set(),
            True,
        ),
        (a_key_in_the_index, "store-damaged", "none is known", set(), True),
        (the_text_encoding, "store-damaged", "none is known", set(), True),
        (the_first_page, "store-not-a-database", "none is known", set(), True),
        (the_second_half, "store-damaged", "are lost", set(range(249, ROWS)), False),
        (everything, "store-not-a-database", "nothing could be read in it", set(range(ROWS)), False),
        (no_content, "store-empty", "nothing could be read in it", set(range(ROWS)), False),
        (gone, "store-missing", "nothing could be read in it", set(range(ROWS)), False),
    ],
)
def test_what_is_sound_is_kept_the_damage_is_named_and_ten_starts_go_well(
    path: Path, damage: Callable[[Path], None], code: str, said: str, lost: set[int], has_document: bool
) -> None:
    incarnation = start(path).incarnation
    damage(path)
    first = start(path)
    assert first.codes == [code]
    assert said in first.findings[0].detail and first.findings[0].cure
    assert {int(key) for key in ALL.keys() - first.rows.keys()} == lost
    assert all(ALL[key] == value for key, value in first.rows.items())
    assert first.document == (LARGE if has_document else None)
    assert first.doubts
    assert first.incarnation > incarnation, "a number is never used again"
    files = sorted(each.name for each in path.parent.iterdir())
    for _ in range(9):
        later = start(path)
        assert (later.codes, later.rows, later.document) == ([], first.rows, first.document)
    assert sorted(each.name for each in path.parent.iterdir()) == files


def test_doubts_stay_until_the_core_has_dealt_with_them(path: Path) -> None:
    gone(path)
    assert [start(path).doubts for _ in range(3)] == [True, True, True]
    with Store(path) as store:
        assert store.load()[DOUBT_TABLE] == {DOUBT_KEY: b"store-missing"}
        store.write([Write(DOUBT_TABLE, DOUBT_KEY, None)])
    assert start(path).doubts is False


def test_a_sound_store_finds_nothing_and_has_no_doubts(path: Path) -> None:
    sound = start(path)
    assert (sound.codes, sound.doubts, sound.rows, sound.document) == ([], False, ALL, LARGE)


def test_a_new_home_finds_nothing(tmp_path: Path) -> None:
    new = start(tmp_path / "state.db")
    assert (new.codes, new.doubts, new.rows) == ([], False, {})


def test_the_damaged_file_is_kept_as_it_was(path: Path) -> None:
    a_leaf_page(path)
    damaged = path.read_bytes()
    assert str(path.with_name("state.db.damaged-1")) in start(path).findings[0].detail
    assert path.with_name("state.db.damaged-1").read_bytes() == damaged


def test_rows_that_were_deleted_or_replaced_are_not_salvaged(path: Path) -> None:
    with Store(path) as store:
        store.write([Write("record:fact", f"{number:05}", None) for number in range(400)])
        store.write([Write("record:fact", "00450", b"new"), Write("document", "fact", b"small")])
    the_first_page(path)
    after = start(path)
    assert after.rows == {key: ALL[key] for key in ALL if key >= "00400"} | {"00450": b"new"}
    assert after.document == b"small"


def test_tokens_are_saved_with_the_rows(path: Path) -> None:
    book = TokenBook(path)
    token = book.create(bytes(32), "a" * 26, NOW_MS, 600)  # type: ignore[arg-type]  # any steward
    a_leaf_page(path)
    start(path)
    (row,) = book.rows()
    assert row.token_id == token.token_id


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_scribbled_the_store_opens_and_gives_only_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "state.db"
    with Store(path) as store:
        store.boot(NOW_MS)
        store.write([Write("record:fact", f"{number:05}", value_of(number)) for number in range(40)])
    size = path.stat().st_size
    places = st.integers(0, size - 1).filter(lambda at: not 60 <= at < 64)  # the number of a newer release
    for at in data.draw(st.lists(places, min_size=1, max_size=20)):
        flip(path, at, data.draw(st.integers(1, 255)))
    first, second = start(path), start(path)
    assert all(ALL[key] == value for key, value in first.rows.items())
    assert (second.rows, second.codes) == (first.rows, [])


# ---------------------------------------------------------------- the log that a power cut leaves

MORE = [[Write("record:fact", f"1{number:04}", value_of(number))] for number in range(4)]


def kept_of_the_log(found: Start) -> list[str]:
    return sorted(key for key in found.rows if key.startswith("1"))


def test_a_log_that_is_whole_is_simply_taken_over(path: Path) -> None:
    after = start(crashed(path, *MORE))
    assert kept_of_the_log(after) == ["10000", "10001", "10002", "10003"]
    assert after.codes == ["store-moved"]  # the copy is not the file that the node has had


def test_a_last_write_that_was_cut_short_is_said_and_nothing_is_doubted(path: Path) -> None:
    after = crashed(path, *MORE)
    with wal(after).open("r+b") as file:
        file.truncate(wal(after).stat().st_size - 100)
    found = start(after)
    assert kept_of_the_log(found) == ["10000", "10001", "10002"]
    assert found.codes == ["store-log-torn", "store-moved"]
    assert "nothing in them had been acknowledged" in found.findings[0].detail
    assert found.findings[0].doubts is False
    assert [start(after).codes for _ in range(9)] == [[]] * 9


def test_a_log_that_is_damaged_in_its_middle_gives_what_is_behind_the_break_too(path: Path) -> None:
    after = crashed(path, *MORE)
    flip(wal(after), wal(after).read_bytes().index(b"value-00001:") + 50)
    found = start(after)
    assert kept_of_the_log(found) == ["10000", "10001", "10002", "10003"]  # a later page has 10001 again
    assert len(found.rows) == ROWS + 4
    assert (found.codes, found.doubts) == (["store-log-damaged"], True)
    assert "damaged before its last 3 writes; 505 rows were saved" in found.findings[0].detail
    assert [start(after).codes for _ in range(9)] == [[]] * 9


def test_a_log_without_a_head_gives_what_it_holds(path: Path) -> None:
    after = crashed(path, *MORE)
    overwrite(wal(after), 0, bytes(32))
    found = start(after)
    assert kept_of_the_log(found) == ["10000", "10001", "10002", "10003"]
    assert (found.codes, found.doubts) == (["store-log-damaged"], True)


@pytest.mark.parametrize(("damage", "code"), [(gone, "store-missing"), (no_content, "store-empty")])
def test_a_log_whose_store_is_gone_gives_what_it_holds(
    path: Path, damage: Callable[[Path], None], code: str
) -> None:
    after = crashed(path, *MORE)
    damage(after)
    found = start(after)
    assert (kept_of_the_log(found), found.codes) == (["10000", "10001", "10002", "10003"], [code])


def test_rows_in_the_log_are_salvaged_with_the_others(path: Path) -> None:
    after = crashed(path, *MORE)
    the_first_page(after)
    found = start(after)
    assert kept_of_the_log(found) == ["10000", "10001", "10002", "10003"]
    assert len(found.rows) == ROWS + 4


# ---------------------------------------------------------------- backups, copies, strangers


def test_a_store_from_a_backup_in_a_home_that_has_gone_on_is_said(path: Path) -> None:
    backup = path.read_bytes()
    start(path)
    path.write_bytes(backup)
    found = start(path)
    assert (found.codes, found.doubts) == (["store-restored"], True)
    assert "it knows of start 32774400, the home of start 32774401" in found.findings[0].detail
    assert (start(path).codes, found.rows) == ([], ALL)


@pytest.mark.parametrize("content", [b"7 0123456789abcdef\n", b"rubbish", None])
def test_a_note_that_is_older_than_the_store_is_said_and_raises_no_doubt(
    path: Path, content: bytes | None
) -> None:
    note = path.with_name("incarnation")
    store_id = note.read_text().split()[1]
    if content is None:
        note.unlink()
    else:
        note.write_bytes(content.replace(b"0123456789abcdef", store_id.encode()))
    found = start(path)
    assert (found.codes, found.doubts) == (["store-note-behind"], False)
    assert start(path).codes == []


def test_the_store_of_another_home_is_said(path: Path, tmp_path: Path) -> None:
    start(tmp_path / "other" / "state.db")
    path.write_bytes((tmp_path / "other" / "state.db").read_bytes())
    found = start(path)
    assert (found.codes[0], found.doubts) == ("store-exchanged", True)
    assert start(path).codes == []


def test_a_home_that_was_copied_is_said_and_one_that_was_renamed_is_not(path: Path, tmp_path: Path) -> None:
    renamed = path.parent.rename(tmp_path / "renamed")
    assert start(renamed / "state.db").codes == []
    copy = Path(shutil.copytree(renamed, tmp_path / "copy"))
    found = start(copy / "state.db")
    assert (found.codes, found.doubts, found.rows) == (["store-moved"], True, ALL)
    assert start(copy / "state.db").codes == []
    assert start(renamed / "state.db").codes == []


def test_a_home_that_runs_on_another_machine_is_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "machine-id").write_text("another")
    monkeypatch.setattr("node.marks.MACHINE_ID", tmp_path / "machine-id")
    assert start(path).codes == ["store-moved"]


def test_a_home_of_a_release_that_left_no_marks_finds_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM kv WHERE tbl='_store' AND key IN ('id', 'place')")
        connection.commit()
    path.with_name("incarnation").write_text("32774400\n")
    found = start(path)
    assert (found.codes, found.doubts, found.incarnation) == ([], False, 32_774_401)


# ---------------------------------------------------------------- files that may not be used


def test_a_store_that_others_may_read_is_closed_to_them(path: Path) -> None:
    path.chmod(0o644)
    found = start(path)
    assert (found.codes, found.doubts) == (["store-open-to-others"], False)
    assert "(mode 644)" in found.findings[0].detail
    assert path.stat().st_mode & 0o777 == 0o600
    assert start(path).codes == []


def test_a_store_of_a_newer_release_is_refused_ten_times_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")
    content = path.read_bytes()
    for _ in range(10):
        with pytest.raises(FieldmeshError, match=r"newer fieldmesh \(schema 2; this one knows 1\)") as caught:
            Store(path)
        assert caught.value.exit_code == Exit.CONFIGURATION
    assert path.read_bytes() == content


@contextmanager
def as_nobody() -> Iterator[None]:
    """As a user whom permissions bind, if we are not one already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def their_path(path: Path) -> Iterator[Path]:
    """The same home in a folder that everybody can reach, and owned by that user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        home = Path(shutil.copytree(path.parent, Path(folder) / "home"))
        if os.geteuid() == 0:
            for each in (home, *home.rglob("*")):
                os.chown(each, NOBODY, NOBODY)
        yield home / "state.db"
        home.chmod(0o700)


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "reason"),
    [(0o700, 0o400, "read-only"), (0o700, 0o000, "no-access"), (0o500, 0o600, "read-only")],
)
def test_a_store_that_may_not_be_written_is_refused_as_what_it_is_and_left_alone(
    their_path: Path, folder_mode: int, file_mode: int, reason: str
) -> None:
    content = their_path.read_bytes()
    their_path.chmod(file_mode)
    their_path.parent.chmod(folder_mode)
    for _ in range(10):
        with as_nobody(), pytest.raises(StoreError) as caught:
            start(their_path)
        assert (caught.value.reason, caught.value.exit_code) == (reason, Exit.DISK)
        assert f"ls -la {their_path.parent}" in caught.value.cure
    assert their_path.read_bytes() == content
    their_path.chmod(0o600)
    their_path.parent.chmod(0o700)
    with as_nobody():
        assert start(their_path).rows == ALL


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    folder.mkdir()
    options = f"size={kilobytes}k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.root
def test_a_disk_that_is_read_only_is_said(path: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8192) as disk:
        home = Path(shutil.copytree(path.parent, disk / "home"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StoreError) as caught:
            Store(home / "state.db")
        assert (caught.value.reason, caught.value.exit_code) == ("read-only", Exit.DISK)


@pytest.mark.root
def test_without_room_to_mend_the_damaged_file_is_left_alone_until_there_is(
    path: Path, tmp_path: Path
) -> None:
    a_leaf_page(path)
    with small_disk(tmp_path / "disk", 1024) as disk:
        home = Path(shutil.copytree(path.parent, disk / "home"))
        damaged = (home / "state.db").read_bytes()
        for _ in range(3):
            with pytest.raises(StoreError) as caught:
                Store(home / "state.db")
            assert (caught.value.reason, caught.value.exit_code) == ("disk-full", Exit.DISK)
            assert sorted(each.name for each in home.iterdir()) == ["incarnation", "run", "state.db"]
        assert (home / "state.db").read_bytes() == damaged
        subprocess.run(["mount", "-o", "remount,size=8192k", str(disk)], check=True)
        assert start(home / "state.db").codes == ["store-damaged"]


# ---------------------------------------------------------------- while it runs, and while it mends


def test_a_store_that_is_damaged_while_it_is_open_is_mended_and_the_write_is_kept(path: Path) -> None:
    with Store(path) as store:
        store.write(
            [Write("large", f"{number:05}", bytes(3000)) for number in range(2000)]
        )  # beyond any cache
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for at in pages_of_kind(path, 0x05) + pages_of_kind(path, 0x02):
            overwrite(path, at, b"\xff" * PAGE)
        store.load()
        store.write([Write("record:fact", "new", b"1")])
        assert [each.code for each in store.findings] == ["store-damaged"]
        assert store.doubts
    after = start(path)
    assert after.rows == ALL | {"new": b"1"}
    assert after.doubts, "the next run knows it too"


def test_a_disk_that_damages_the_store_again_and_again_is_given_up(path: Path) -> None:
    with Store(path) as store:
        for _ in range(3):
            damage_an_open_store(store)
            assert store.load()["record:fact"] == ALL
        damage_an_open_store(store)
        with pytest.raises(StoreError) as caught:
            store.load()
        assert caught.value.reason == "damaged"
        assert [each.code for each in store.findings] == ["store-damaged"] * 3


def damage_an_open_store(store: Store) -> None:
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._connection.execute("PRAGMA shrink_memory")  # it would go on from memory for a long time
    the_roots_of_the_tree(store.path)


def mended_elsewhere(path: Path, tmp_path: Path) -> Path:
    """What the fresh file looks like before it takes the place of the damaged one."""
    there = Path(shutil.copytree(path.parent, tmp_path / "there"))
    with Store(there / "state.db"):
        pass
    return there / "state.db"


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_cut_while_the_fresh_store_takes_its_place_is_made_good(
    path: Path, tmp_path: Path, is_moved: bool
) -> None:
    a_leaf_page(path)
    shutil.move(mended_elsewhere(path, tmp_path), path.with_name("state.db.salvaged"))
    if is_moved:
        path.rename(path.with_name("state.db.damaged-1"))
    found = start(path)
    assert (len(found.rows), found.doubts) == (497, True)
    assert path.with_name("state.db.damaged-1").exists()
    assert not path.with_name("state.db.salvaged").exists()


def test_a_cut_while_the_fresh_store_is_filled_leaves_nothing_behind(path: Path) -> None:
    a_leaf_page(path)
    path.with_name("state.db.part").write_bytes(b"half")
    path.with_name("state.db.part-wal").write_bytes(b"half")
    assert len(start(path).rows) == 497
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "incarnation",
        "run",
        "state.db",
        "state.db.damaged-1",
    ]


def test_every_finding_of_a_store_is_on_the_operations_page() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    source = (ROOT / "node" / "findings.py").read_text()
    codes = [part.partition('"')[0] for part in source.split('Finding("')[1:]]
    assert len(codes) == 12
    assert [
        code for code in codes if page.count(f"`{code}`") < 2
    ] == []  # as a line of the log and as a counter
