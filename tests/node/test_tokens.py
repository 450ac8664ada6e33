"""A token's text, and the steward's book of tokens."""

import hashlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import node_id_of, site_id_of
from mesh.wire import Endpoint
from node.errors import FieldmeshError
from node.exits import Exit
from node.token_book import KEPT_MS, OPEN_MAX, TokenBook
from node.tokens import SECRET_BYTES, TOKEN_ID_BYTES, Token, TokenError, parse_token

STEWARD = node_id_of(b"steward")
ROOT = hashlib.sha256(b"root").digest()
NOW_MS = 1_800_000_000_000

endpoints = st.builds(Endpoint, st.text(min_size=1, max_size=40), st.integers(0, 65535))
tokens = st.builds(
    Token,
    fingerprint=st.binary(min_size=32, max_size=32),
    steward=st.binary().map(node_id_of),
    token_id=st.binary(min_size=TOKEN_ID_BYTES, max_size=TOKEN_ID_BYTES),
    secret=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
    expires_ms=st.integers(0, 2**62),
    for_steward=st.booleans(),
    seeds=st.lists(endpoints, max_size=4).map(tuple),
)
TOKEN = Token(ROOT, STEWARD, b"idididid", b"secretsecretsecr", NOW_MS, False, (Endpoint("10.0.0.7", 8884),))


@given(tokens)
def test_a_token_survives_being_written_and_read(token: Token) -> None:
    assert parse_token(token.text()) == token


def test_every_change_of_one_character_is_noticed() -> None:
    text = TOKEN.text()
    for place, right in enumerate(text):
        for wrong in "abcdefghijklmnopqrstuvwxyz0123456789-_A=é":
            if wrong != right:
                with pytest.raises(TokenError):
                    parse_token(text[:place] + wrong + text[place + 1 :])


def test_every_missing_doubled_or_swapped_character_is_noticed() -> None:
    text = TOKEN.text()
    for place in range(len(text)):
        changed = {text[:place], text[:place] + text[place + 1 :], text[:place] + text[place] + text[place:]}
        changed.add(text[:place] + text[place : place + 2][::-1] + text[place + 2 :])
        for each in changed - {text}:
            with pytest.raises(TokenError):
                parse_token(each)


@given(st.text(max_size=300))
def test_any_other_text_is_kindly_refused(text: str) -> None:
    for each in (text, f"fm1-{text}"):
        with pytest.raises(TokenError) as caught:
            parse_token(each)
        assert caught.value.exit_code == Exit.TOKEN_WRONG
        assert caught.value.cure


def test_a_very_long_text_is_refused_at_once() -> None:
    with pytest.raises(TokenError):
        parse_token("fm1-" + "a" * 10_000_000)


def test_a_token_that_a_mail_program_has_wrapped_still_works() -> None:
    text = TOKEN.text()
    assert parse_token(f"  {text[:50]}\n  {text[50:]}\n") == TOKEN


def test_a_token_names_the_site_as_the_root_does() -> None:
    root_der = b"any certificate"
    token = Token(hashlib.sha256(root_der).digest(), STEWARD, b"idididid", bytes(16), 0)
    assert token.site == site_id_of(root_der)


def test_a_tokens_repr_shows_no_secret() -> None:
    assert "secretsecret" not in repr(TOKEN)
    assert TOKEN.secret.hex() not in repr(TOKEN)


@pytest.fixture
def book(tmp_path: Path) -> TokenBook:
    return TokenBook(tmp_path / "state.db")


def created(book: TokenBook, now_ms: int = NOW_MS, ttl_s: float = 600) -> Token:
    return book.create(ROOT, STEWARD, now_ms, ttl_s)


def test_the_book_holds_no_secret(book: TokenBook, tmp_path: Path) -> None:
    token = created(book)
    for file in tmp_path.iterdir():
        assert token.secret not in file.read_bytes()
    row = book.find(token.token_id)
    assert row is not None
    assert row.matches(token.secret)
    assert not row.matches(bytes(SECRET_BYTES))


def test_a_token_is_redeemed_once(book: TokenBook) -> None:
    token = created(book)
    assert book.redeem(token.token_id, STEWARD, "second", b"answer", NOW_MS)
    assert not book.redeem(token.token_id, node_id_of(b"other"), "third", b"answer", NOW_MS)
    row = book.find(token.token_id)
    assert row is not None
    assert (row.used_name, row.answer, row.state(NOW_MS)) == ("second", b"answer", "used")


def test_another_process_sees_the_same_book(book: TokenBook, tmp_path: Path) -> None:
    token = created(book)
    assert TokenBook(tmp_path / "state.db").find(token.token_id) == book.find(token.token_id)


def test_a_token_is_open_then_expired(book: TokenBook) -> None:
    row = book.find(created(book).token_id)
    assert row is not None
    assert [row.state(NOW_MS + 600_000), row.state(NOW_MS + 600_001)] == ["open", "expired"]


def test_a_revoked_token_cannot_be_redeemed_nor_revoked_again(book: TokenBook) -> None:
    token = created(book)
    book.revoke(token.name[:8], NOW_MS)
    assert not book.redeem(token.token_id, STEWARD, "second", b"", NOW_MS)
    with pytest.raises(FieldmeshError, match="revoked before"):
        book.revoke(token.name, NOW_MS)


def test_revoking_a_used_token_says_who_has_to_be_removed_instead(book: TokenBook) -> None:
    token = created(book)
    book.redeem(token.token_id, STEWARD, "second", b"", NOW_MS)
    with pytest.raises(FieldmeshError) as caught:
        book.revoke(token.name, NOW_MS)
    assert caught.value.exit_code == Exit.TOKEN_USED
    assert "fieldmesh member remove second" in caught.value.cure


@pytest.mark.parametrize("prefix", ["", "zz"])
def test_revoking_what_was_never_issued_is_an_error(book: TokenBook, prefix: str) -> None:
    created(book)
    with pytest.raises(FieldmeshError):
        book.revoke(prefix, NOW_MS)


def test_used_and_expired_tokens_are_remembered_for_thirty_days(book: TokenBook) -> None:
    old = created(book)
    created(book, NOW_MS + KEPT_MS)
    assert book.find(old.token_id) is not None
    created(book, NOW_MS + KEPT_MS + 600_001)
    assert book.find(old.token_id) is None


def test_a_script_that_has_run_away_is_stopped(book: TokenBook, tmp_path: Path) -> None:
    created(book)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.executemany(
            "INSERT INTO tokens (id, secret_hash, created_ms, expires_ms, for_steward) VALUES (?,x'00',0,?,0)",
            [(bytes((n // 256, n % 256)), NOW_MS + 1) for n in range(OPEN_MAX)],
        )
    connection.close()
    with pytest.raises(FieldmeshError, match="open already"):
        created(book)
    assert book.rows()[-1].state(NOW_MS) == "open"
