"""The TLS side of the steward's door: always the certificate that is in the home now."""

import ssl
from pathlib import Path

from node.pem import certificates_in

ATTEMPTS_MAX = 5  # the file is replaced once in weeks; twice while we read it does not happen


class ServerCredentials:
    """Rebuilt when the file has changed. A fresh context each time: a live one keeps parts of the old pair."""

    def __init__(self, pem: Path) -> None:
        self._pem = pem
        self._seen: tuple[int, int] = (0, 0)
        self._current: tuple[ssl.SSLContext, tuple[bytes, ...]] | None = None

    def current(self) -> tuple[ssl.SSLContext, tuple[bytes, ...]]:
        """A context for one server-side handshake, and the chain that it shows (leaf, authority)."""
        for _ in range(ATTEMPTS_MAX):
            seen = self._stamp()
            if self._current is not None and seen == self._seen:
                return self._current
            loaded = (_context(self._pem), certificates_in(self._pem.read_bytes()))
            if self._stamp() == seen:
                self._seen, self._current = seen, loaded
        raise OSError(f"{self._pem} keeps changing")

    def _stamp(self) -> tuple[int, int]:
        found = self._pem.stat()
        return (found.st_ino, found.st_mtime_ns)


def _context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0  # nobody joins twice; a saved session would outlive a certificate
    context.load_cert_chain(pem)
    return context
