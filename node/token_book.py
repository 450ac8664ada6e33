"""The tokens that this steward has issued, as hashes, in the home's database.

The command line creates and revokes them, the running node redeems them; both see the same rows.
"""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mesh.ids import NodeId
from mesh.wire import Endpoint
from node.database import connect, transaction, translated
from node.errors import FieldmeshError
from node.exits import Exit
from node.tokens import SECRET_BYTES, TOKEN_ID_BYTES, Token, TokenRow, hash_of

KEPT_MS = 30 * 86_400_000  # a used or expired token is still told apart from a wrong one for this long
OPEN_MAX = 1000  # tokens that nobody has used; beyond this somebody's script has run away
ANSWER_BYTES_MAX = 16_384  # a chain of two and an authority

_SCHEMA_SQL = """
CREATE TABLE IF NOT EXISTS tokens (
    id BLOB PRIMARY KEY, secret_hash BLOB NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    for_steward INTEGER NOT NULL, revoked_ms INTEGER, used_ms INTEGER, used_by TEXT, used_name TEXT, answer BLOB
)
"""
_SELECT = (
    "SELECT id, secret_hash, created_ms, expires_ms, for_steward, revoked_ms, used_ms, used_by, used_name, answer "
    "FROM tokens "
)
_COUNT_OPEN = "SELECT count(*) FROM tokens WHERE used_by IS NULL AND revoked_ms IS NULL AND expires_ms >= ?"


class TokenBook:
    """Opens the database for each call, so that it may be used from any thread and any process."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def create(
        self,
        fingerprint: bytes,
        steward: NodeId,
        now_ms: int,
        ttl_s: float,
        for_steward: bool = False,
        seeds: Sequence[Endpoint] = (),
    ) -> Token:
        """A new token, remembered before it is returned. Forgets the ones that are long over."""
        secret, expires_ms = secrets.token_bytes(SECRET_BYTES), now_ms + int(ttl_s * 1000)
        token_id = secrets.token_bytes(TOKEN_ID_BYTES)
        with self._opened() as connection, transaction(connection):
            connection.execute(
                "DELETE FROM tokens WHERE max(expires_ms, ifnull(used_ms, 0)) < ?", (now_ms - KEPT_MS,)
            )
            _require_room(connection, now_ms)
            connection.execute(
                "INSERT INTO tokens (id, secret_hash, created_ms, expires_ms, for_steward) VALUES (?,?,?,?,?)",
                (token_id, hash_of(secret), now_ms, expires_ms, for_steward),
            )
        return Token(fingerprint, steward, token_id, secret, expires_ms, for_steward, tuple(seeds))

    def find(self, token_id: bytes) -> TokenRow | None:
        with self._opened() as connection:
            row = connection.execute(_SELECT + "WHERE id=?", (token_id,)).fetchone()
        return _row(row) if row else None

    def rows(self) -> list[TokenRow]:
        """All that are remembered, the newest first."""
        with self._opened() as connection:
            found = connection.execute(_SELECT + "ORDER BY created_ms DESC, id").fetchall()
        return [_row(each) for each in found]

    def redeem(self, token_id: bytes, node: NodeId, name: str, answer: bytes, now_ms: int) -> bool:
        """Marks an open token as used by this node and keeps the answer; durable on return. False: it was not open."""
        assert len(answer) <= ANSWER_BYTES_MAX
        with self._opened() as connection, transaction(connection):
            return (
                connection.execute(
                    "UPDATE tokens SET used_ms=?, used_by=?, used_name=?, answer=? "
                    "WHERE id=? AND used_by IS NULL AND revoked_ms IS NULL",
                    (now_ms, node, name, answer, token_id),
                ).rowcount
                == 1
            )

    def revoke(self, prefix: str, now_ms: int) -> TokenRow:
        """Ends the open token whose name begins so, or FieldmeshError."""
        found = [each for each in self.rows() if prefix and each.name.startswith(prefix)]
        if len(found) != 1:
            raise _no_such_token(prefix, len(found))
        with self._opened() as connection, transaction(connection):
            changed = connection.execute(
                "UPDATE tokens SET revoked_ms=? WHERE id=? AND used_by IS NULL AND revoked_ms IS NULL",
                (now_ms, found[0].token_id),
            ).rowcount
        if not changed:
            raise _over(found[0])
        return found[0]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with translated(self._database), closing(connect(self._database)) as connection:
            connection.execute(_SCHEMA_SQL)
            yield connection


def _row(columns: tuple[Any, ...]) -> TokenRow:
    token_id, secret_hash, created_ms, expires_ms, for_steward, *rest = columns
    return TokenRow(token_id, secret_hash, created_ms, expires_ms, bool(for_steward), *rest)


def _require_room(connection: sqlite3.Connection, now_ms: int) -> None:
    if connection.execute(_COUNT_OPEN, (now_ms,)).fetchone()[0] >= OPEN_MAX:
        raise FieldmeshError(
            f"{OPEN_MAX} tokens are open already", "fieldmesh token list, and revoke what nobody will use"
        )


def _no_such_token(prefix: str, found: int) -> FieldmeshError:
    what = f"{found} tokens begin with {prefix}" if found else f"this steward has issued no token {prefix}"
    return FieldmeshError(what, "fieldmesh token list", Exit.TOKEN_WRONG)


def _over(row: TokenRow) -> FieldmeshError:
    if row.used_by is None:
        return FieldmeshError(f"the token {row.name} was revoked before", "", Exit.FAILURE)
    return FieldmeshError(
        f"the token {row.name} has been used: {row.used_name} ({row.used_by}) joined with it",
        f"if it must go: fieldmesh member remove {row.used_name}",
        Exit.TOKEN_USED,
    )
