"""What opens the local API: a token made at each start, and the files in the run folder that tell it to this user."""

import contextlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

from node.errors import FieldmeshError
from node.exits import Exit
from node.files import write_file
from node.run_folder import asked_run_folder

TOKEN_FILE = "api-token"  # noqa: S105 - a file's name
ADDRESS_FILE = "api-address"  # HOST:PORT that the API really listens on
TOKEN_BYTES = 24  # 192 bits: not to be guessed at any rate
FIELDS_MAX = 8  # of a query; ours has two


@contextlib.contextmanager
def shown_api(folder: Path, token: str, host: str, port: int) -> Iterator[None]:
    """While the body runs, who may read the run folder finds the way to the API; afterwards nothing is left."""
    files = {TOKEN_FILE: token, ADDRESS_FILE: f"{_reachable(host)}:{port}"}
    try:
        for name, text in files.items():
            write_file(folder / name, text.encode() + b"\n")
        yield
    finally:
        hide_api(folder)


def hide_api(folder: Path) -> None:
    """What a run that was killed has left behind."""
    for name in (TOKEN_FILE, ADDRESS_FILE):
        (folder / name).unlink(missing_ok=True)


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def live_url(home: Path) -> str:
    """Where the documents of this home's running node can be followed, token included; FieldmeshError when nowhere."""
    folder = asked_run_folder(home)
    try:
        token, address = ((folder / name).read_text().strip() for name in (TOKEN_FILE, ADDRESS_FILE))
    except FileNotFoundError:
        raise FieldmeshError(
            f"no live view is open in {home}",
            "start the node: fieldmesh run; if it runs, see [api] enabled and the log line api-port-taken",
            Exit.NOT_RUNNING,
        ) from None
    return f"ws://{address}/yjs?token={token}"


def opens(token: str, query: str, authorization: Iterable[str]) -> bool:
    """Whether a caller brings the token: as `?token=` or in a header `Authorization: Bearer`."""
    found = [header[7:].strip() for header in authorization if header[:7].lower() == "bearer "]
    with contextlib.suppress(ValueError):  # too many fields
        found += [value for name, value in parse_qsl(query, max_num_fields=FIELDS_MAX) if name == "token"]
    return any(_same(token, each) for each in found)


def _reachable(host: str) -> str:
    """How this machine itself gets to what listens on that address; as it stands in a URL."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{reachable}]" if ":" in reachable else reachable


def _same(token: str, found: str) -> bool:
    return hmac.compare_digest(token.encode(), found.encode(errors="replace"))
