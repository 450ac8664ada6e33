"""The keys of a join that is under way: made here, kept here until the steward has answered."""

from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.trust import Identity
from node.files import write_file
from node.home import Home
from node.joining import Applicant
from node.lock import HomeLock
from node.pem import key_in, key_pem, new_key, public_half
from node.settling import begin
from node.tokens import Token

KEY_FILES = ("identity.pem", "tls.pem", "steward.pem")


class Pending:
    """Fresh keys, or those of an earlier attempt in this home whose answer was lost.

    Nothing is written before `save`. Leaving the context lets another process try; it removes nothing.
    """

    def __init__(self, home: Home, token: Token) -> None:
        self._home = home
        self._token = token
        self._lock: HomeLock | None = None
        self._token_file = home.unfinished / "token"
        if home.unfinished.is_dir():
            self._lock = HomeLock(home.unfinished / "lock")
        earlier = self._earlier_keys()
        self.is_saved = earlier is not None
        self.identity_key, self.tls_key, self.steward_key = earlier or (new_key(), new_key(), new_key())

    @property
    def tls_public(self) -> bytes:
        return public_half(self.tls_key)

    def applicant(self, name: str) -> Applicant:
        steward_public = public_half(self.steward_key) if self._token.for_steward else b""
        return Applicant(Identity(self.identity_key), self.tls_public, name, steward_public)

    def is_for(self, token: Token) -> bool:
        """Whether the keys were made for this token: then its refusal makes them useless."""
        try:
            return self._token_file.read_bytes() == token.token_id
        except FileNotFoundError:
            return False

    def save(self) -> None:
        """Durable before the steward can know the keys. Idempotent."""
        if self.is_saved:
            return
        begin(self._home)
        self._lock = self._lock or HomeLock(self._home.unfinished / "lock")
        for name, key in zip(KEY_FILES, (self.identity_key, self.tls_key, self.steward_key), strict=True):
            write_file(self._home.unfinished / name, key_pem(key))
        write_file(self._token_file, self._token.token_id)  # last: it says that the keys are all there
        self.is_saved = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release()

    def _earlier_keys(self) -> tuple[Ed25519PrivateKey, ...] | None:
        if not self._token_file.exists():
            return None
        try:
            return tuple(key_in((self._home.unfinished / name).read_bytes()) for name in KEY_FILES)
        except (OSError, ValueError):
            return None
